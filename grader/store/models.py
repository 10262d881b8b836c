"""The tables. Every constraint has a name, every query of the service an index.

Times are UTC. Scores are points. Free text of people (names, reasons, file names) is stored as it came and escaped
where it is shown.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Enum,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from grader.store.states import (
    Counting,
    GradeStatus,
    JobState,
    RegradeState,
    Release,
    Role,
    SubmissionState,
    UtcDateTime,
)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


def _words(kind: type[StrEnum]) -> Enum:
    """A column that holds one of the words of an enumeration, checked by the database too."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=True,
        length=20,
        name=f"is_{kind.__name__.lower()}",
        values_callable=lambda words: [word.value for word in words],
    )


class Instance(Base):
    """What this installation knows about itself: its secret, unless a setting gives one."""

    __tablename__ = "instance"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


class Course(Base):
    __tablename__ = "courses"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)  # in addresses and commands: letters, digits, - and _
    title: Mapped[str] = mapped_column(String(200))
    timezone: Mapped[str] = mapped_column(String(60))  # IANA name; due dates are shown and read in it
    created_at: Mapped[datetime]


class User(Base):
    """A person. session_epoch: raised to end every session at once."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(String(100), unique=True)  # casefolded
    name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(320))
    password_hash: Mapped[str | None] = mapped_column(String(300))
    session_epoch: Mapped[int] = mapped_column(default=0)
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Enrolment(Base):
    __tablename__ = "enrolments"
    __table_args__ = (
        UniqueConstraint("course_id", "user_id"),
        Index(None, "course_id", "role", "section"),
        Index(None, "user_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey(Course.id))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    role: Mapped[Role] = mapped_column(_words(Role))
    section: Mapped[str] = mapped_column(String(40), default="")
    created_at: Mapped[datetime]

    course: Mapped[Course] = relationship()
    user: Mapped[User] = relationship()


class Published(Base):
    """An assignment that a course hands out.

    due_at: none means no deadline. late_days: days after it that files are still taken; late_percent: of the score lost
    for each day begun. attempt_limit: none means any number.
    """

    __tablename__ = "published"
    __table_args__ = (
        UniqueConstraint("course_id", "name"),
        CheckConstraint("late_days >= 0 AND late_days <= 365", name="late_days"),
        CheckConstraint("late_percent >= 0 AND late_percent <= 100", name="late_percent"),
        CheckConstraint("attempt_limit IS NULL OR attempt_limit >= 1", name="attempt_limit"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey(Course.id))
    name: Mapped[str] = mapped_column(String(100))  # the assignment's folder below reference/
    position: Mapped[int]
    opens_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    late_days: Mapped[int] = mapped_column(default=0)
    late_percent: Mapped[float] = mapped_column(default=0.0)
    attempt_limit: Mapped[int | None]
    counting: Mapped[Counting] = mapped_column(_words(Counting))
    release: Mapped[Release] = mapped_column(_words(Release))
    created_at: Mapped[datetime]

    course: Mapped[Course] = relationship()


class Blob(Base):
    """An uploaded file, compressed, once however often it was uploaded. size: bytes before compression."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, hex
    size: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Submission(Base):
    """One accepted upload. number: from 1 for each student and assignment. score: of the current report, before
    lateness."""

    __tablename__ = "submissions"
    __table_args__ = (
        UniqueConstraint("published_id", "user_id", "number"),
        UniqueConstraint("user_id", "idempotency_key"),
        Index(None, "published_id", "state"),
        Index(None, "user_id", "received_at"),
        Index(None, "blob_digest"),
        Index(None, "received_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    published_id: Mapped[int] = mapped_column(ForeignKey(Published.id))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    number: Mapped[int]
    blob_digest: Mapped[str] = mapped_column(ForeignKey(Blob.digest))
    file_name: Mapped[str] = mapped_column(String(255))
    received_at: Mapped[datetime]
    days_late: Mapped[int] = mapped_column(default=0)  # days begun after the student's own deadline
    state: Mapped[SubmissionState] = mapped_column(_words(SubmissionState))
    report_id: Mapped[int | None]  # the current report; no key, since reports refer back to here
    score: Mapped[float | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(100))
    via: Mapped[str] = mapped_column(String(10))  # web, api, cli
    finished_at: Mapped[datetime | None]

    published: Mapped[Published] = relationship()
    user: Mapped[User] = relationship()


class Regrade(Base):
    """Gradings anew of many submissions; nothing of them is shown to students before they are published."""

    __tablename__ = "regrades"
    __table_args__ = (Index(None, "published_id", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    published_id: Mapped[int] = mapped_column(ForeignKey(Published.id))
    every_attempt: Mapped[bool]
    reason: Mapped[str] = mapped_column(String(1000))
    actor_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    state: Mapped[RegradeState] = mapped_column(_words(RegradeState))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]

    published: Mapped[Published] = relationship()


class StoredReport(Base):
    """One grading; never changed. content: the whole report, compressed JSON in both languages (see codec)."""

    __tablename__ = "reports"
    __table_args__ = (
        Index(None, "submission_id"),
        Index(None, "digest", "assignment_version"),
        Index(None, "regrade_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey(Submission.id))
    digest: Mapped[str] = mapped_column(String(64))
    assignment_version: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(20))
    score: Mapped[float]
    max_score: Mapped[float]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    reused_from_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"))
    regrade_id: Mapped[int | None] = mapped_column(ForeignKey(Regrade.id))
    created_at: Mapped[datetime]


class StoredCheck(Base):
    """One check of one report, for statistics. position: from 0, in the order of the sheet."""

    __tablename__ = "check_results"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    report_id: Mapped[int] = mapped_column(ForeignKey(StoredReport.id), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    check_id: Mapped[str] = mapped_column(String(100))
    part: Mapped[str] = mapped_column(String(100))
    status: Mapped[str] = mapped_column(String(20))
    points: Mapped[float]
    max_points: Mapped[float]
    mistake: Mapped[str | None] = mapped_column(String(100))


class Grade(Base):
    """Where one student stands with one assignment: a row from the day both are there.

    computed: from the counting submission, lessened when late; score: what counts, an override included.
    attempts: accepted files that cost an attempt.
    """

    __tablename__ = "grades"
    __table_args__ = (
        UniqueConstraint("published_id", "user_id"),
        Index(None, "published_id", "score"),
        Index(None, "published_id", "status"),
        Index(None, "published_id", "updated_at"),
        Index(None, "user_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    published_id: Mapped[int] = mapped_column(ForeignKey(Published.id))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    status: Mapped[GradeStatus] = mapped_column(_words(GradeStatus))
    score: Mapped[float | None]
    computed: Mapped[float | None]
    submission_id: Mapped[int | None] = mapped_column(ForeignKey(Submission.id))
    attempts: Mapped[int] = mapped_column(default=0)
    overridden: Mapped[bool] = mapped_column(default=False)
    days_late: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime]

    published: Mapped[Published] = relationship()
    user: Mapped[User] = relationship()


class Override(Base):
    """A score set by staff; at most one of a student and assignment is in force (removed_at is none)."""

    __tablename__ = "overrides"
    __table_args__ = (Index(None, "published_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    published_id: Mapped[int] = mapped_column(ForeignKey(Published.id))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    score: Mapped[float]
    reason: Mapped[str] = mapped_column(String(1000))
    actor_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class Extension(Base):
    """A later deadline or more attempts for one student; the last one that is not removed holds."""

    __tablename__ = "extensions"
    __table_args__ = (Index(None, "published_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    published_id: Mapped[int] = mapped_column(ForeignKey(Published.id))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    due_at: Mapped[datetime | None]
    extra_attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str] = mapped_column(String(1000))
    actor_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class AuditEvent(Base):
    """Who did what, when, with before and after. Only added to."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "course_id", "id"), Index(None, "user_id"), Index(None, "action"))

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    course_id: Mapped[int | None] = mapped_column(ForeignKey(Course.id))
    actor_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))  # none: the shell or the service itself
    user_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))  # whom it concerns
    action: Mapped[str] = mapped_column(String(60))  # "override.set"
    subject: Mapped[str] = mapped_column(String(200))  # "tensorflow_basics of ada"
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    reason: Mapped[str] = mapped_column(String(1000), default="")
    via: Mapped[str] = mapped_column(String(10))  # web, api, cli, service
    request_id: Mapped[str] = mapped_column(String(40), default="")


class Token(Base):
    """A bearer token of the API; only its hash is kept. scopes: separated by spaces."""

    __tablename__ = "tokens"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(300))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class SignInLink(Base):
    """A link that signs somebody in once: an invitation, a forgotten password, the first start."""

    __tablename__ = "sign_in_links"
    __table_args__ = (Index(None, "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class SignInFailure(Base):
    """A wrong password, for throttling. key: a login or an address, hashed."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (Index(None, "key", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class Job(Base):
    """A grading to be done. fair_at: when its turn is, later for those who have many waiting (see queue.local).

    assignment_version: as whoever put it in knew it. delivery: the job of Procrastinate beside it, on PostgreSQL.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_next", "state", "priority", "fair_at", "id"),
        Index(None, "user_id", "state"),
        Index(None, "submission_id"),
        Index(None, "regrade_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey(Submission.id))
    regrade_id: Mapped[int | None] = mapped_column(ForeignKey(Regrade.id))
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    runtime: Mapped[str] = mapped_column(String(20))
    assignment_version: Mapped[str] = mapped_column(String(64), default="", server_default="")
    priority: Mapped[int]
    state: Mapped[JobState] = mapped_column(_words(JobState))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    fair_at: Mapped[datetime]
    run_after: Mapped[datetime]
    worker: Mapped[str | None] = mapped_column(String(100))
    lease: Mapped[str | None] = mapped_column(String(40))  # who holds it now; a worker that lost it may not finish
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    progress: Mapped[list[Any] | None]  # checks that have ended so far, for pages of another process
    last_error: Mapped[str] = mapped_column(Text, default="")
    ended_at: Mapped[datetime | None]
    request_id: Mapped[str] = mapped_column(String(80), default="", server_default="")
    trace: Mapped[str | None] = mapped_column(String(60))
    delivery: Mapped[int | None] = mapped_column(BigInteger)


class RegradeItem(Base):
    """One submission of a regrade: its report before and after."""

    __tablename__ = "regrade_items"
    __table_args__ = (Index(None, "submission_id"),)

    regrade_id: Mapped[int] = mapped_column(ForeignKey(Regrade.id), primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey(Submission.id), primary_key=True)
    before_id: Mapped[int | None] = mapped_column(ForeignKey(StoredReport.id))
    after_id: Mapped[int | None] = mapped_column(ForeignKey(StoredReport.id))


class Worker(Base):
    """A process that grades, as it last announced itself."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    mode: Mapped[str] = mapped_column(String(4))
    detail: Mapped[dict[str, Any]]  # runtimes, versions, slots, missing layers
