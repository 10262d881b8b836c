"""Every sentence for students: in both languages, without exclamation marks, with the facts in it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grader import wording
from grader.numerics import Tolerance, compare
from grader.reports import Text
from grader.sandbox.child import Reason
from grader.sandbox.limits import CheckLimits
from grader.sandbox.wire import Handle, Tensor

WHERE = Text(en="line 3", zh="第 3 行")
LIMITS = CheckLimits(cpu_s=2.5, wall_s=7.5, memory_mib=300, output_kib=17)


def differs(got: Any, expected: Any, what: str = "") -> Text:
    found = compare(got, np.asarray(expected), Tolerance())
    assert found is not None
    return wording.difference(found, what)


SENTENCES: dict[str, tuple[Callable[[], Text], list[str]]] = {
    "nothing": (lambda: differs(None, 1.0), ["None", "return"]),
    "no array": (lambda: differs("x", [1.0, 2.0]), ["a str", "(2,)"]),
    "a list": (lambda: differs([1], [1.0]), ["a list of 1"]),
    "shape": (lambda: differs(np.ones(2), np.ones(3)), ["(2,)", "(3,)"]),
    "mean missing": (lambda: differs(np.ones(5), 1.0), ["(5,)", "()", "mean"]),
    "transposed": (lambda: differs(np.ones((2, 3)), np.ones((3, 2))), ["(2, 3)", "transposed"]),
    "dtype": (lambda: differs(True, 1.0), ["bool", "float64"]),
    "NaN": (lambda: differs(np.array([1, math.nan]), [1.0, 2.0]), ["nan", "[1]", "2"]),
    "infinite": (lambda: differs(math.inf, 2.0), ["inf"]),
    "value": (
        lambda: differs(np.array([[1.0, 2.5]]), [[1.0, 2.0]], "grad_W"),
        ["grad_W", "2.5", "[0, 1]", "off by 0.5"],
    ),
    "complex value": (lambda: differs(np.array([1j]), [2j]), ["1j", "2j"]),
    "not finite": (lambda: wording.not_finite(np.array([math.nan]), "the loss"), ["The loss", "NaN"]),
    "infinities": (lambda: wording.not_finite(np.array([math.inf]), ""), ["infinite"]),
    "wrong count": (lambda: wording.wrong_count((1, 2, 3), ["a", "b"]), ["2 values", "(a, b)", "a tuple of 3"]),
    "wrong form": (lambda: wording.wrong_form(Handle(1, "Foo")), ["Foo"]),
    "taylor": (lambda: wording.taylor(1.04), ["1.0", "2"]),
    "modified": (lambda: wording.modified("W"), [" W "]),
    "raised": (
        lambda: wording.raised("ValueError", "no\nmore", "f", WHERE, " x = 1 "),
        ["f raised ValueError: no", "line 3", "x = 1"],
    ),
    "raised bare": (lambda: wording.raised("KeyError", "", "f", None, ""), ["f raised KeyError"]),
    "refused": (lambda: wording.refused("the result is a set.", "f"), ["f: the result is a set."]),
    "missing binding": (
        lambda: wording.missing_binding("np", WHERE, "ImportError: x"),
        ["np", "line 3", "ImportError: x"],
    ),
    "banned": (
        lambda: wording.banned(["tf.nn.softmax", "tf.sigmoid"], "softmax", WHERE),
        ["tf.nn.softmax, tf.sigmoid", "line 3"],
    ),
    "banned somewhere": (lambda: wording.banned(["Softmax"], "softmax", None), ["Softmax"]),
    "needs": (lambda: wording.needs(Text(en="A title", zh="标题")), ["A title"]),
    "out of time": (wording.out_of_time, ["time"]),
    "slow": (
        lambda: wording.slow(
            "train_one_step", Text(en="training steps", zh="步训练"), 3.14159, 10, done=31, planned=50
        ),
        ["train_one_step", "10 s", "31 of 50 training steps", "3.14"],
    ),
    "slow on its own": (lambda: wording.slow("", Text(en="epochs", zh="轮训练"), 2.5, 20), ["Your code", "2.5 epochs"]),
    "hidden": (wording.hidden_failed, ["hidden"]),
    "not loaded": (lambda: wording.not_loaded(Text(en="Why.", zh="原因。")), ["Why."]),
    "numpy for tensor": (lambda: wording.numpy_for_tensor(["softmax", "sigmoid"]), ["softmax, sigmoid"]),
    "same error": (
        lambda: wording.same_error(3, "NameError: x", WHERE, elsewhere=True),
        ["3", "NameError: x", "line 3"],
    ),
    "grader fault": (wording.grader_fault, ["neither points nor an attempt"]),
    "nothing written": (lambda: wording.nothing_written(["f", "g"]), ["f, g"]),
    "given": (lambda: wording.given("Softmax"), ["Softmax", "starter"]),
    "statement failed": (lambda: wording.statement_failed(WHERE, "OSError: y"), ["line 3", "OSError: y"]),
    "not sandboxed": (wording.not_sandboxed, ["not for credit"]),
}


def ends(reason: Reason) -> Callable[[], Text]:
    return lambda: wording.ended(reason, "SIGSEGV", "Relu.forward", LIMITS)


SENTENCES |= {f"ended: {reason}": (ends(reason), ["Relu.forward"]) for reason in Reason}


def is_good(text: Text) -> None:
    assert text.en.strip() == text.en
    assert text.en
    assert any("\u4e00" <= c <= "\u9fff" for c in text.zh), f"no Chinese in {text.zh!r}"
    for mark in "!！":
        assert mark not in text.en + text.zh


@pytest.mark.parametrize(("make", "words"), SENTENCES.values(), ids=SENTENCES.keys())
def test_sentence(make: Callable[[], Text], words: list[str]) -> None:
    text = make()
    is_good(text)
    for word in words:
        assert word in text.en


def test_every_sentence_is_in_the_table() -> None:
    source = inspect.getsource(inspect.getmodule(test_sentence))  # type: ignore[arg-type]
    makers = [
        name
        for name, thing in vars(wording).items()
        if inspect.isfunction(thing) and not name.startswith("_") and thing.__annotations__.get("return") == "Text"
    ]
    assert len(makers) > 15
    assert [name for name in makers if f"wording.{name}" not in source] == []


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (Reason.WALL, "7.5 s"),
        (Reason.CPU, "2.5 s"),
        (Reason.MEMORY, "300 MiB"),
        (Reason.OUTPUT, "17 KiB"),
        (Reason.SIGNAL, "SIGSEGV"),
    ],
)
def test_the_limit_is_named(reason: Reason, words: str) -> None:
    text = wording.ended(reason, "SIGSEGV", "", LIMITS)
    assert words.split()[0] in text.en
    assert words.split()[0] in text.zh
    assert "  " not in text.en


@pytest.mark.parametrize(
    ("type_name", "message", "word"),
    [
        (
            "InvalidArgumentError",
            "cannot compute Mul as input #1(zero-based) was expected to be a double tensor",
            "tf.cast",
        ),
        ("AttributeError", "module 'tensorflow' has no attribute 'log'", "tf.math.log"),
        ("TypeError", "reduce_sum() got an unexpected keyword argument 'dims'", "axis"),
        ("MemoryError", "", "memory"),
        ("NotImplementedError", "", "to be written"),
        ("FileNotFoundError", "no such file", "out of reach"),
        ("ValueError", "something else", None),
        ("AttributeError", "module 'tensorflow' has no attribute 'xyz'", None),
    ],
)
def test_advice(type_name: str, message: str, word: str | None) -> None:
    text = wording.advise(type_name, message)
    if word is None:
        assert text is None
    else:
        assert text is not None
        is_good(text)
        assert word in text.en


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (1.0, "1"),
        (0.1234567, "0.123457"),
        (1e-12, "1e-12"),
        (-0.5, "-0.5"),
        (True, "1"),
        (np.float32(0.5), "0.5"),
        (1 + 2j, "1+2j"),
        (np.complex64(1 + 2j), "1+2j"),
        (math.nan, "nan"),
        (10**20, "1e+20"),
    ],
)
def test_number(x: Any, text: str) -> None:
    assert wording.number(x) == text


@pytest.mark.parametrize(
    ("value", "text"), [(np.ones(2), "(2,)"), (1.0, "()"), (np.ones((2, 3)), "(2, 3)"), ((4,), "(4,)")]
)
def test_shape(value: Any, text: str) -> None:
    assert wording.shape(value) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Tensor("tensorflow", np.ones(1)), "a tensor"),
        (np.ones((2, 3)), "(2, 3)"),
        (None, "None"),
        ({}, "a dict"),
        (Handle(0, "set"), "set"),
        ((1, 2), "a tuple of 2"),
    ],
)
def test_kind_of(value: Any, words: str) -> None:
    assert words in wording.kind_of(value)[0]


def test_a_very_long_message_is_cut() -> None:
    assert len(wording.raised("E", "x" * 5000, "f", WHERE, "y" * 5000).en) < 600
