"""What REST takes and gives: strict bodies, and answers that are described in full."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from grader.service.access import Scope
from grader.store.states import Counting, GradeStatus, Release, Role, SubmissionState
from grader.web.api.parameters import MOST_ID, BodyReason, Moment

Loose = Field(strict=False)  # a word of JSON is not yet one of the enumeration


class Body(BaseModel):
    """What a client sends: no field that we do not know, no value that has to be converted."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Answer(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="null")


# Bodies ------------------------------------------------------------------------------------------------------------


class RulesBody(Body):
    """How an assignment is handed out. The whole of it: what is left out takes its default."""

    opens_at: Moment = Field(description="From then on files are taken.", examples=["2026-11-01T00:00:00+08:00"])
    due_at: Moment | None = Field(
        default=None, description="After `opens_at`; null for no deadline.", examples=["2026-11-30T23:59:00+08:00"]
    )
    late_days: int = Field(default=0, ge=0, le=365, description="Days after the deadline that files are still taken.")
    late_percent: float = Field(default=0.0, ge=0, le=100, description="Of the score, lost for each day begun.")
    attempt_limit: int | None = Field(default=None, ge=1, le=1000, description="null for any number.")
    counting: Annotated[Counting, Loose] = Counting.BEST
    release: Annotated[Release, Loose] = Release.AT_ONCE
    reason: str = Field(default="", max_length=1000, description="Kept in the log with every score that changes.")


class PublishBody(RulesBody):
    """An assignment of this server, and how it is handed out."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$", examples=["numpy_autodiff"])


class OverrideBody(Body):
    """A score set by hand."""

    score: float = Field(ge=0, le=10_000, description="At most twice the points of the assignment.", examples=[87.5])
    reason: BodyReason


class ExtensionBody(Body):
    """A later deadline, more attempts or both."""

    due_at: Moment | None = Field(
        default=None, description="Later than the assignment's.", examples=["2026-12-03T23:59:00+08:00"]
    )
    extra_attempts: int = Field(default=0, ge=0, le=1000)
    reason: BodyReason


class RegradeBody(Body):
    """Grading anew."""

    every_attempt: bool = Field(default=False, description="Every attempt, not only those that count.")
    reason: BodyReason


class TokenBody(Body):
    """A new token of one's own; it may do no more than the one it is made with."""

    name: str = Field(pattern="^[!-~\\u00a1-\\ud7ff][^\\u0000]*$", max_length=100, examples=["notebook on my laptop"])
    scopes: Annotated[list[Annotated[Scope, Loose]], Field(min_length=1, max_length=len(Scope))] = Field(
        examples=[["submit"]]
    )
    days: int | None = Field(default=90, ge=1, le=3650, description="How long it lives; null for ever.")


# Courses and assignments -------------------------------------------------------------------------------------------


class MeAnswer(Answer):
    """Whose token it is."""

    login: str
    name: str
    scopes: list[Scope]
    courses: list[CourseAnswer]


class CourseAnswer(Answer):
    name: str
    title: str
    timezone: str
    role: Role
    section: str


class CourseList(Answer):
    items: list[CourseAnswer]


class PartAnswer(Answer):
    name: str
    title: str
    points: float
    asks: list[str] = Field(description="Functions, classes and methods that it asks for.")


class TermsAnswer(Answer):
    """An assignment as it is for the caller: an extension is in these dates and numbers."""

    course: str
    name: str
    title: str
    max_score: float
    open: bool = Field(description="Whether a file would be taken now, attempts aside.")
    opens_at: datetime
    due_at: datetime | None
    closes_at: datetime | None = Field(description="The last moment for a late file.")
    late_percent: float
    attempt_limit: int | None
    attempts_used: int
    attempts_left: int | None
    extended: bool
    counting: Counting
    release: Release
    status: GradeStatus | None = Field(description="null for staff, who have no grade.")
    score: float | None = Field(description="What counts now.")


class AssignmentList(Answer):
    items: list[TermsAnswer]


