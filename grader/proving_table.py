"""The matrix that `grader prove` prints: mistakes down, checks across."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text as Line

from grader.assignments import Assignment
from grader.proving import Proof
from grader.reports import CheckResult, ReportStatus, Status


def matrix(assignment: Assignment, proofs: Sequence[Proof]) -> RenderableType:
    """One row a variant; a column a check, numbered and listed below.

    N the check fails and names the mistake, x it fails, - it was not reached, . it passes.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0), pad_edge=False, width=80)
    table.add_column("variant", ratio=1, overflow="fold")
    table.add_column("score", justify="right", width=7)
    table.add_column(" " + "".join(str((at + 1) % 10) for at in range(len(assignment.checks))), no_wrap=True)
    table.add_column(" holds", width=9)
    for proof in proofs:
        table.add_row(
            proof.name, f"{proof.report.score:g} ", " " + _row(assignment, proof), " no" if proof.faults else " yes"
        )
    legend = [Line(f"{at + 1:3d} {check.id} ({check.points:g})") for at, check in enumerate(assignment.checks)]
    faults = [Line(f"{proof.name} {fault}") for proof in proofs for fault in proof.faults]
    holds = sum(not proof.faults for proof in proofs)
    end = Line(f"{holds} of {len(proofs)} hold", style="bold")
    key = Line("N fails and names the mistake   x fails   - not reached   . passes   (blank) not run")
    return Group(table, key, *legend, *faults, end)


def _row(assignment: Assignment, proof: Proof) -> str:
    if proof.report.status is not ReportStatus.GRADED:
        return str(proof.report.status)
    signs = {check.id: _sign(proof.name, check) for check in proof.report.checks}
    return "".join(signs.get(check.id, " ") for check in assignment.checks)


def _sign(name: str, check: CheckResult) -> str:
    if check.status is Status.FAILED:
        return "N" if check.mistake == name else "x"
    return "." if check.status is Status.PASSED else "-"
