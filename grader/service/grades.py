"""Asking for grades: filtered, sorted, in pages that continue where the last one ended.

A page's cursor holds the sort value and the id of its last row, so rows that change meanwhile neither repeat nor hide
others. It says nothing that the rows do not say, so it is not secret; it is checked like any input.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from grader.errors import Invalid
from grader.store.models import Enrolment, Grade, Published, User
from grader.store.states import GradeStatus, Role

MOST_ROWS = 500


class Sort(StrEnum):
    """A minus before the word means descending."""

    NAME = "name"
    LOGIN = "login"
    SECTION = "section"
    SCORE = "score"
    UPDATED = "updated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which grades. Scores in points, bounds included; text: part of name or login. Empty means no condition."""

    course_id: int
    assignment: str = ""
    login: str = ""
    section: str | None = None
    status: GradeStatus | None = None
    overridden: bool | None = None
    late: bool | None = None
    least: float | None = None
    most: float | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class GradeRow:
    """One student's grade for one assignment. score, computed: none without a verdict and override."""

    id: int
    login: str
    name: str
    email: str | None
    section: str
    assignment: str
    status: GradeStatus
    score: float | None
    computed: float | None
    overridden: bool
    days_late: int
    attempts: int
    submission_id: int | None
    updated_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GradePage:
    rows: tuple[GradeRow, ...]
    next: str | None  # the cursor of the page after this one


def page(
    session: Session, wanted: Wanted, *, sort: str = "name", limit: int = 100, cursor: str | None = None
) -> GradePage:
    """A page of grades. Raises Invalid naming the parameter that makes no sense."""
    if not 1 <= limit <= MOST_ROWS:
        raise Invalid("limit", f"limit is 1 to {MOST_ROWS}.", f"limit 为 1 到 {MOST_ROWS}。")
    key, descending = _sort(sort)
    column = _columns()[key]
    query = _where(_rows(), wanted)
    if cursor is not None:
        query = query.where(_after(column, descending, key, cursor))
    order = (column.desc(), Grade.id.desc()) if descending else (column.asc(), Grade.id.asc())
    found = [GradeRow(**row) for row in session.execute(query.order_by(*order).limit(limit + 1)).mappings()]
    rows = tuple(found[:limit])
    more = _cursor(key, rows[-1]) if len(found) > limit else None
    return GradePage(rows=rows, next=more)


def everything(session: Session, wanted: Wanted, *, sort: str = "name") -> list[GradeRow]:
    """All grades that match, for exports."""
    key, descending = _sort(sort)
    column = _columns()[key]
    order = (column.desc(), Grade.id.desc()) if descending else (column.asc(), Grade.id.asc())
    return [GradeRow(**row) for row in session.execute(_where(_rows(), wanted).order_by(*order)).mappings()]


def of_student(session: Session, course_id: int, user_id: int) -> list[GradeRow]:
    """One student's grades, in the order of the assignments."""
    query = _rows().where(Published.course_id == course_id, Grade.user_id == user_id).order_by(Published.position)
    return [GradeRow(**row) for row in session.execute(query).mappings()]


def one(session: Session, published_id: int, user_id: int) -> GradeRow | None:
    query = _rows().where(Grade.published_id == published_id, Grade.user_id == user_id)
    row = session.execute(query).mappings().first()
    return None if row is None else GradeRow(**row)


def counts(session: Session, course_id: int) -> dict[str, dict[GradeStatus, int]]:
    """How many students stand where, by assignment."""
    rows = session.execute(
        select(Published.name, Grade.status, func.count())
        .join(Grade, Grade.published_id == Published.id)
        .join(Enrolment, (Enrolment.course_id == Published.course_id) & (Enrolment.user_id == Grade.user_id))
        .where(Published.course_id == course_id, Enrolment.role == Role.STUDENT)
        .group_by(Published.name, Grade.status)
    )
    found: dict[str, dict[GradeStatus, int]] = {}
    for name, status, count in rows:
        found.setdefault(name, {})[status] = count
    return found


def _rows() -> Select[*tuple[Any, ...]]:
    rows: Select[*tuple[Any, ...]] = (
        select(
            Grade.id, User.login, User.name, User.email, Enrolment.section, Published.name.label("assignment"),
            Grade.status, Grade.score, Grade.computed, Grade.overridden, Grade.days_late, Grade.attempts,
            Grade.submission_id, Grade.updated_at,
        )
        .join(Published, Published.id == Grade.published_id)
        .join(User, User.id == Grade.user_id)
        .join(Enrolment, and_(Enrolment.course_id == Published.course_id, Enrolment.user_id == Grade.user_id))
        .where(Enrolment.role == Role.STUDENT)
    )  # fmt: skip
    return rows


