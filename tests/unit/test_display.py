"""Values as JSON for people: small ones whole, large ones by shape, nothing that JSON cannot hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grader.display import FIRST, MAX_TEXT, WHOLE, calls_text, show, show_input
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import Step, Subject


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2.0, 2),
        (2.5, 2.5),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ("text", "text"),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array(2.0), 2),
        (np.array([[1.0, math.nan], [math.inf, 0.5]]), [[1, "nan"], ["inf", 0.5]]),
        (np.array([True, False]), [True, False]),
        (np.array([1 + 2j]), ["(1+2j)"]),
        (np.zeros((0, 3)), []),
        (Tensor("torch", np.array([1.0])), [1]),
        ((1, [2.5]), [1, [2.5]]),
        ({"a": math.nan, 1: None}, {"a": "nan", "1": None}),
        (Handle(3, "Relu"), "<Relu>"),
        (b"raw", "<bytes>"),
        pytest.param(object(), "<object>", id="an object"),  # its own name would hold an address
    ],
    ids=repr,
)
def test_show(value: Any, shown: Any) -> None:
    assert show(value) == shown
    assert type(show(value)) is type(shown)


@pytest.mark.parametrize("size", [WHOLE, WHOLE + 1])
def test_large_arrays_show_shape_dtype_and_first_values(size: int) -> None:
    shown = show(np.arange(size, dtype=np.float32))
    if size <= WHOLE:
        assert shown == list(range(size))
    else:
        assert shown == {"shape": [size], "dtype": "float32", "first_values": list(range(FIRST))}


def test_long_things_are_cut() -> None:
    assert len(show("x" * 5000)) == MAX_TEXT
    assert len(show(list(range(5000)))) == FIRST
    assert len(show({i: i for i in range(5000)})) == FIRST


@given(
    hnp.arrays(
        st.sampled_from(["f2", "f4", "f8", "i8", "?", "c16"]).map(np.dtype), hnp.array_shapes(min_side=0, max_side=9)
    )
)
@settings(deadline=None)
def test_every_array_is_strict_json(array: np.ndarray[Any, Any]) -> None:
    json.dumps(show(array), allow_nan=False)


@pytest.mark.parametrize(
    ("args", "at", "shown"),
    [
        ((1.5, np.ones(2)), None, [1.5, [1, 1]]),
        ((np.ones(1), np.zeros(1)), 1, [[0]]),
        (((1, 2), (3, 4)), 0, [1, 2]),
        ((1, 2), 5, [1, 2]),
        ((), None, []),
    ],
)
def test_show_input(args: tuple[Any, ...], at: int | None, shown: Any) -> None:
    step = Step(["call", 1, None, "f", [], {}], call="f", args=args)
    assert show_input([step], step, at) == {"call": "f", "args": shown}


def test_the_calls_on_the_same_object_come_before() -> None:
    steps = [
        Step([operation, slot, on, name, [], {}], call=name, args=(slot,))
        for slot, (operation, on, name) in enumerate(
            [
                ("new", None, "A"),
                ("call", 1, "one"),
                ("call", 2, "other"),
                ("get", 1, "x"),
                ("set", 1, "two"),
                ("call", 1, "three"),
            ]
        )
    ]
    shown = show_input(steps, steps[-1])
    assert [call["call"] for call in shown["before"]] == ["one", "two"]
    assert (shown["call"], shown["args"]) == ("three", [5])
    assert "before" not in show_input(steps, steps[0])


def test_answers_and_objects_as_inputs(subject_of: Callable[..., tuple[Subject, Any]]) -> None:
    student, _ = subject_of(f=lambda x: x * 2)
    held = student.hold(np.ones(2))
    answer = student.f(held)
    assert np.array_equal(answer, [2, 2])
    step = Step(["call", 1, None, "g", [], {}], call="g", args=(held, answer))
    assert show_input([step], step)["args"] == [[1, 1], [2, 2]]


def test_of_a_large_array_the_values_around_the_worst_are_shown() -> None:
    array = np.arange(78_500.0).reshape(785, 100)
    assert show(array, (626, 82)) == {
        "shape": [785, 100], "dtype": "float64", "from": [626, 78], "values": list(range(62678, 62686)),
    }  # fmt: skip
    assert show(array, (784, 99))["from"] == [784, 92]
    assert show(array, (0, 1))["from"] == [0, 0]
    for misfit in ((), (3,), (785, 0), (0, 100), (0, 0, 0)):
        assert "first_values" in show(array, misfit)


def test_settings_and_attributes_read_as_code() -> None:
    def step(operation: str, call: str, *args: Any) -> Step:
        return Step([operation, 1, Handle(7), "", [], {}], call=call, args=args, done=True)

    steps = [
        step("assign", "net.W1", np.ones((1, 2))), step("set", "net.W2", 3), step("assign", "net.W1", np.zeros((1, 2))),
        *(step("call", "net.forward", at) for at in range(4)), step("get", "net.W1_grad"),
    ]  # fmt: skip
    assert calls_text(show_input(steps, steps[-1])) == [
        "net.W2 = 3", "net.W1 = [[0, 0]]", "net.forward(1)", "net.forward(2)", "net.forward(3)", "net.W1_grad",
    ]  # fmt: skip
