"""A worker that stood still (stopped, swapped out, a machine that was moved) does not charge that to the student."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from grader import sessions
from grader.assignments import Assignment
from grader.grading import Engine
from grader.sandbox import child as child_module
from grader.sandbox.pool import Sandbox

pytestmark = [pytest.mark.sandbox]
_HOURS_S = 7200.0


class Clock:
    """Leaps two hours ahead at a look, as for a process that is stopped before it. left: looks until then."""

    def __init__(self) -> None:
        self.left, self.ahead = 0, 0.0

    def monotonic(self) -> float:
        self.left -= 1
        if self.left == 0:
            self.ahead += _HOURS_S
        return time.monotonic() + self.ahead

    perf_counter = staticmethod(time.perf_counter)


def test_time_in_which_the_grader_stood_still_is_nobodys_fault(
    make_sandbox: Callable[..., Sandbox], assignments: dict[str, Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(make_sandbox(parked=1), b"paused")
    assignment, clock = assignments["numpy_autodiff"], Clock()
    monkeypatch.setattr(child_module, "time", clock)
    monkeypatch.setattr(sessions, "time", clock)
    try:
        for at_look in range(1, 60, 3):
            clock.left, before = at_look, clock.ahead
            assert engine.grade(assignment, "hw.py", assignment.solution.encode()).score == 100, at_look
            assert clock.ahead > before
    finally:
        engine.close()
