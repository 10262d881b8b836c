"""What a grading says: frozen records, standard library only, the bottom of the import order.

Every sentence a person reads exists in English and Chinese from the moment it is made (`Text`), so
a stored report can be shown in either language without grading again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Language = Literal["en", "zh"]
Json = Any  # a tree of None, bool, int, float, str, list and dict that json.dumps takes as it is


class ReportStatus(StrEnum):
    """How a grading ended."""

    GRADED = "graded"
    NOT_GRADABLE = "not_gradable"  # nothing to run: costs no attempt
    GRADER_ERROR = "grader_error"  # our own fault: costs neither points nor an attempt


class Status(StrEnum):
    """How one check ended. Not proven means no points, so only PASSED carries any."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """One sentence or short paragraph in both languages."""

    en: str
    zh: str

    def say(self, lang: Language) -> str:
        return self.zh if lang == "zh" else self.en

    def __add__(self, other: Text) -> Text:
        """Two texts as one paragraph. Chinese needs no space between sentences."""
        return Text(en=f"{self.en} {other.en}", zh=f"{self.zh}{other.zh}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Worst:
    """Where got and expected are furthest apart.

    `difference` is the absolute difference there; infinite when one side is NaN or infinite.
    """

    index: tuple[int, ...]
    difference: float


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """The outcome of one check, with everything a student needs to see why."""

    id: str
    part: str
    title: Text
    status: Status
    points: float
    max_points: float
    message: Text | None = None
    mistake: str | None = None
    got: Json = None
    expected: Json = None
    worst: Worst | None = None
    input: Json = None
    wall_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PartScore:
    name: str
    score: float
    max_score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """A piece of the upload that was not run, and why."""

    where: Text  # "code cell 3, lines 1-4" or "lines 10-12"
    what: str  # the first line of it, shortened
    why: Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One grading of one file against one version of one assignment."""

    assignment: str
    assignment_version: str
    status: ReportStatus
    score: float
    max_score: float
    parts: tuple[PartScore, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[Text, ...] = ()
    printed: str = ""
    seed: str = ""
    runtime: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    file: str = ""

    @property
    def message(self) -> Text | None:
        """Why there is no grade; the first note of a report that is not `graded`."""
        return None if self.status is ReportStatus.GRADED or not self.notes else self.notes[0]

    def to_json(self, lang: Language = "en") -> dict[str, Json]:
        """The documented JSON object; numbers that JSON cannot hold become words such as "nan"."""
        return {
            "file": self.file,
            "assignment": self.assignment,
            "assignment_version": self.assignment_version,
            "status": str(self.status),
            "score": plain_number(self.score),
            "max_score": plain_number(self.max_score),
            "parts": [
                {"name": p.name, "score": plain_number(p.score), "max_score": plain_number(p.max_score)}
                for p in self.parts
            ],
            "checks": [_check_json(c, lang) for c in self.checks],
            "left_out": [{"where": o.where.say(lang), "what": o.what, "why": o.why.say(lang)} for o in self.left_out],
            "notes": [n.say(lang) for n in self.notes],
            "printed": self.printed,
            "seed": self.seed,
            "runtime": dict(self.runtime),
            "mode": self.mode,
            "timings_ms": dict(self.timings_ms),
        }


def _check_json(check: CheckResult, lang: Language) -> dict[str, Json]:
    return {
        "id": check.id,
        "part": check.part,
        "title": check.title.say(lang),
        "status": str(check.status),
        "points": plain_number(check.points),
        "max_points": plain_number(check.max_points),
        "message": None if check.message is None else check.message.say(lang),
        "mistake": check.mistake,
        "got": check.got,
        "expected": check.expected,
        "worst": None
        if check.worst is None
        else {"index": list(check.worst.index), "difference": plain_number(check.worst.difference)},
        "input": check.input,
        "wall_ms": check.wall_ms,
    }


def plain_number(x: float) -> float | int | str:
    """A number for JSON: whole floats as integers, NaN and infinities as words."""
    if isinstance(x, int):
        return x
    if not math.isfinite(x):
        return "nan" if math.isnan(x) else ("inf" if x > 0 else "-inf")
    return int(x) if x == int(x) and abs(x) < 2**53 else x
