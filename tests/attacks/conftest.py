"""Fixtures of the attack tests: the arena with the invariants around every test, and a whole service."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from grader.errors import SandboxError
from grader.sandbox import pool
from grader.sandbox.limits import Mode
from tests.integration.conftest import kit, shared_kit  # noqa: F401

from .arena import RUNNER, Arena


def unavailable(reason: str) -> None:
    """No sandbox here: a skip on a developer's machine, a failure where the tests decide about a change."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_arena() -> Iterator[Arena]:
    if not RUNNER.exists():
        unavailable(f"there is no runner environment at {RUNNER}; run: make setup")
    # Recycling has a test of its own; here it would look like a leak in whichever test it happens.
    often, pool._FORKS_A_ZYGOTE = pool._FORKS_A_ZYGOTE, 1_000_000
    try:
        arena = Arena()
    except SandboxError as error:
        unavailable(f"the sandbox does not start here: {error}")
        raise
    if arena.sandbox.mode not in (Mode.A, Mode.B):
        arena.close()
        unavailable(f"the sandbox is mode {arena.sandbox.mode} here; mode A or B is needed")
    yield arena
    arena.close()
    pool._FORKS_A_ZYGOTE = often


@pytest.fixture
def arena(shared_arena: Arena) -> Iterator[Arena]:
    """The arena, with invariants I3, I4 and I7 around the test."""
    before, pid = shared_arena.settled(), shared_arena.zygote_pid()
    yield shared_arena
    assert shared_arena.threads_of_zygote() == 1
    assert shared_arena.grade("").report.score == 100
    assert shared_arena.zygote_pid() == pid
    after = shared_arena.settled(before)
    assert after.within(before), (before, after)
