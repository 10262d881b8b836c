"""Charts of a check: what they hold, in two languages; a student's odd value draws nothing and raises nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grader.figures import (
    MOST_BYTES,
    attach,
    confusion,
    error_heatmap,
    fit,
    gradient_norms,
    loss_curve,
    numbers,
    short,
    worst_digits,
)
from grader.reports import Figure, Text
from grader.sandbox.wire import Tensor
from grader.subjects import Subject

RIGHT = [4.0, 2.0, 1.0, 0.5, 0.25]
ROWS, COLUMNS = Text(en="input", zh="输入"), Text(en="unit", zh="单元")
X = np.linspace(-3, 3, 40)
IMAGES = np.zeros((4, 28, 28))
IMAGES[:, 5:20, 10:14] = 1.0
LABELS = np.array([1, 7, 1, 3])
PROBABILITIES = np.full((4, 10), 0.01)
PROBABILITIES[:, 1] = 0.9

FIGURES: dict[str, Callable[[], Figure | None]] = {
    "loss": lambda: loss_curve(yours=[4.0, 2.0, 1.1, 0.9, 0.8], reference=RIGHT),
    "fit": lambda: fit(x=X, target=np.sin(X), predictions={0: 0 * X, 50: np.sin(X)[:, None]}),
    "norms": lambda: gradient_norms(norms={"two layers": {"W1": 3.0, "W2": 5.0}, "four layers": {"W1": 0.01}}),
    "confusion": lambda: confusion(labels=LABELS, predictions=np.array([1, 1, 1, 3])),
    "digits": lambda: worst_digits(images=IMAGES, labels=LABELS, probabilities=PROBABILITIES),
    "heat map": lambda: error_heatmap(
        got=np.ones((785, 100)), expected=np.zeros((785, 100)), what="W1_grad", rows=ROWS, columns=COLUMNS
    ),
}


def words(tree: Any) -> list[Any]:
    """Every text of a specification that is one for people."""
    if isinstance(tree, dict):
        if tree.keys() == {"en", "zh"}:
            return [tree]
        return [word for value in tree.values() for word in words(value)]
    return [word for item in tree for word in words(item)] if isinstance(tree, list) else []


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES.keys())
class TestEveryFigure:
    def test_it_is_json_of_modest_size(self, make: Callable[[], Figure | None]) -> None:
        figure = make()
        assert figure is not None
        assert len(json.dumps(figure.spec, allow_nan=False)) < 40 << 10

    def test_it_speaks_both_languages(self, make: Callable[[], Figure | None]) -> None:
        figure = make()
        assert figure is not None
        for text in (figure.title, figure.alt):
            assert text.en
            assert any("\u4e00" <= c <= "\u9fff" for c in text.zh)
        assert words(figure.spec) or figure.name == "digits"
        assert words(figure.spoken("zh")) == []

    def test_every_axis_has_a_title(self, make: Callable[[], Figure | None]) -> None:
        def channels(tree: Any) -> list[dict[str, Any]]:
            if isinstance(tree, dict):
                own = [v for k, v in tree.items() if k in ("x", "y") and isinstance(v, dict) and "field" in v]
                return own + [c for value in tree.values() for c in channels(value)]
            return [c for item in tree for c in channels(item)] if isinstance(tree, list) else []

        figure = make()
        assert figure is not None
        for channel in channels(figure.spec):
            assert channel["axis"] is None or channel["axis"]["title"]


def test_the_title_names_the_step_at_which_the_curves_part() -> None:
    figure = loss_curve(yours=[4.0, 2.0, 1.1, 0.9, 0.8], reference=RIGHT)
    assert figure is not None
    assert figure.title.en == "Your curve leaves the reference's at training step 2"
    same = loss_curve(yours=RIGHT, reference=RIGHT, first=1)
    assert same is not None
    assert same.title.en.endswith("the reference's, up to training step 5")


def test_a_loss_that_spans_decades_is_on_a_log_scale_and_says_so() -> None:
    figure = loss_curve(yours=[100.0, 1.0, 0.1], reference=[100.0, 1.0, 0.1])
    assert figure is not None
    assert "log scale" in json.dumps(figure.spoken("en"))
    flat = loss_curve(yours=RIGHT, reference=RIGHT)
    assert flat is not None
    assert "log" not in json.dumps(flat.spoken("en"))


def test_a_curve_from_other_weights_or_alone_is_not_held_against_a_reference() -> None:
    typical = loss_curve(yours=[4.0, 2.0, 0.001], reference=[5.0, 3.0, 1.0], typical=True)
    alone = loss_curve(yours=[4.0, 2.0, 0.001])
    for figure in (typical, alone):
        assert figure is not None
        assert figure.title.en == "Your curve goes from 4 to 0.001 by training step 2"
    assert '"typical"' in json.dumps(typical.spoken("en"))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (5000.0, "5,000"),
        (0.01234, "0.0123"),
        (2.5e-5, "2.50e-5"),
        (3e7, "3.00e7"),
        (5.87e13, "5.87e13"),
        (0.0, "0"),
        (-1.5, "-1.5"),
    ],
)
def test_numbers_are_written_as_people_do(x: float, said: str) -> None:
    assert short(x) == said


def test_what_is_not_finite_leaves_a_gap() -> None:
    figure = loss_curve(yours=[4.0, math.nan, math.inf], reference=[4.0, 2.0, 1.0])
    assert figure is not None
    assert figure.title.en.endswith("at training step 1")
    json.dumps(figure.spec, allow_nan=False)


def test_the_most_common_confusion_is_in_the_title() -> None:
    figure = confusion(labels=np.array([1, 7, 7, 7]), predictions=np.array([1, 1, 1, 7]))
    assert figure is not None
    assert figure.title.en == "50 % are right; most often 7 is taken for 1 (2 times)"


def test_only_wrong_digits_are_shown() -> None:
    figure = worst_digits(images=IMAGES, labels=LABELS, probabilities=PROBABILITIES)
    assert figure is not None
    assert "7→1, 3→1" in figure.alt.en
    right = np.eye(10)[LABELS]
    assert worst_digits(images=IMAGES, labels=LABELS, probabilities=right) is None


@pytest.mark.parametrize("odd", [None, "text", [], [[1.0], [2.0, 3.0]], {"a": 1}, np.array(["x"]), float("nan"), 7])
def test_an_odd_value_draws_nothing(odd: Any) -> None:
    assert loss_curve(yours=odd, reference=RIGHT) is None
    assert worst_digits(images=IMAGES, labels=LABELS, probabilities=odd) is None
    assert confusion(labels=LABELS, predictions=odd) is None
    assert fit(x=X, target=X, predictions={0: odd}) is None
    assert error_heatmap(got=odd, expected=np.ones((2, 2)), what="W", rows=ROWS, columns=COLUMNS) is None


def test_lists_of_scalars_and_tensors_are_numbers() -> None:
    found = numbers([Tensor("torch", np.array([2.0])), np.float32(1.5), 3], (-1,))
    assert found is not None
    assert found.tolist() == [2.0, 1.5, 3.0]
    assert numbers(np.ones((2, 3)), (-1,)) is None
    assert numbers(np.ones((2, 3)), (2, 4)) is None


class TestAttach:
    def test_figures_are_kept_with_the_check(self, subject_of: Callable[..., tuple[Subject, Any]]) -> None:
        student, _ = subject_of()
        attach(student, None)
        attach(student, FIGURES["loss"]())
        attach(student, FIGURES["fit"]())
        assert [figure.name for figure in student._conversation.figures] == ["loss", "fit"]

    def test_an_author_is_told_of_too_much(self, subject_of: Callable[..., tuple[Subject, Any]]) -> None:
        student, _ = subject_of()
        text = Text(en="a", zh="b")
        with pytest.raises(ValueError, match="at most 256 are kept"):
            attach(student, Figure(name="big", title=text, alt=text, spec={"values": "x" * MOST_BYTES}))
        attach(student, FIGURES["loss"]())
        with pytest.raises(ValueError, match="different names"):
            attach(student, FIGURES["loss"]())
