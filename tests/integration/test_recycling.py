"""A zygote is replaced after so many forks, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from grader.assignments import Assignment
from grader.grading import Engine
from grader.sandbox import pool
from grader.sandbox.pool import Sandbox

pytestmark = [pytest.mark.sandbox]


def test_a_worn_zygote_is_replaced(
    make_sandbox: Callable[..., Sandbox], assignments: dict[str, Assignment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_FORKS_A_ZYGOTE", 4)
    sandbox = make_sandbox(parked=1)
    engine = Engine(sandbox, b"recycling")
    assignment = assignments["numpy_autodiff"]
    first = sandbox.zygote("numpy")
    try:
        scores = [engine.grade(assignment, "hw.py", assignment.solution.encode()).score for _ in range(8)]
        assert scores == [100] * 8
        assert sandbox.zygote("numpy") is not first
    finally:
        engine.close()
