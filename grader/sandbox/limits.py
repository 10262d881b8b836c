"""What a check may use, and how strong a machine's isolation is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
