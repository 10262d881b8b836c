"""Limits of a check and the names of the modes."""

from __future__ import annotations

import dataclasses
import math

import pytest

from grader.sandbox.limits import CheckLimits, Mode, SubmissionLimits


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(CheckLimits)])
@pytest.mark.parametrize("value", [0, -1, math.nan, -math.inf])
def test_a_limit_must_be_greater_than_0(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(CheckLimits(), **{name: value})  # type: ignore[arg-type]


def test_limits_are_frozen_and_named() -> None:
    limits = CheckLimits(cpu_s=0.1, memory_mib=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.cpu_s = 100.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        CheckLimits(1.0)  # type: ignore[call-arg]


def test_a_submission_may_run_several_checks_to_their_limits() -> None:
    whole, one = SubmissionLimits(), CheckLimits()
    assert whole.wall_s >= 2 * one.wall_s
    assert whole.cpu_s >= 2 * one.cpu_s
    assert whole.children >= 2


def test_modes_by_their_letters() -> None:
    assert [str(mode) for mode in Mode] == ["A", "B", "C", "D"]
    with pytest.raises(ValueError, match="E"):
        Mode("E")
