"""What a check may use, and how strong a machine's isolation is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Mode(StrEnum):
    """How much isolation there is; see docs/explanation/threat-model.md."""

    A = "A"  # every namespace, seccomp, Landlock, a cgroup with limits
    B = "B"  # as A without Landlock or without a writable cgroup
    C = "C"  # seccomp and Landlock only: inside a dedicated container, by explicit consent
    D = "D"  # nothing: only an author's own code, never for credit


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckLimits:
    """Limits of one check: CPU and wall seconds, memory above the bare runtime, printed output."""

    cpu_s: float = 5.0
    wall_s: float = 10.0
    memory_mib: int = 1024
    output_kib: int = 1024

    def __post_init__(self) -> None:
        for name in ("cpu_s", "wall_s", "memory_mib", "output_kib"):
            if not getattr(self, name) > 0:  # also refuses NaN
                raise ValueError(f"{name} must be greater than 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionLimits:
    """Limits of a whole submission, over all its checks and fresh children."""

    wall_s: float = 60.0
    cpu_s: float = 60.0
    children: int = 12


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """How to start the sandbox.

    runner_python: the interpreter of `.venv-runner`. runner_uid: who children are when the grader is root. mode: the
    best mode to use; a weaker one is only used as far as allow_degraded (C) and unsafe_own_code (D) permit.
    parked: children kept ready a runtime. memory_mib, cpu_s: budget of a child over its life.
    digits: a complete mnist.npz for students' code, None for the digits that come with Grader.
    """

    runner_python: Path
    runner_uid: int = 64873
    mode: Mode = Mode.A
    allow_degraded: bool = False
    unsafe_own_code: bool = False
    landlock: bool = True
    parked: int = 2
    memory_mib: int = 1024
    cpu_s: int = 60
    digits: Path | None = None
    debug: bool = False  # let launcher and zygote write to our standard error
