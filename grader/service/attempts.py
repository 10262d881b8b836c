"""Submissions as lists: filtered, newest first, in pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from grader.store.models import Published, Submission, User
from grader.store.states import SubmissionState


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedAttempts:
    """Which submissions of a course. user_id: only of this person. before_id: older than this one."""

    course_id: int
    assignment: str = ""
    login: str = ""
    user_id: int | None = None
    state: SubmissionState | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None


def page(session: Session, wanted: WantedAttempts, limit: int) -> list[tuple[Submission, Published, User]]:
    """At most `limit` submissions, newest first."""
    query = _where(
        select(Submission, Published, User)
        .join(Published, Published.id == Submission.published_id)
        .join(User, User.id == Submission.user_id),
        wanted,
    )
    rows = session.execute(query.order_by(Submission.id.desc()).limit(limit))
    return [(submission, published, user) for submission, published, user in rows]


def _where(query: Select[Submission, Published, User], wanted: WantedAttempts) -> Select[Submission, Published, User]:
    query = query.where(Published.course_id == wanted.course_id)
    if wanted.assignment:
        query = query.where(Published.name == wanted.assignment)
    if wanted.login:
        query = query.where(User.login == wanted.login.casefold())
    if wanted.user_id is not None:
        query = query.where(Submission.user_id == wanted.user_id)
    if wanted.state is not None:
        query = query.where(Submission.state == wanted.state)
    if wanted.since is not None:
        query = query.where(Submission.received_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Submission.received_at <= wanted.until)
    if wanted.before_id is not None:
        query = query.where(Submission.id < wanted.before_id)
    return query
