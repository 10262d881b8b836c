"""Proof of an assignment: solution full marks, starter nothing, every mistake loses points and is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from grader.assignments import Assignment, Mistake
from grader.checks import Check
from grader.grading import Engine
from grader.reports import Report, ReportStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """One graded variant. faults: what it does not do as it should, in words; empty when it holds."""

    name: str
    report: Report
    mistake: Mistake | None = None
    faults: tuple[str, ...] = ()

    @property
    def named(self) -> bool:
        return self.mistake is not None and any(check.mistake == self.mistake.name for check in self.report.checks)


def prove(engine: Engine, assignment: Assignment, *, quick: bool = False) -> Iterator[Proof]:
    """Grades solution, starter and every mistake, one after the other.

    quick: mistakes without the checks that are not replayed, which are long and name none.
    """
    for name, source in (("solution", assignment.solution), ("starter", assignment.starter)):
        report = engine.grade(assignment, f"{name}.py", source.encode())
        yield Proof(name=name, report=report, faults=tuple(_faults(name, assignment, report)))
    short = short_of(assignment) if quick else assignment
    for mistake in assignment.mistakes:
        source = assignment.mistaken_solution(mistake)
        report = engine.grade(short, f"{mistake.name}.py", source.encode())
        yield Proof(name=mistake.name, report=report, mistake=mistake, faults=tuple(_mistaken(mistake, report)))


def short_of(assignment: Assignment) -> Assignment:
    """The assignment without its long checks, and without what requires them."""
    kept: list[Check] = []
    for check in assignment.checks:
        if check.replay and set(check.requires) <= {other.id for other in kept}:
            kept.append(check)
    return replace(assignment, checks=tuple(kept))


def _faults(name: str, assignment: Assignment, report: Report) -> Iterator[str]:
    if report.status is ReportStatus.GRADER_ERROR:
        yield "the grader failed"
    elif name == "solution" and report.score != assignment.max_score:
        yield f"scores {report.score:g} of {assignment.max_score:g}{_first_failure(report)}"
    elif name == "starter" and report.score != 0:
        yield f"scores {report.score:g} instead of 0"


def _first_failure(report: Report) -> str:
    """Of a solution that should have none: the check and what it says, for the author."""
    said = next((check for check in report.to_fix if check.message is not None), None)
    if said is None or said.message is None:
        return f": {report.message.en}" if report.message else ""
    return f": {said.id}: {said.message.en}"


def _mistaken(mistake: Mistake, report: Report) -> Iterator[str]:
    if report.status is not ReportStatus.GRADED:
        yield f"is {report.status}: {report.message.en if report.message else ''}"
        return
    if report.score >= report.max_score:
        yield "loses no points"
    named = {check.mistake for check in report.checks if check.mistake}
    if mistake.name not in named:
        yield "is not named" + (f" (named instead: {', '.join(sorted(named))})" if named else "")
    elif named != {mistake.name}:
        yield f"is also taken for {', '.join(sorted(named - {mistake.name}))}"
