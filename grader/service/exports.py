"""Grades as CSV: our own shape, and those that Canvas and Moodle import.

Spreadsheets run cells that begin with = + - @ or a tab as formulas; such text gets an apostrophe before it. Numbers are
written by us and stay numbers.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from grader.service.grades import GradeRow

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# Where numbers have a decimal comma, a spreadsheet takes the semicolon for the end of a cell, quoted or not.
_INNER = re.compile(r"([;\t\r\n]\s*)([=+\-@＝＋－＠])")


class Shape(StrEnum):
    GRADER = "grader"
    CANVAS = "canvas"
    MOODLE = "moodle"


def safe(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    begins = text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)
    text = _INNER.sub(r"\1'\2", text)
    return f"'{text}" if begins else text


def to_csv(rows: Sequence[GradeRow], shape: Shape = Shape.GRADER, *, assignments: Sequence[str] = ()) -> str:
    """One line a grade (grader), or one a student with a column for each of `assignments` (canvas, moodle)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    if shape is Shape.GRADER:
        writer.writerows(_plain(rows))
    else:
        writer.writerows(_wide(rows, shape, assignments))
    return out.getvalue()


def _plain(rows: Iterable[GradeRow]) -> Iterable[Sequence[object]]:
    yield (
        "login", "name", "email", "section", "assignment", "status", "score", "computed_score", "overridden",
        "days_late", "attempts", "submission", "updated_at",
    )  # fmt: skip
    for row in rows:
        yield (
            safe(row.login), safe(row.name), safe(row.email or ""), safe(row.section), row.assignment, str(row.status),
            _number(row.score), _number(row.computed), "yes" if row.overridden else "no", row.days_late, row.attempts,
            row.submission_id or "", row.updated_at.isoformat(timespec="seconds"),
        )  # fmt: skip


def _wide(rows: Iterable[GradeRow], shape: Shape, assignments: Sequence[str]) -> Iterable[Sequence[object]]:
    if shape is Shape.CANVAS:
        yield ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", *assignments)
    else:
        yield ("Username", "Full name", "Email address", *assignments)
    students: dict[str, tuple[GradeRow, dict[str, float | None]]] = {}
    for row in rows:
        students.setdefault(row.login, (row, {}))[1][row.assignment] = row.score
    for login, (row, scores) in students.items():
        cells = [_number(scores.get(name)) for name in assignments]
        if shape is Shape.CANVAS:
            yield (safe(row.name), "", safe(login), safe(login), safe(row.section), *cells)
        else:
            yield (safe(login), safe(row.name), safe(row.email or ""), *cells)


def _number(score: float | None) -> object:
    return "" if score is None else f"{score:.10g}"
