"""The log of who changed what. Written in the transaction that changes it, so there is no change without its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from grader.service.access import Actor
from grader.store.models import AuditEvent, User


def note(
    session: Session, actor: Actor, action: str, subject: str, now: datetime, *, course_id: int | None = None,
    user_id: int | None = None, before: dict[str, Any] | None = None, after: dict[str, Any] | None = None,
    reason: str = "",
) -> None:  # fmt: skip
    """Adds an event. action: "noun.verb"; subject: what it is about, in words."""
    session.add(
        AuditEvent(
            at=now, course_id=course_id, actor_id=actor.user_id, user_id=user_id, action=action,
            subject=subject[:200], before=before, after=after, reason=reason, via=actor.via,
            request_id=actor.request_id,
        )
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRow:
    """One event as pages and REST show it. actor, user: logins; actor is "shell" or "service" when it was nobody."""

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


def events(
    session: Session, course_id: int, *, action: str = "", person: str = "", before_id: int | None = None,
    limit: int = 50,
) -> list[AuditRow]:  # fmt: skip
    """The newest events of a course first. action: its beginning; person: login of actor or of whom it concerns."""
    actor, user = aliased(User), aliased(User)
    query = (
        select(AuditEvent, actor.login, user.login)
        .outerjoin(actor, AuditEvent.actor_id == actor.id)
        .outerjoin(user, AuditEvent.user_id == user.id)
        .where(AuditEvent.course_id == course_id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    )
    if action:
        query = query.where(AuditEvent.action.startswith(action, autoescape=True))
    if person:
        query = query.where((actor.login == person.casefold()) | (user.login == person.casefold()))
    if before_id is not None:
        query = query.where(AuditEvent.id < before_id)
    return [_row(event, who, whom) for event, who, whom in session.execute(query)]


def _row(event: AuditEvent, actor: str | None, user: str | None) -> AuditRow:
    nobody = "shell" if event.via == "cli" else "service"
    return AuditRow(
        id=event.id, at=event.at, actor=actor or nobody, user=user, action=event.action, subject=event.subject,
        before=event.before, after=event.after, reason=event.reason, via=event.via, request_id=event.request_id,
    )  # fmt: skip
