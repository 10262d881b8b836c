"""What each page needs, one frozen record a page. Routes fill them from the services; templates only show them.

Moments are aware datetimes; templates show them in the time zone of `Shell.tz`. Texts that depend on the language of a
page (statements, showing.ReportView) are already in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Literal

from markupsafe import Markup

from grader.reports import Language, Text
from grader.web.changes import DiffLine
from grader.web.showing import PartView, ReportView, Segment, score_bar


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseName:
    """A course in addresses (name) and to people (title)."""

    name: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Banner:
    """A warning above every staff page, and the command that ends its cause."""

    text: Text
    command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shell:
    """What stands around every page.

    path: address of this page with its query, to which the language switch returns. tz: of the course, else UTC.
    section: entry of the staff navigation that the page belongs to ("gradebook", "roster", ...) or "account".
    """

    lang: Language
    path: str
    csrf: str
    now: datetime
    tz: tzinfo
    user: str | None = None
    course: CourseName | None = None
    staff: bool = False
    section: str = ""
    banner: Banner | None = None


# Signing in and the account --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SignInPage:
    """sign_in.html. after: address to go to afterwards. problem: why the last try failed, or what was not taken."""

    after: str = "/"
    login: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkPage:
    """link.html, a one-time link before it is used. A spent or unknown one is an error page."""

    token: str
    name: str
    login: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRow:
    id: int
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountPage:
    """account.html. first: just signed in by link, so a password is asked for first.

    scopes: those that may be given, with what they allow. new_token: the text of the token just made, shown once.
    problems: by field name, for the form that was refused. saved: the password was just changed.
    """

    name: str
    login: str
    email: str
    has_password: bool
    first: bool = False
    saved: bool = False
    tokens: tuple[TokenRow, ...] = ()
    scopes: tuple[tuple[str, Text], ...] = ()
    new_token: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)


# Courses and assignments -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class CourseRow:
    """A course of mine. role: student, ta, instructor or admin. tz: of its times.

    next_due: the next deadline that is still open, of an assignment that the reader has attempts left for.
    """

    name: str
    title: str
    role: str
    assignments: int
    tz: tzinfo
    next_due: datetime | None = None
    next_title: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CoursesPage:
    """courses.html."""

    courses: tuple[CourseRow, ...]


CountingRule = Literal["best", "latest"]
WorkState = Literal["not_open", "missing", "pending", "not_gradable", "graded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Where one student stands with one assignment, and its terms.

    closes_at: the last moment that a late file is taken, none without a deadline. late_percent: of the score for each
    day begun. attempts_left, attempt_limit: none means any number. best: what counts now.
    """

    state: WorkState
    max_score: float
    due_at: datetime | None
    closes_at: datetime | None
    opens_at: datetime
    late_percent: float = 0.0
    attempts: int = 0
    attempt_limit: int | None = None
    attempts_left: int | None = None
    counting: CountingRule = "best"
    best: float | None = None
    overridden: bool = False
    extended: bool = False

    def late(self, now: datetime) -> bool:
        return self.due_at is not None and now > self.due_at

    def open(self, now: datetime) -> bool:
        """Whether a file would be taken now, attempts aside."""
        return self.opens_at <= now and (self.closes_at is None or now <= self.closes_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignmentRow:
    """One assignment in the list of a course. staff: counts instead of one's own work."""

    name: str
    title: str
    work: Work
    handed_in: int | None = None
    students: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CoursePage:
    """course.html. name: the course's, for addresses."""

    name: str
    title: str
    assignments: tuple[AssignmentRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRow:
    """One attempt in a history. state: a word of store.states.SubmissionState. score: none until graded."""

    id: int
    number: int
    state: str
    received_at: datetime
    file: str
    score: float | None = None
    max_score: float = 100.0
    days_late: int = 0
    counts: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignmentPage:
    """assignment.html. statement: HTML of markup.statement. problem: why the last upload was refused.

    parts: what there is to earn, before anything has run. attempts: newest first.
    """

    course: str
    name: str
    title: str
    statement: Markup
    work: Work
    parts: tuple[PartView, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    problem: str = ""
    pasted: str = ""
    zip_mib: int = 10
    file_mib: int = 5


# One submission --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Before a verdict. before: jobs ahead; seconds: how long it will probably take, none when nobody knows yet.

    planned: the checks to come. idle: no worker runs, so it waits for one.
    """

    state: Literal["queued", "grading"]
    before: int
    seconds: float | None
    planned: tuple[PartView, ...]
    idle: bool = False

    @property
    def bar(self) -> tuple[Segment, ...]:
        """The score bar, still empty: it stands where the full one will."""
        return score_bar(self.planned)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionPage:
    """submission.html: one of `waiting` and `report` is there.

    number: of this attempt. limit, used: how many attempts there may be and were, what costs none aside.
    counted: points that count after lateness, when this attempt is the one that counts. reused_since: when the stored
    report of the same file was made. attempts: newest first. previous: the attempt before this one, to compare with.
    student: whose it is, when that is not the reader.
    """

    id: int
    course: str
    assignment: str
    title: str
    number: int
    limit: int | None
    used: int
    received_at: datetime
    file: str
    counting: CountingRule
    counts: bool
    days_late: int = 0
    counted: float | None = None
    override: float | None = None
    waiting: Waiting | None = None
    report: ReportView | None = None
    reused_since: datetime | None = None
    attempts: tuple[AttemptRow, ...] = ()
    previous: int | None = None
    attempts_left: int | None = None
    student: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesPage:
    """changes.html. before, after: the attempts compared; others: attempts that can be compared with instead."""

    id: int
    course: str
    assignment: str
    title: str
    after: AttemptRow
    before: AttemptRow | None
    lines: tuple[DiffLine, ...] = ()
    others: tuple[AttemptRow, ...] = ()

    def with_lines(self, lines: tuple[DiffLine, ...]) -> ChangesPage:
        return replace(self, lines=lines)

    @property
    def added(self) -> int:
        return sum(line.kind == "added" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "removed" for line in self.lines)


# Errors ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorPage:
    """error.html. message: what was wrong in one sentence of the page's language, else the status says it.

    error_id: what staff find in the log, for 500 only. retry_s: seconds until it makes sense to try again (429, 503).
    """

    status: int
    message: str = ""
    error_id: str = ""
    retry_s: int | None = None
    back: str = "/"


# Before handing in -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    """What is seen in a file before it is handed in. lines: sentences in the page's language."""

    kind: Literal["good", "note", "bad"]
    lines: tuple[str, ...]
