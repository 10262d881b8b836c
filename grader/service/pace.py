"""Who grades now, and how fast gradings go: a guess for whoever decides whether to start many of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.store.models import Job, Published, Submission, Worker
from grader.store.states import JobState

_RECENT = 50
_SILENT = timedelta(seconds=20)


def clock(session: Session, now: datetime) -> datetime:
    """The time that workers of several machines are compared by: the database's. now: this machine's, for SQLite."""
    if session.get_bind().dialect.name != "postgresql":
        return now
    told: datetime = session.execute(select(func.now())).scalar_one()
    return told


def alive(worker: Worker, now: datetime) -> bool:
    """Whether a worker has announced itself of late."""
    return worker.seen_at > now - _SILENT


def living(session: Session, now: datetime) -> list[Worker]:
    """The workers that have announced themselves of late."""
    return list(session.scalars(select(Worker).where(Worker.seen_at > clock(session, now) - _SILENT)))


def grading(session: Session, now: datetime) -> list[Worker]:
    """Those of them that take jobs: whose sandbox holds."""
    return [worker for worker in living(session, now) if not worker.detail.get("held")]


def seconds_each(session: Session, published: Published, now: datetime) -> float | None:
    """Seconds of the service for one grading of an assignment, workers beside each other included.

    From its last gradings; none when there was none yet.
    """
    spans = session.execute(
        select(Job.started_at, Job.ended_at)
        .join(Submission, Submission.id == Job.submission_id)
        .where(
            Submission.published_id == published.id,
            Job.state == JobState.DONE,
            Job.started_at.is_not(None),
            Job.ended_at.is_not(None),
        )
        .order_by(Job.id.desc())
        .limit(_RECENT)
    )
    seconds = [(end - start).total_seconds() for start, end in spans if start is not None and end is not None]
    if not seconds:
        return None
    at_once = sum(int(worker.detail.get("slots", 1)) for worker in grading(session, now))
    return sum(seconds) / len(seconds) / max(1, at_once)
