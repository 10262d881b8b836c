"""How a class did on one assignment: scores, checks, mistakes. Counted are the submissions that count."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, case, func, select
from sqlalchemy.orm import Session

from grader.store.models import Enrolment, Grade, Published, StoredCheck, StoredReport, Submission, User
from grader.store.states import GradeStatus, Role, SubmissionState

_BINS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Scores from low to high, high excluded but for the last bin."""

    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckRate:
    check_id: str
    part: str
    passed: int
    failed: int
    not_reached: int

    @property
    def rate(self) -> float:
        return self.passed / max(1, self.passed + self.failed + self.not_reached)


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakeGroup:
    """A known mistake and how many students made it in the submission that counts."""

    mistake: str
    part: str
    students: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """A student who made a mistake, and in which submission."""

    login: str
    name: str
    section: str
    submission_id: int
    check_id: str
    score: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """attempts_to_full: number of attempts -> students who had full marks with that attempt first."""

    students: int
    graded: int
    missing: int
    mean: float | None
    median: float | None
    max_score: float
    histogram: tuple[Bin, ...]
    checks: tuple[CheckRate, ...]
    mistakes: tuple[MistakeGroup, ...]
    attempts_to_full: dict[int, int]


def statistics(session: Session, published: Published, max_score: float) -> Statistics:
    grades = session.execute(
        select(Grade.status, Grade.score).join(Enrolment, _student(published)).where(Grade.published_id == published.id)
    )
    rows = grades.all()
    scores = sorted(score for _, score in rows if score is not None)
    return Statistics(
        students=len(rows),
        graded=len(scores),
        missing=sum(status is GradeStatus.MISSING for status, _ in rows),
        mean=sum(scores) / len(scores) if scores else None,
        median=_median(scores),
        max_score=max_score,
        histogram=histogram(scores, max_score),
        checks=_checks(session, published),
        mistakes=_mistakes(session, published),
        attempts_to_full=_attempts_to_full(session, published, max_score),
    )


def _student(published: Published) -> ColumnElement[bool]:
    return and_(
        Enrolment.user_id == Grade.user_id, Enrolment.course_id == published.course_id, Enrolment.role == Role.STUDENT
    )


def _median(values: list[float]) -> float | None:
    if not values:
        return None
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def histogram(scores: list[float], max_score: float) -> tuple[Bin, ...]:
    """Ten bins from 0 to the maximum; a score above it (an override) is in the last."""
    width = max_score / _BINS
    counts = Counter(min(_BINS - 1, int(score / width)) for score in scores) if width > 0 else Counter[int]()
    return tuple(Bin(low=i * width, high=(i + 1) * width, count=counts[i]) for i in range(_BINS))


def _counting(published: Published) -> Select[int | None]:
    """Current reports of the submissions that count."""
    return (
        select(Submission.report_id)
        .join(Grade, Grade.submission_id == Submission.id)
        .where(Grade.published_id == published.id, Submission.report_id.is_not(None))
    )


def _checks(session: Session, published: Published) -> tuple[CheckRate, ...]:
    """Ascending by rate: what most students miss comes first."""
    rows = session.execute(
        select(
            StoredCheck.check_id,
            func.min(StoredCheck.part),
            func.sum(case((StoredCheck.status == "passed", 1), else_=0)),
            func.sum(case((StoredCheck.status == "failed", 1), else_=0)),
            func.sum(case((StoredCheck.status == "not_reached", 1), else_=0)),
        )
        .where(StoredCheck.report_id.in_(_counting(published)))
        .group_by(StoredCheck.check_id)
        .order_by(func.min(StoredCheck.position))
    )
    rates = [
        CheckRate(check_id=check, part=part, passed=passed, failed=failed, not_reached=skipped)
        for check, part, passed, failed, skipped in rows
    ]
    return tuple(sorted(rates, key=lambda check: check.rate))


def _mistakes(session: Session, published: Published) -> tuple[MistakeGroup, ...]:
    count = func.count(func.distinct(StoredCheck.report_id))
    rows = session.execute(
        select(StoredCheck.mistake, func.min(StoredCheck.part), count)
        .where(StoredCheck.report_id.in_(_counting(published)), StoredCheck.mistake.is_not(None))
        .group_by(StoredCheck.mistake)
        .order_by(count.desc(), StoredCheck.mistake)
    )
    return tuple(MistakeGroup(mistake=name or "", part=part, students=students) for name, part, students in rows)


def sightings(session: Session, published: Published, mistake: str) -> list[Sighting]:
    """Who made a mistake in the submission that counts, by name; each student once."""
    rows = session.execute(
        select(User.login, User.name, Enrolment.section, Submission.id, func.min(StoredCheck.check_id), Grade.score)
        .join(Submission, Submission.user_id == User.id)
        .join(Grade, Grade.submission_id == Submission.id)
        .join(Enrolment, _student(published))
        .join(StoredCheck, StoredCheck.report_id == Submission.report_id)
        .where(Grade.published_id == published.id, StoredCheck.mistake == mistake)
        .group_by(Submission.id, User.login, User.name, Enrolment.section, Grade.score)
        .order_by(User.name, User.login)
    )
    return [
        Sighting(login=login, name=name, section=section, submission_id=sid, check_id=check, score=score)
        for login, name, section, sid, check, score in rows
    ]


def _attempts_to_full(session: Session, published: Published, max_score: float) -> dict[int, int]:
    first = (
        select(func.min(Submission.number))
        .join(StoredReport, StoredReport.id == Submission.report_id)
        .where(
            Submission.published_id == published.id, Submission.state == SubmissionState.GRADED,
            StoredReport.score >= max_score,
        )
        .group_by(Submission.user_id)
    )  # fmt: skip
    return dict(sorted(Counter(number for number in session.scalars(first) if number is not None).items()))
