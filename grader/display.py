"""Values as JSON that a person can read: small arrays whole, large ones by shape and first values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from grader.reports import Json, plain_number
from grader.sandbox.child import clean_text
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import Answer, RemoteObject, Step

WHOLE = 64  # elements of an array that is shown whole
FIRST = 8
MAX_TEXT = 300


def show(value: Any, index: Sequence[int] = ()) -> Json:
    """A plain tree of lists, numbers and words; not-a-number and infinities as words.

    index: of the entry that matters; of a large array the values around it are shown.
    """
    if isinstance(value, Answer):
        step = value._step
        if step.operation == "get" and (step.value is None or isinstance(step.value, Handle)):
            return f"<{clean_text(step.call, 100)}>"  # a function by its name
        return show(step.value, index)
    if isinstance(value, Tensor):
        return show(value.array, index)
    if isinstance(value, np.generic):
        return show(np.asarray(value))
    if isinstance(value, np.ndarray):
        return _array(value, index)
    if isinstance(value, RemoteObject):
        return show(value._step.args[0] if value._step.operation == "put" else value._step.value)
    if isinstance(value, Handle):
        return f"<{clean_text(value.kind, 100)}>"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return plain_number(value)
    if isinstance(value, str):
        return clean_text(value, MAX_TEXT)
    if isinstance(value, (list, tuple)):
        return [show(item) for item in value[:FIRST]]
    if isinstance(value, dict):
        return {clean_text(str(key), 100): show(item) for key, item in list(value.items())[:FIRST]}
    return f"<{type(value).__name__}>"


def _array(array: np.ndarray[Any, Any], index: Sequence[int] = ()) -> Json:
    if array.size <= WHOLE and max(array.shape, default=0) <= WHOLE:
        return _tree(array.tolist())
    large: dict[str, Json] = {"shape": list(array.shape), "dtype": str(array.dtype)}
    if len(index) != array.ndim or any(not 0 <= i < n for i, n in zip(index, array.shape, strict=True)):
        return {**large, "first_values": _tree(array.ravel()[:FIRST].tolist())}
    row = array[tuple(index[:-1])]
    start = max(0, min(index[-1] - FIRST // 2, len(row) - FIRST))
    return {**large, "from": [*index[:-1], start], "values": _tree(row[start : start + FIRST].tolist())}


def _tree(value: Any) -> Json:
    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, complex):
        return str(value)
    return value if isinstance(value, bool) else plain_number(value)


def show_input(steps: Sequence[Step], step: Step, at: int | None = None) -> Json:
    """The call that gave the value: its name and arguments, and before it what was done with the same object.

    at: which call of several made at once. What was set is kept, and the last three calls.
    """
    args: Any = step.args
    if at is not None and at < len(args):
        args = args[at] if isinstance(args[at], tuple) else (args[at],)
    target = step.request[2]
    earlier = [
        other
        for other in steps[: steps.index(step)]
        if target is not None and other.request[2] == target and other.operation in ("call", *_SETTING)
    ]
    given = {other.call: other for other in earlier if other.operation in _SETTING}  # the last of each name
    calls = [other for other in earlier if other.operation == "call"][-3:]
    kept = [other for other in earlier if other in calls or other is given.get(other.call)]
    shown = _call(step, args)
    return {**shown, "before": [_call(other, other.args) for other in kept[-8:]]} if kept else shown


_SETTING = ("set", "assign")


def _call(step: Step, args: Any) -> dict[str, Json]:
    """form: how it reads as code, where it is no call."""
    shown: dict[str, Json] = {"call": step.call, "args": [show(arg) for arg in args]}
    form = "set" if step.operation in _SETTING else "get" if step.operation == "get" else ""
    return {**shown, "form": form} if form else shown


def cell_text(value: Json) -> str:
    """A number or word as people write it: six significant digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def calls_text(shown: Json) -> list[str]:
    """A shown input as lines of code: the calls on the same object before it, then the call itself."""
    return [call_text(call) for call in (*shown.get("before", ()), shown)]


def call_text(shown: Json) -> str:
    """A shown call as one line of code."""
    args = ", ".join(_short(arg) for arg in shown["args"])
    if shown.get("form") == "get":
        return str(shown["call"])
    return f"{shown['call']} = {args}" if shown.get("form") == "set" else f"{shown['call']}({args})"


def large_text(value: Json) -> str:
    """A large array on one line: a few values and where they stand."""
    if "values" in value:
        place, values = "[" + ", ".join(map(str, value["from"])) + "...]", value["values"]
    else:
        place, values = "[0...]", value["first_values"]
    return f"{place} " + " ".join(cell_text(item) for item in values)


def _short(value: Json) -> str:
    """An argument on one line: written out while a person can follow it, else its shape."""
    if isinstance(value, dict) and "shape" in value:
        return f"array of shape {tuple(value['shape'])}"
    if isinstance(value, list):
        shape = _shape(value)
        if shape is not None and math.prod(shape) > 8:
            return f"array of shape {shape}"
        return "[" + ", ".join(_short(v) for v in value) + "]"
    return cell_text(value)


def _shape(value: Json) -> tuple[int, ...] | None:
    """The shape of nested lists that form an array, else None."""
    if not isinstance(value, list):
        return ()
    inner = [_shape(item) for item in value]
    first = inner[0] if inner else ()
    if first is None or any(other != first for other in inner):
        return None
    return (len(value), *first)
