"""What the service does at this moment, read from its database: for whoever watches it on a shell."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from grader.queue import Depth
from grader.reports import ReportStatus
from grader.service import pace
from grader.store.models import Job, Published, StoredReport, Submission, Worker
from grader.store.states import JobState

_WINDOW = timedelta(minutes=1)
_MOST_COUNTED = 5000  # reports looked at for the rates
_MOST_RUNNING = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A grading that runs. checks: that have ended, as far as its worker has told."""

    submission_id: int
    assignment: str
    runtime: str
    attempt: int
    checks: int
    worker: str
    age_s: float
    regrade: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Recent:
    """A report. seconds: of its grading; none when it was copied from an earlier one on the same file."""

    at: datetime
    submission_id: int
    assignment: str
    status: str
    score: float
    max_score: float
    seconds: float | None
    regrade: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """One look. uploads, graded, faults: within the last minute."""

    at: datetime
    depth: Depth
    uploads: int
    graded: int
    faults: int
    workers: tuple[Worker, ...]
    running: tuple[Running, ...]
    recent: tuple[Recent, ...]

    @property
    def alive(self) -> tuple[Worker, ...]:
        return tuple(worker for worker in self.workers if pace.alive(worker, self.at))


def look(session: Session, depth: Depth, now: datetime, *, reports: int) -> Overview:
    """depth: of the queue, in the same transaction. reports: how many of the last ones."""
    since = now - _WINDOW
    uploads = session.scalar(select(func.count()).where(Submission.received_at > since))
    last = select(StoredReport.status, StoredReport.created_at).order_by(StoredReport.id.desc()).limit(_MOST_COUNTED)
    statuses = [status for status, at in session.execute(last) if at > since]  # by id: times have no index of their own
    return Overview(
        at=now, depth=depth, uploads=uploads or 0, graded=len(statuses),
        faults=statuses.count(ReportStatus.GRADER_ERROR),
        workers=tuple(session.scalars(select(Worker).order_by(Worker.name))),
        running=_running(session, now), recent=_recent(session, reports),
    )  # fmt: skip


def _running(session: Session, now: datetime) -> tuple[Running, ...]:
    rows = session.execute(
        select(Job, Published.name)
        .join(Submission, Submission.id == Job.submission_id)
        .join(Published, Published.id == Submission.published_id)
        .where(Job.state == JobState.RUNNING)
        .order_by(Job.started_at)
        .limit(_MOST_RUNNING)
    )
    return tuple(
        Running(
            submission_id=job.submission_id, assignment=name, runtime=job.runtime, attempt=job.attempts,
            checks=len(job.progress or ()), worker=job.worker or "",
            age_s=(now - (job.started_at or now)).total_seconds(), regrade=job.regrade_id is not None,
        )
        for job, name in rows
    )  # fmt: skip


def _recent(session: Session, most: int) -> tuple[Recent, ...]:
    of_regrade = or_(
        Job.regrade_id == StoredReport.regrade_id, and_(Job.regrade_id.is_(None), StoredReport.regrade_id.is_(None))
    )
    rows = session.execute(
        select(StoredReport, Published.name, Job.started_at, Job.ended_at)
        .join(Submission, Submission.id == StoredReport.submission_id)
        .join(Published, Published.id == Submission.published_id)
        .outerjoin(Job, and_(Job.submission_id == StoredReport.submission_id, of_regrade))
        .order_by(StoredReport.id.desc())
        .limit(most)
    )
    return tuple(
        Recent(
            at=report.created_at, submission_id=report.submission_id, assignment=name, status=report.status,
            score=report.score, max_score=report.max_score, regrade=report.regrade_id is not None,
            seconds=None if started is None or ended is None else (ended - started).total_seconds(),
        )
        for report, name, started, ended in rows
    )  # fmt: skip
