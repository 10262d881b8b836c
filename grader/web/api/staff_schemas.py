"""What REST gives to staff, and about the service itself: regrades, statistics, roster, log, tokens, health."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from grader.service.access import Scope
from grader.store.states import RegradeState, Role
from grader.web.api.parameters import MOST_ID
from grader.web.schemas import Answer

# Regrades ----------------------------------------------------------------------------------------------------------


class RegradeAnswer(Answer):
    id: int = Field(ge=1, le=MOST_ID)
    course: str
    assignment: str
    every_attempt: bool
    reason: str
    state: RegradeState
    created_at: datetime
    ended_at: datetime | None
    done: int
    total: int


class RegradeList(Answer):
    items: list[RegradeAnswer]


class CheckChangeAnswer(Answer):
    """Points of one check; null when there was no such check."""

    check: str
    before: float | None
    after: float | None


class ChangeAnswer(Answer):
    submission_id: int
    number: int
    login: str
    name: str
    status: str = Field(description='Of the new report; "waiting" without one.')
    before: float | None
    after: float | None
    changed: bool
    checks: list[CheckChangeAnswer]


class ChangeList(Answer):
    items: list[ChangeAnswer]


class PublishedAnswer(Answer):
    regrade: RegradeAnswer
    grades_changed: int


# Statistics --------------------------------------------------------------------------------------------------------


class BinAnswer(Answer):
    low: float
    high: float
    count: int


class CheckRateAnswer(Answer):
    check: str
    part: str
    passed: int
    failed: int
    not_reached: int
    rate: float


class MistakeAnswer(Answer):
    mistake: str
    part: str
    hint: str = Field(description="Empty for a mistake that the assignment no longer knows.")
    students: int


class StatisticsAnswer(Answer):
    students: int
    graded: int
    missing: int
    mean: float | None
    median: float | None
    max_score: float
    histogram: list[BinAnswer]
    checks: list[CheckRateAnswer]
    mistakes: list[MistakeAnswer]
    attempts_to_full: dict[str, int] = Field(description="Number of attempts -> students with full marks at that one.")


class SightingAnswer(Answer):
    login: str
    name: str
    section: str
    submission_id: int
    check: str
    score: float | None


class MistakeSightings(MistakeAnswer):
    items: list[SightingAnswer]


# Roster, log, tokens, health ---------------------------------------------------------------------------------------


class MemberAnswer(Answer):
    login: str
    name: str
    email: str | None
    section: str
    role: Role


class MemberList(Answer):
    items: list[MemberAnswer]


class LineErrorAnswer(Answer):
    line: int = Field(description="From 1, the headings included; 0 for the file as a whole.")
    detail: str


class LinkAnswer(Answer):
    """A link that signs somebody in once; shown this once."""

    login: str
    url: str


class RosterAnswer(Answer):
    """What a file would change, or has changed. errors: only of a preview, since a file with errors is not applied."""

    applied: bool
    new: int
    changed: int
    same: int
    people: list[MemberAnswer]
    errors: list[LineErrorAnswer]
    links: list[LinkAnswer]


class AuditAnswer(Answer):
    id: int
    at: datetime
    actor: str
    user: str | None
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
    via: str
    request_id: str


class AuditList(Answer):
    items: list[AuditAnswer]
    next: str | None = Field(description="The cursor of the page after this one.")


class TokenAnswer(Answer):
    id: int = Field(ge=1, le=MOST_ID)
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewToken(TokenAnswer):
    token: str = Field(description="The secret itself; it is shown this once.")


class TokenList(Answer):
    items: list[TokenAnswer]


class LiveAnswer(Answer):
    status: Literal["live"]


class ReadyAnswer(Answer):
    """reasons: why it is not ready, empty when it is."""

    status: Literal["ready", "not_ready"]
    reasons: list[str]
    database: Literal["newest", "behind", "unreachable"]
    sandbox_mode: str | None
    workers: int
    queued: int
    running: int
    failed: int
    oldest_job_seconds: float