def _where(query: Select[*tuple[Any, ...]], wanted: Wanted) -> Select[*tuple[Any, ...]]:
    conditions: list[ColumnElement[bool]] = [Published.course_id == wanted.course_id]
    if wanted.assignment:
        conditions.append(Published.name == wanted.assignment)
    if wanted.login:
        conditions.append(User.login == wanted.login.casefold())
    if wanted.section is not None:
        conditions.append(Enrolment.section == wanted.section)
    if wanted.status is not None:
        conditions.append(Grade.status == wanted.status)
    if wanted.overridden is not None:
        conditions.append(Grade.overridden == wanted.overridden)
    if wanted.late is not None:
        conditions.append(Grade.days_late > 0 if wanted.late else Grade.days_late == 0)
    if wanted.least is not None:
        conditions.append(Grade.score >= wanted.least)
    if wanted.most is not None:
        conditions.append(Grade.score <= wanted.most)
    if wanted.since is not None:
        conditions.append(Grade.updated_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(Grade.updated_at <= wanted.until)
    if wanted.text:
        conditions.append(
            or_(User.name.icontains(wanted.text, autoescape=True), User.login.icontains(wanted.text, autoescape=True))
        )
    return query.where(*conditions)


def _sort(text: str) -> tuple[Sort, bool]:
    word = text.removeprefix("-")
    if word not in list(Sort):
        words = ", ".join(Sort)
        raise Invalid(
            "sort", f"sort is one of {words}, with a minus for descending.", f"sort 为 {words} 之一，前加减号表示降序。"
        )
    return Sort(word), text.startswith("-")


def _columns() -> dict[Sort, ColumnElement[Any]]:
    """Never null, so that rows have one order. A missing score sorts below every other."""
    return {
        Sort.NAME: User.name.expression,
        Sort.LOGIN: User.login.expression,
        Sort.SECTION: Enrolment.section.expression,
        Sort.SCORE: func.coalesce(Grade.score, -1.0),
        Sort.UPDATED: Grade.updated_at.expression,
    }


def _cursor(key: Sort, row: GradeRow) -> str:
    value = _value(key, row)
    told = [key, value.isoformat() if isinstance(value, datetime) else value, row.id]
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")


def _after(column: ColumnElement[Any], descending: bool, key: Sort, cursor: str) -> ColumnElement[bool]:
    wrong = Invalid(
        "cursor",
        "This cursor is not one that an earlier page gave for the same sort.",
        "这个 cursor 不是同一排序下前一页给出的。",
    )
    try:
        told, value, row_id = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
        if told != key or type(row_id) is not int or not 0 < row_id < 2**63:
            raise wrong
        value = _typed(key, value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise wrong from None
    if descending:
        return or_(column < value, and_(column == value, Grade.id < row_id))
    return or_(column > value, and_(column == value, Grade.id > row_id))


def _typed(key: Sort, value: object) -> object:
    """Raises ValueError, TypeError, OverflowError for a value of another kind, or one that no database takes."""
    if key is Sort.UPDATED:
        found = datetime.fromisoformat(str(value))
        if found.tzinfo is None:
            raise ValueError
        return found.astimezone(UTC)
    if key is Sort.SCORE:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError
        return float(value)
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # half of a surrogate pair is no text
    return value


def chosen(rows: Iterable[GradeRow], wanted: Wanted, sort: str = "name") -> list[GradeRow]:
    """What `page` would choose among these rows. For a student's own, after what is kept back has been taken out of
    them: chosen by the database, the rows would tell by being there or not what they do not show."""
    key, descending = _sort(sort)
    return sorted(
        (row for row in rows if _matches(row, wanted)), key=lambda row: (_value(key, row), row.id), reverse=descending
    )


def _value(key: Sort, row: GradeRow) -> Any:
    """What a row is sorted by: the same as the database's column."""
    score = -1.0 if row.score is None else row.score
    return {
        Sort.NAME: row.name, Sort.LOGIN: row.login, Sort.SECTION: row.section, Sort.SCORE: score,
        Sort.UPDATED: row.updated_at,
    }[key]  # fmt: skip


def _matches(row: GradeRow, wanted: Wanted) -> bool:
    text = wanted.text.casefold()
    return (
        (not wanted.assignment or row.assignment == wanted.assignment)
        and (not wanted.login or row.login == wanted.login.casefold())
        and wanted.section in (None, row.section)
        and wanted.status in (None, row.status)
        and wanted.overridden in (None, row.overridden)
        and wanted.late in (None, row.days_late > 0)
        and (wanted.least is None or (row.score is not None and row.score >= wanted.least))
        and (wanted.most is None or (row.score is not None and row.score <= wanted.most))
        and (wanted.since is None or row.updated_at >= wanted.since)
        and (wanted.until is None or row.updated_at <= wanted.until)
        and (text in row.name.casefold() or text in row.login)
    )