class AssignmentAnswer(TermsAnswer):
    runtime: str
    version: str
    late_days: int
    parts: list[PartAnswer]
    statement: str = Field(description="Markdown with $formulas$.")


# Submissions and reports -------------------------------------------------------------------------------------------


class PlaceAnswer(Answer):
    before: int = Field(description="Gradings before this one.")
    seconds: float | None = Field(description="A guess at the wait; null when nothing is known.")


class SubmissionAnswer(Answer):
    id: int = Field(ge=1, le=MOST_ID)
    course: str
    assignment: str
    login: str
    name: str
    number: int = Field(description="From 1, for each student and assignment.")
    file: str
    received_at: datetime
    days_late: int
    state: SubmissionState
    score: float | None = Field(description="Of the report, as far as the caller may see it; lateness is not in it.")
    finished_at: datetime | None
    place: PlaceAnswer | None = Field(default=None, description="Where it stands in the queue while it waits.")


class SubmissionList(Answer):
    items: list[SubmissionAnswer]
    next: str | None = Field(description="The cursor of the page after this one.")


Said = float | Literal["nan", "inf", "-inf"]


class PartScoreAnswer(Answer):
    name: str
    score: Said
    max_score: Said


class WorstAnswer(Answer):
    index: list[int]
    difference: Said


class FigureAnswer(Answer):
    """A chart that the check attached."""

    name: str
    title: str
    alt: str = Field(description="What can be read from it.")
    href: str = Field(description="The drawing, as SVG; `lang` and `width` may be added.")


class PictureAnswer(Answer):
    """What the student's own code drew while the check ran."""

    width: int = Field(description="Pixels, as the file says.")
    height: int
    title: str
    alt: str
    href: str = Field(description="The picture, as PNG.")


class CheckAnswer(Answer):
    id: str
    part: str
    title: str
    status: Literal["passed", "failed", "not_reached"]
    points: Said
    max_points: Said
    visible: bool
    message: str | None
    mistake: str | None
    got: Any
    expected: Any
    worst: WorstAnswer | None
    input: Any
    wall_ms: float
    figures: list[FigureAnswer]
    pictures: list[PictureAnswer]


class LeftOutAnswer(Answer):
    where: str
    what: str
    why: str


class ReportAnswer(Answer):
    """A report; docs/reference/report.md explains its fields."""

    file: str
    assignment: str
    assignment_version: str
    status: Literal["graded", "not_gradable", "grader_error"]
    score: Said
    max_score: Said
    parts: list[PartScoreAnswer]
    checks: list[CheckAnswer]
    left_out: list[LeftOutAnswer]
    notes: list[str]
    printed: str
    seed: str
    runtime: dict[str, str]
    mode: str
    timings_ms: dict[str, float]


class HandedIn(SubmissionAnswer):
    """A submission, with its report when it was ready in time."""

    report: ReportAnswer | None = None


class StoredReportAnswer(Answer):
    """One stored report. regrade: of which regrade; reused_from: the report of the same file that it repeats."""

    id: int
    created_at: datetime
    status: str
    score: float
    max_score: float
    assignment_version: str
    current: bool
    regrade: int | None
    reused_from: int | None
    report: ReportAnswer


class StoredReportList(Answer):
    items: list[StoredReportAnswer]


# Grades ------------------------------------------------------------------------------------------------------------


class GradeAnswer(Answer):
    login: str
    name: str
    email: str | None
    section: str
    assignment: str
    status: GradeStatus
    score: float | None = Field(description="What counts: the override, else the computed score.")
    computed_score: float | None = Field(description="Of the attempt that counts, lessened when it was late.")
    overridden: bool
    days_late: int
    attempts: int
    submission_id: int | None
    updated_at: datetime


class GradeList(Answer):
    items: list[GradeAnswer]
    next: str | None = Field(description="The cursor of the page after this one.")


class StudentGrades(Answer):
    items: list[GradeAnswer]


class ExtensionAnswer(Answer):
    login: str
    assignment: str
    due_at: datetime | None
    extra_attempts: int
    reason: str


MeAnswer.model_rebuild()
