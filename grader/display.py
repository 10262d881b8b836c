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


def show(value: Any) -> Json:
    """A plain tree of lists, numbers and words; not-a-number and infinities as words."""
    if isinstance(value, Answer):
        return show(value._step.value)
    if isinstance(value, Tensor):
        return show(value.array)
    if isinstance(value, np.generic):
        return show(np.asarray(value))
    if isinstance(value, np.ndarray):
        return _array(value)
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


def _array(array: np.ndarray[Any, Any]) -> Json:
    if array.size <= WHOLE and max(array.shape, default=0) <= WHOLE:
        return _tree(array.tolist())
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "first_values": _tree(array.ravel()[:FIRST].tolist()),
    }


def _tree(value: Any) -> Json:
    if isinstance(value, list):
        return [_tree(item) for item in value]
    if isinstance(value, complex):
        return str(value)
    return value if isinstance(value, bool) else plain_number(value)


def show_input(steps: Sequence[Step], step: Step, at: int | None = None) -> Json:
    """The call that gave the value: its name and arguments, and before it the calls on the same object.

    at: which call of several made at once.
    """
    args: Any = step.args
    if at is not None and at < len(args):
        args = args[at] if isinstance(args[at], tuple) else (args[at],)
    shown: dict[str, Json] = {"call": step.call, "args": [show(arg) for arg in args]}
    target = step.request[2]
    before = [
        {"call": other.call, "args": [show(arg) for arg in other.args]}
        for other in steps[: steps.index(step)]
        if target is not None and other.request[2] == target and other.operation in ("call", "set")
    ]
    return {**shown, "before": before[-3:]} if before else shown


def cell_text(value: Json) -> str:
    """A number or word as people write it: six significant digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def calls_text(shown: Json) -> list[str]:
    """A shown input as lines of code: the calls on the same object before it, then the call itself."""
    return [call_text(call) for call in (*shown.get("before", ()), shown)]


def call_text(shown: Json) -> str:
    """A shown call as one line of code."""
    args = ", ".join(_short(arg) for arg in shown["args"])
    return f"{shown['call']}({args})"


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
