"""The gradebook: students down, assignments across, filtered and sorted in the database, a page at a time."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from grader.errors import Invalid
from grader.store.models import Enrolment, Grade, Published, User
from grader.store.states import GradeStatus, Role

_PEOPLE = ("name", "login", "section")


class Comparison(StrEnum):
    """How a score is compared."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "="


_COMPARE: dict[Comparison, Callable[[Any, float], Any]] = {
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.MORE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.EQUAL: operator.eq,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreBound:
    """One condition on a score. points: of the score that counts, overrides included."""

    comparison: Comparison
    points: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which students; the default is everybody.

    words: all in the name or login. sections, statuses: any of them. missing: assignments that all are missing.
    assignments: columns to show; none means every one. Scores, statuses, late and overridden are conditions on one
    grade: a student is shown when a grade of a column shown meets all of them.
    """

    words: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    scores: tuple[ScoreBound, ...] = ()
    statuses: tuple[GradeStatus, ...] = ()
    late: bool = False
    overridden: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One student. grades: in the order of the columns; none where there is no row yet."""

    login: str
    name: str
    section: str
    grades: tuple[Grade | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """students: that the filter lets through, on all pages. counts: of them, by assignment and status."""

    columns: tuple[Published, ...]
    lines: tuple[Line, ...]
    students: int
    counts: dict[str, dict[GradeStatus, int]]


def book(
    session: Session, course_id: int, wanted: Filter, *, sort: str = "name", offset: int = 0, limit: int | None = None
) -> Book:
    """limit: lines, none for all. sort: name, login, section or an assignment, "-" before it for descending.

    Raises Invalid for a sort that there is not.
    """
    everything = session.scalars(
        select(Published).where(Published.course_id == course_id).order_by(Published.position)
    ).all()
    columns = tuple(p for p in everything if not wanted.assignments or p.name in wanted.assignments)
    students = _students(course_id, wanted, everything, columns)
    found = students.subquery()
    ordered = _sorted(students, sort, everything).offset(offset).limit(limit)
    people = session.execute(ordered).all()
    grades = _grades(session, columns, [user_id for user_id, *_ in people], whole=limit is None)
    lines = tuple(
        Line(login=login, name=name, section=section, grades=tuple(grades.get((p.id, user_id)) for p in columns))
        for user_id, login, name, section in people
    )
    return Book(
        columns=columns,
        lines=lines,
        students=session.scalar(select(func.count()).select_from(found)) or 0,
        counts=_counts(session, columns, found.c.id),
    )


def _students(
    course_id: int, wanted: Filter, everything: Sequence[Published], columns: Sequence[Published]
) -> Select[int, str, str, str]:
    query = (
        select(User.id, User.login, User.name, Enrolment.section)
        .join(Enrolment, Enrolment.user_id == User.id)
        .where(Enrolment.course_id == course_id, Enrolment.role == Role.STUDENT)
    )
    for word in wanted.words:
        query = query.where(
            or_(User.name.icontains(word, autoescape=True), User.login.icontains(word, autoescape=True))
        )
    if wanted.sections:
        query = query.where(Enrolment.section.in_(wanted.sections))
    for name in wanted.missing:
        ids = [p.id for p in everything if p.name == name]
        query = query.where(_has_grade(ids, [Grade.status == GradeStatus.MISSING]))
    conditions = [_COMPARE[bound.comparison](Grade.score, bound.points) for bound in wanted.scores]
    if wanted.statuses:
        conditions.append(Grade.status.in_(wanted.statuses))
    if wanted.late:
        conditions.append(Grade.days_late > 0)
    if wanted.overridden:
        conditions.append(Grade.overridden)
    return query.where(_has_grade([p.id for p in columns], conditions)) if conditions else query


def _has_grade(published_ids: Sequence[int], conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    return select(Grade.id).where(Grade.user_id == User.id, Grade.published_id.in_(published_ids), *conditions).exists()


def _sorted(
    query: Select[int, str, str, str], sort: str, everything: Sequence[Published]
) -> Select[int, str, str, str]:
    """Those without a score come last in either direction."""
    key = sort.removeprefix("-")
    if key in _PEOPLE:
        columns = {"name": User.name, "login": User.login, "section": Enrolment.section}
        first = columns[key].desc() if sort.startswith("-") else columns[key].asc()
        return query.order_by(first, User.name, User.login)
    column = next((p for p in everything if p.name == key), None)
    if column is None:
        known = ", ".join([*_PEOPLE, *(p.name for p in everything)])
        raise Invalid(
            "sort",
            f"sort is one of {known}, with a minus for descending.",
            f"sort 为 {known} 之一，前加减号表示降序。",
        )
    grade = aliased(Grade)
    joined = query.outerjoin(grade, and_(grade.user_id == User.id, grade.published_id == column.id))
    score = grade.score.desc() if sort.startswith("-") else grade.score.asc()
    return joined.order_by(grade.score.is_(None), score, User.name, User.login)


def _grades(
    session: Session, columns: Sequence[Published], users: Sequence[int], *, whole: bool
) -> dict[tuple[int, int], Grade]:
    """whole: every student, so that thousands of numbers need not be named."""
    query = select(Grade).where(Grade.published_id.in_([p.id for p in columns]))
    if not whole:
        query = query.where(Grade.user_id.in_(users))
    return {(grade.published_id, grade.user_id): grade for grade in session.scalars(query)}


def _counts(
    session: Session, columns: Sequence[Published], users: ColumnElement[int]
) -> dict[str, dict[GradeStatus, int]]:
    rows = session.execute(
        select(Grade.published_id, Grade.status, func.count())
        .where(Grade.published_id.in_([p.id for p in columns]), Grade.user_id.in_(select(users)))
        .group_by(Grade.published_id, Grade.status)
    )
    names = {p.id: p.name for p in columns}
    found: dict[str, dict[GradeStatus, int]] = {p.name: {} for p in columns}
    for published_id, status, count in rows:
        found[names[published_id]][status] = count
    return found
