"""The loop of a child: reads questions, lets the driver answer them, and the rehearsal before the first one."""

from __future__ import annotations

import ctypes
import io
import os
import sys
import warnings
from typing import Any

import numpy as np

from grader.sandbox import plotting, substitutes, warming, wire
from grader.sandbox.driver import Driver
from grader.sandbox.values import Budget

_PR_SET_NAME = 15


def run(job_read: int, job_write: int, runtime: str) -> None:
    """Warms the runtime up, says READY, serves requests until BYE or the end of the pipe."""
    stream = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", errors="backslashreplace")
    sys.stdout = sys.stderr = stream
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    substitutes.install(runtime)
    warnings.simplefilter("ignore")
    warming.warm(runtime)
    rehearse(2)
    drawings = plotting.Drawings()
    driver = Driver(runtime)
    _write(job_write, wire.frame(wire.READY, 0, wire.encode(None)))
    while True:
        kind, call_id, length = wire.parse_header(_read(job_read, wire.HEADER_BYTES))
        steps = wire.decode(_read(job_read, length), wire.REQUEST_LIMITS)
        if kind == wire.BYE:
            return
        driver.used.clear()
        driver.budget = Budget()
        values: list[wire.Value] = []
        try:
            for number, step in enumerate(steps):
                announce(number)
                if step[0] == "begin":
                    drawings.left = plotting.MOST_A_CHECK
                values.append(driver.step(step))
            payload = wire.encode({"values": values, "used": sorted(driver.used), **drawings.collect()})
            answer = wire.frame(wire.RESULT, call_id, payload)
        except BaseException as error:  # SystemExit and KeyboardInterrupt of the student are answers too
            failure = {**driver.failure(error), "values": values, "used": sorted(driver.used), **drawings.collect()}
            answer = wire.frame(wire.ERROR, call_id, wire.encode(failure))
            del error
        try:
            stream.flush()
        finally:
            _write(job_write, answer)


_REHEARSAL = """
import numpy as np
SCALE = 2.0
class Layer:
    def __init__(self):
        self.mem = {}
    def forward(self, x, W):
        self.mem = {"x": x, "W": W}
        return np.matmul(x, W) * SCALE
    def backward(self, grad):
        return np.matmul(grad, self.mem["W"].T), np.matmul(self.mem["x"].T, grad)
def double(x):
    return np.where(x > 0, np.exp(-np.maximum(x, 0)), 1 / (1 + abs(x))) + np.sum(x, axis=-1, keepdims=True)
def broken(x):
    raise ValueError("rehearsal")
"""


def rehearse(times: int) -> None:
    """Goes through every kind of step, over the real codec, and leaves nothing behind.

    The interpreter adapts its code to what it runs, and a page that was written once need not be copied again: done
    in the zygote this serves all its children, done in a parked child it touches the child's own pages.
    """
    x = np.array([[1.0, -2.0], [0.5, 3.0]])
    first, second = wire.Handle(1), wire.Handle(2)
    steps: list[list[Any]] = [
        ["new", 1, None, "Layer", [], {}],
        ["call", 2, first, "forward", [x, x], {}],
        ["call", 3, first, "backward", [second], {}],
        ["item", 4, wire.Handle(3), "", [0, 2], {}],
        ["put", 5, None, "", [x], {}],
        ["value", 6, wire.Handle(5), "", [], {}],
        ["map", 7, first, "forward", [np.stack([x, x]), np.stack([x, x])], {}],
        ["each", 8, None, "double", [[x], [x[0]]], {}],
        ["get", 9, first, "mem", [], {}],
        ["set", 10, first, "mem", [{"x": x}], {}],
        ["call", 11, None, "broken", [x], {}],
    ]
    driver = Driver("numpy")
    driver.load(source=_REHEARSAL, file="rehearsal", modules={}, watch=[], ops=[], seed=0)
    for _ in range(times):
        driver.begin(0)
        driver.budget = Budget()
        values = []
        for number, step in enumerate(wire.decode(wire.encode(steps), wire.REQUEST_LIMITS)):
            announce(number)
            try:
                values.append(driver.step(step))
            except ValueError as error:
                values.append(driver.failure(error)["type"])
        wire.frame(wire.RESULT, 0, wire.encode({"values": values, "used": []}))
    del sys.modules["rehearsal"]


_libc = ctypes.CDLL(None)


def announce(number: int) -> None:
    """Writes the number of the step into the process's name, where the grader reads it when the step never ends."""
    _libc.prctl(_PR_SET_NAME, b"step %d" % number, 0, 0, 0)


def _read(fd: int, count: int) -> bytes:
    pieces: list[bytes] = []
    while count:
        piece = os.read(fd, min(count, 1 << 20))
        if not piece:
            os._exit(0)
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
