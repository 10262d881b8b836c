"""The author's API: what a check may say, the inputs it gets, and when it passes or fails."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grader import checks
from grader.checks import (
    CheckFailed,
    Gradient,
    Rng,
    check,
    close,
    expect,
    finite,
    gradients,
    small_first,
    unchanged,
    unpack,
)
from grader.reports import Text
from grader.sandbox.child import CallError
from grader.sandbox.limits import CheckLimits
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import Subject

MakeSubject = Callable[..., tuple[Subject, Any]]
NAN, INF = math.nan, math.inf


def rng(seed: int = 1) -> Rng:
    return Rng(np.random.PCG64(seed))


def fails(function: Callable[..., Any], *args: Any, **options: Any) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        function(*args, **options)
    assert caught.value.message.en
    assert caught.value.message.zh
    return caught.value


class TestDecorator:
    def test_makes_a_check(self) -> None:
        @check(part="p", points=2.5, requires=["other"], visible=False, limits=CheckLimits(cpu_s=1))
        def works(student: Any, reference: Any, rng: Any) -> None:
            """It works

            zh: 它能
            工作
            """

        assert (works.id, works.part, works.points, works.requires, works.visible) == (
            "works",
            "p",
            2.5,
            ("other",),
            False,
        )
        assert works.title == Text(en="It works", zh="它能工作")
        assert works.limits.cpu_s == 1

    @pytest.mark.parametrize("points", [-1, NAN, INF, -INF])
    def test_points_must_be_a_number_of_at_least_0(self, points: float) -> None:
        with pytest.raises(ValueError, match="points"):
            check(part="p", points=points)

    @pytest.mark.parametrize("title", [None, "", "only English", "zh: 只有中文", "English zh:", "English\n\nzh:  "])
    def test_both_languages_are_needed(self, title: str | None) -> None:
        def untitled(student: Any, reference: Any, rng: Any) -> None: ...

        untitled.__doc__ = title
        with pytest.raises(ValueError, match="untitled"):
            check(part="p", points=1)(untitled)

    def test_english_is_one_line_and_chinese_has_no_gaps(self) -> None:
        text = checks.two_languages("  An English\n   sentence.\n\n  zh: 一句\n  中文。\n", "here")
        assert text == Text(en="An English sentence.", zh="一句中文。")


class TestInputs:
    def test_small_first_sorts_by_size(self) -> None:
        assert [tuple(s) for s in small_first((10, 5), (1, 2), (2, 3))] == [(1, 2), (2, 3), (10, 5)]

    @pytest.mark.parametrize("shape", [(), (1,), (2,), (1, 2), (2, 3), (3, 2), (6,), (1, 2, 3)])
    def test_tiny_inputs_are_distinct_whole_numbers(self, shape: tuple[int, ...]) -> None:
        for seed in range(20):
            (marked,) = small_first(shape)
            x = rng(seed).normal(size=marked)
            assert x.shape == shape
            assert x.dtype == np.float64
            assert np.array_equal(x, np.round(x))
            assert len(np.unique(x)) == x.size
            assert not np.any(x == 0)
            assert np.all(np.abs(x) <= 3)

    @pytest.mark.parametrize("shape", [(7,), (2, 4), (10, 5)])
    def test_larger_inputs_are_random(self, shape: tuple[int, ...]) -> None:
        (unmarked,) = small_first(shape)
        x = rng().normal(size=unmarked)
        assert x.shape == shape
        assert not np.any(x == np.round(x))

    def test_loc_moves_tiny_inputs(self) -> None:
        (marked,) = small_first((2, 3))
        assert np.all(rng().normal(100.0, size=marked) >= 97)

    @pytest.mark.parametrize("seed", range(5))
    def test_the_same_seed_gives_the_same_inputs(self, seed: int) -> None:
        def draw(generator: Rng) -> list[Any]:
            return [
                generator.normal(size=(3, 3)),
                generator.one_hot(4, 3),
                generator.binary(5),
                generator.away_from_zero((4,)),
            ]

        for a, b in zip(draw(rng(seed)), draw(rng(seed)), strict=True):
            assert np.array_equal(a, b)
        assert not np.array_equal(draw(rng(seed))[0], draw(rng(seed + 1))[0])

    @pytest.mark.parametrize(("batch", "classes"), [(1, 1), (1, 4), (4, 2), (3, 3), (10, 5), (2, 7)])
    def test_one_hot(self, batch: int, classes: int) -> None:
        for seed in range(20):
            hot = rng(seed).one_hot(batch, classes)
            assert hot.shape == (batch, classes)
            assert hot.dtype == np.float64
            assert np.array_equal(np.sort(hot, axis=1)[:, -1], np.ones(batch))
            assert hot.sum() == batch
            assert np.count_nonzero(hot.sum(axis=0)) == min(batch, classes)

    @pytest.mark.parametrize("batch", [1, 2, 3, 10])
    def test_binary(self, batch: int) -> None:
        for seed in range(20):
            labels = rng(seed).binary(batch)
            assert labels.shape == (batch,)
            assert labels.dtype == np.float64
            assert set(labels) == {0.0, 1.0} or (batch == 1 and set(labels) <= {0.0, 1.0})

    @pytest.mark.parametrize("margin", [0.05, 0.5])
    def test_away_from_zero(self, margin: float) -> None:
        x = rng().away_from_zero((50, 50), margin)
        assert np.all(np.abs(x) >= margin)
        assert x.min() < 0 < x.max()


class TestClose:
    @pytest.mark.parametrize(
        ("got", "expected", "options"),
        [
            (1.0, 1.0, {}),
            (np.ones(2), np.ones(2), {}),
            (Tensor("tensorflow", np.ones(2)), np.ones(2), {}),
            (np.ones(2), Tensor("tensorflow", np.ones(2)), {}),
            (1.1, 1.0, {"atol": 0.2}),
            (1.1, 1.0, {"rtol": 0.2}),
            (1.5, 1.0, {"or_between": [2.0]}),
            (1.5, 1.0, {"or_between": [Tensor("tensorflow", np.array(2.0))]}),
        ],
        ids=str,
    )
    def test_passes(self, got: Any, expected: Any, options: dict[str, Any]) -> None:
        close(got, expected, **options)

    @pytest.mark.parametrize(
        ("got", "words"),
        [
            (None, "grad_W is None"),
            ("text", "a str"),
            ([1.0, 2.0], "a list of 2"),
            (Handle(1, "Matmul"), "an object of type Matmul"),
            (np.ones((2, 1)), "grad_W has shape (2, 1), expected (1, 2)"),
            (np.ones((1, 2), dtype=bool), "dtype bool"),
            (np.array([[1.0, NAN]]), "is nan at index [0, 1], expected 1"),
            (np.array([[1.0, 3.0]]), "is 3 at index [0, 1], expected 1 (off by 2)"),
            (Tensor("tensorflow", np.array([[1.0, 3.0]])), "off by 2"),
        ],
        ids=str,
    )
    def test_fails_with_the_name_of_the_value(self, got: Any, words: str) -> None:
        error = fails(close, got, np.ones((1, 2)), what="grad_W")
        assert words in error.message.en
        assert "grad_W" in error.message.en
        assert error.value is got

    def test_of_answers(self, subject_of: MakeSubject) -> None:
        student, _ = subject_of(f=lambda x: x + 1, g=lambda x: x * 2)
        close(student.f(np.zeros(2)), np.ones(2))
        error = fails(close, student.g(np.ones(2)), student.f(np.ones(2)) + 1)
        assert np.array_equal(error.got, [2, 2])
        assert error.worst is not None
        assert error.worst.difference == 1


class TestOthers:
    def test_expect(self) -> None:
        expect(True, "en", "zh")
        error = fails(expect, False, "It is 0.", "是 0。", got=1, expected=2)
        assert (error.message, error.got, error.expected) == (Text(en="It is 0.", zh="是 0。"), 1, 2)

    @pytest.mark.parametrize("value", [1, 2.5, np.zeros(3), np.zeros(0), Tensor("tensorflow", np.ones(1)), True])
    def test_finite(self, value: Any) -> None:
        finite(value)

    @pytest.mark.parametrize(
        ("value", "word"),
        [
            (NAN, "NaN"),
            (np.array([1, INF]), "infinite"),
            (np.array([-INF, NAN]), "NaN"),
            (Tensor("tensorflow", np.array(NAN)), "NaN"),
            (None, "None"),
            ("x", "str"),
            ([1.0], "list"),
        ],
        ids=str,
    )
    def test_not_finite(self, value: Any, word: str) -> None:
        assert word in fails(finite, value, "the loss").message.en

    def test_a_complex_value_is_looked_at_in_both_parts(self) -> None:
        finite(np.array([1 + 1j]))
        fails(finite, np.array([complex(1, INF)]))

    @pytest.mark.parametrize("value", [(1, 2), [1, 2]])
    def test_unpack(self, value: Any) -> None:
        assert unpack(value, "a", "b") == (1, 2)

    @pytest.mark.parametrize("value", [None, 1.0, np.ones(2), (1,), (1, 2, 3), "ab", {"a": 1, "b": 2}], ids=str)
    def test_unpack_wants_exactly_as_many(self, value: Any) -> None:
        assert "2 values are asked for (grad_x, grad_W)" in fails(unpack, value, "grad_x", "grad_W").message.en

    def test_parts_of_an_answer_stay_there_until_they_are_looked_at(self, subject_of: MakeSubject) -> None:
        student, channel = subject_of(f=lambda x: (x, x + 1))
        first, second = unpack(student.f(np.ones(2)), "a", "b")
        assert channel.frames == []
        assert np.array_equal(second - first, [1, 1])
        assert len(channel.frames) == 1

    @pytest.mark.parametrize("value", [None, 1.0, (1.0,), (1.0, 2.0, 3.0)], ids=str)
    def test_an_answer_that_is_no_such_tuple(self, subject_of: MakeSubject, value: Any) -> None:
        student, _ = subject_of(f=lambda: value)
        first, _ = unpack(student.f(), "grad_x", "grad_W")
        with pytest.raises((CheckFailed, CallError)):
            close(first, 1.0)

    def test_unchanged(self, subject_of: MakeSubject) -> None:
        def spoil(x: Any) -> None:
            x[0] = 7

        student, _ = subject_of(spoil=spoil, keep=lambda x: x + 1)
        x = np.zeros(3)
        kept, spoilt = student.hold(x), student.hold(x)
        student.keep(kept)
        student.spoil(spoilt)
        unchanged(x=(kept, x))
        error = fails(unchanged, x=(kept, x), W=(spoilt, x))
        assert "input W in place" in error.message.en
        assert np.array_equal(error.got, [7, 0, 0])


def gradient(got: Any, function: Any, at: Any, upstream: Any, rng: Rng, what: str = "the gradient") -> None:
    gradients(Gradient(got=got, function=function, at=at, what=what), upstream=upstream, rng=rng)


def exp_each(xs: Any) -> list[Any]:
    return [np.exp(x) for x in xs]


class TestGradient:
    small = np.array([[0.3, -1.0], [0.5, 1.2]])
    large = np.linspace(-1, 1, 120).reshape(12, 10)

    @pytest.mark.parametrize("x", [small, large], ids=["every coordinate", "directions"])
    def test_the_true_gradient_passes(self, x: np.ndarray[Any, Any]) -> None:
        up = rng(3).normal(size=x.shape)
        gradient(up * np.exp(x), exp_each, x, up, rng())
        gradient(Tensor("tensorflow", up * np.exp(x)), exp_each, x, up, rng())

    @pytest.mark.parametrize("x", [small, large], ids=["every coordinate", "directions"])
    @pytest.mark.parametrize(
        "wrong",
        [
            lambda g: -g,
            lambda g: 2 * g,
            lambda g: g / 4,
            lambda g: g + 1,
            lambda g: g * 0,
            lambda g: g[::-1],
            lambda g: np.where(np.arange(g.size).reshape(g.shape) == 1, g + 5, g),
            lambda g: np.full_like(g, NAN),
            lambda g: np.where(np.arange(g.size).reshape(g.shape) == 1, INF, g),
            lambda g: g.T.copy() if g.shape[0] != g.shape[1] else g[:1],
            lambda g: g.tolist(),
            lambda g: None,
            lambda g: g + 0j,
        ],
    )
    def test_a_wrong_gradient_fails(self, x: np.ndarray[Any, Any], wrong: Callable[..., Any]) -> None:
        up = rng(3).normal(size=x.shape)
        fails(gradient, wrong(up * np.exp(x)), exp_each, x, up, rng(), what="grad_x")

    @pytest.mark.parametrize("error", [1e-1, 1e-2, 1e-3])
    @pytest.mark.parametrize("seed", range(3))
    def test_a_slightly_wrong_gradient_fails(self, error: float, seed: int) -> None:
        up = np.ones_like(self.small)
        fails(gradient, np.exp(self.small) + error, exp_each, self.small, up, rng(seed))

    def test_a_wrong_gradient_of_a_function_with_a_large_offset_fails(self) -> None:
        up = np.ones_like(self.small)
        fails(gradient, up + 0.05, lambda xs: [1e8 + x for x in xs], self.small, up, rng())

    def test_the_message_names_the_rate(self) -> None:
        up = np.ones_like(self.small)
        error = fails(gradient, -np.exp(self.small), exp_each, self.small, up, rng(), what="grad_x")
        assert error.detail is not None
        assert "rate 1.0" in error.detail.en
        assert error.message.en.startswith("grad_x is")
        assert error.worst is not None
