"""The words that columns hold, what they mean, and which may follow which; and the type of every time column."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import DateTime, Dialect, TypeDecorator


class Role(StrEnum):
    """What somebody is in a course; each may do what those before it may."""

    STUDENT = "student"
    TA = "ta"
    INSTRUCTOR = "instructor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Counting(StrEnum):
    """Which attempt counts."""

    BEST = "best"
    LATEST = "latest"


class Release(StrEnum):
    """When students see how checks with hidden inputs ended."""

    AT_ONCE = "at_once"
    AFTER_DUE = "after_due"
    NEVER = "never"


class SubmissionState(StrEnum):
    """QUEUED -> GRADING -> one of the others; GRADING -> QUEUED when a worker is lost."""

    QUEUED = "queued"
    GRADING = "grading"
    GRADED = "graded"
    NOT_GRADABLE = "not_gradable"  # costs no attempt
    GRADER_ERROR = "grader_error"  # our own fault, after every retry: costs no attempt

    @property
    def final(self) -> bool:
        return self not in (SubmissionState.QUEUED, SubmissionState.GRADING)


class GradeStatus(StrEnum):
    """Where one student stands with one assignment."""

    MISSING = "missing"  # nothing handed in
    PENDING = "pending"  # handed in, no verdict yet
    NOT_GRADABLE = "not_gradable"  # only files that could not be graded
    GRADED = "graded"


class JobState(StrEnum):
    """QUEUED -> RUNNING -> DONE or FAILED; RUNNING -> QUEUED when the lease ran out or the worker gave it back."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RegradeState(StrEnum):
    """RUNNING -> READY -> PUBLISHED; both may end as CANCELLED."""

    RUNNING = "running"
    READY = "ready"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC on every database; SQLite itself keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
