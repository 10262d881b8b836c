"""What may leave a child: plain values within a budget, made of a student's objects without asking their opinion."""

from __future__ import annotations

from typing import Any

import numpy as np

from grader.sandbox import wire

MAX_TYPE_NAME = 100


class Refused(Exception):
    """A value that cannot leave the child, with the reason in words for the student."""


class Budget:
    """What one reply may still carry; the grader ends a child that sends more, so it is refused here, in words."""

    def __init__(self) -> None:
        self.items, self.size = wire.DEFAULT_LIMITS.max_nodes - 500, wire.DEFAULT_LIMITS.max_bytes - (1 << 20)

    def take(self, size: int = 16) -> None:
        self.items -= 1
        self.size -= size
        if self.items < 0:
            raise Refused(f"the results hold more than {wire.DEFAULT_LIMITS.max_nodes - 500:,} items; return arrays")
        if self.size < 0:
            raise Refused(f"the results are larger than {(wire.DEFAULT_LIMITS.max_bytes >> 20) - 1} MiB")


def item(thing: Any, index: int, count: int) -> Any:
    """One part of a tuple or list that was asked for; the grader says what came instead."""
    if not isinstance(thing, (tuple, list)) or len(thing) != count:
        raise Refused(f"{count} values were asked for")
    return thing[index]


def whole_number(thing: int) -> int:
    value = int.__index__(thing)
    if value.bit_length() > 4000:
        raise Refused("the result is an integer of more than 1,200 digits")
    return value


def stacked(values: list[Any]) -> Any:
    """Arrays of one shape and dtype as one array, which travels faster than many."""
    first = values[0] if values else None
    if type(first) is not np.ndarray:
        return values
    same = all(type(v) is np.ndarray and v.shape == first.shape and v.dtype == first.dtype for v in values)
    return np.stack(values) if same else values


def handle(slot: int, thing: Any) -> wire.Handle:
    return wire.Handle(slot, type(thing).__name__[:MAX_TYPE_NAME])


def scalar_key(key: Any) -> Any:
    if type(key) in (str, int, bool, float, bytes, type(None)):
        return key
    raise Refused(f"the result is a dictionary with a key of type {type(key).__name__}")


WHOLE = 4096  # elements of an array that is compared whole


def condensed(value: Any) -> Any:
    """A value for comparing only: of a large array its shape, every n-th element, and the means of rows and columns.

    A replay gives the values of every step for every known mistake, and the weights of a small network are 600 KiB.
    """
    if isinstance(value, wire.Tensor):
        return condensed(value.array)
    if isinstance(value, (list, tuple)):
        return [condensed(item) for item in value]
    if isinstance(value, dict):
        return {key: condensed(item) for key, item in value.items()}
    if not isinstance(value, np.ndarray) or value.size <= WHOLE or value.dtype.kind not in "biuf":
        return value
    table = value.reshape(len(value), -1).astype(np.float64)
    with np.errstate(all="ignore"):
        means = [table.mean(axis=0)[:WHOLE], table.mean(axis=1)[:WHOLE]]
    some = table.ravel()[:: -(-table.size // 1024)]
    return {"shape": list(value.shape), "some": np.concatenate([some, *means])}


def plain_array(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Base-class array of one of the protocol's dtypes. Raises Refused for objects, text and dates."""
    array = array.view(np.ndarray)
    kind = array.dtype.kind
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    if kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if kind == "c" and array.dtype.itemsize > 16:
        return array.astype(np.complex128)
    if kind == "O":
        raise Refused("the result is a NumPy array of Python objects (rows of different lengths?), not of numbers")
    if kind not in "biufc":
        raise Refused(f"the result is a NumPy array of dtype {array.dtype}, not of numbers")
    return array
