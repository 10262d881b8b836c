"""What both queues share: the rows of `jobs`, which say what waits, runs and has ended, for everybody who asks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from grader.queue import Depth, Job, Place, Priority
from grader.reports import Json
from grader.store.models import Job as Row
from grader.store.models import Submission
from grader.store.states import JobState, SubmissionState

RETRY_S = (1.0, 5.0)
LOST = "the worker was lost"  # why a job waits again
_TURN_S = 5.0
_RECENT = 50
_AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)  # whatever the clocks of web and worker say


def delay_s(attempt: int) -> float:
    """How long a job waits that has been stopped by a fault of ours for the attempt-th time."""
    return RETRY_S[min(attempt, len(RETRY_S)) - 1]


class JobRows:
    """Questions about jobs that are the same on every database."""

    def place(self, session: Session, submission_id: int) -> Place | None:
        row = session.scalar(select(Row).where(Row.submission_id == submission_id, Row.state == JobState.QUEUED))
        if row is None:
            return None
        mine = (int(row.priority), row.fair_at, row.id)
        earlier = session.scalar(
            select(func.count()).where(
                Row.state == JobState.QUEUED, tuple_(Row.priority, Row.fair_at, Row.id) < tuple_(*mine)
            )
        )
        running = session.scalar(select(func.count()).where(Row.state == JobState.RUNNING))
        before = (earlier or 0) + (running or 0)
        each = self._seconds_each(session)
        return Place(before=before, seconds=None if each is None else round((before + 1) * each, 1))

    def progress(self, session: Session, submission_id: int) -> list[Json]:
        found = session.scalar(
            select(Row.progress).where(Row.submission_id == submission_id, Row.state == JobState.RUNNING)
        )
        return found or []

    def depth(self, session: Session) -> Depth:
        by_state = select(Row.state, func.count()).where(Row.state != JobState.DONE).group_by(Row.state)
        counts = {state: count for state, count in session.execute(by_state)}
        oldest = session.scalar(select(func.min(Row.created_at)).where(Row.state == JobState.QUEUED))
        return Depth(
            queued=counts.get(JobState.QUEUED, 0),
            running=counts.get(JobState.RUNNING, 0),
            failed=counts.get(JobState.FAILED, 0),
            oldest_s=0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds(),
        )

    def _seconds_each(self, session: Session) -> float | None:
        """How long the service needs for one grading, workers beside each other included; from the last gradings."""
        recent = session.execute(
            select(Row.started_at, Row.ended_at)
            .where(Row.state == JobState.DONE, Row.started_at.is_not(None), Row.ended_at.is_not(None))
            .order_by(Row.id.desc())
            .limit(_RECENT)
        ).all()
        spans = [(end - start).total_seconds() for start, end in recent if start and end]
        if not spans:
            return None
        at_once = session.scalar(select(func.count()).where(Row.state == JobState.RUNNING)) or 1
        return sum(spans) / len(spans) / at_once


def new_row(
    session: Session, *, submission_id: int, user_id: int, runtime: str, priority: Priority, now: datetime,
    version: str, regrade_id: int | None, request_id: str, trace: str | None,
) -> Row:  # fmt: skip
    """A job that waits. Its turn comes later for every job that its student has waiting already; a regrade's is now."""
    fair_at = now
    if regrade_id is None:
        waiting = session.scalar(
            select(func.count()).where(
                Row.user_id == user_id, Row.state.in_([JobState.QUEUED, JobState.RUNNING]), Row.priority == priority
            )
        )
        fair_at += timedelta(seconds=_TURN_S * (waiting or 0))
    return Row(
        submission_id=submission_id, regrade_id=regrade_id, user_id=user_id, runtime=runtime, priority=int(priority),
        assignment_version=version, request_id=request_id, trace=trace, state=JobState.QUEUED, attempts=0,
        created_at=now, fair_at=fair_at, run_after=_AT_ONCE, last_error="",
    )  # fmt: skip


def begin(session: Session, row: Row, *, worker: str, lease: str, now: datetime, until: datetime) -> Job:
    """A row that waited runs from now on."""
    first = row.started_at is None
    row.state, row.worker, row.lease = JobState.RUNNING, worker, lease
    row.attempts += 1
    row.started_at, row.lease_until, row.progress = now, until, None
    show(session, [row.submission_id], SubmissionState.GRADING)
    return Job(
        id=row.id, submission_id=row.submission_id, user_id=row.user_id, regrade_id=row.regrade_id,
        runtime=row.runtime, attempt=row.attempts, lease=lease, version=row.assignment_version,
        waited_s=max(0.0, (now - row.created_at).total_seconds()), request_id=row.request_id, trace=row.trace,
        first=first, suspect=row.last_error == LOST,
    )  # fmt: skip


def end(row: Row, now: datetime, *, failed: bool) -> None:
    """A row that ran is done with."""
    row.state = JobState.FAILED if failed else JobState.DONE
    row.ended_at, row.lease, row.lease_until, row.progress = now, None, None, None


def back(session: Session, row: Row, *, error: str, run_after: datetime, attempts: int) -> None:
    """A row that ran waits again."""
    row.state, row.lease, row.lease_until, row.worker, row.progress = JobState.QUEUED, None, None, None, None
    row.last_error, row.run_after, row.attempts = error[:2000], run_after, attempts
    show(session, [row.submission_id], SubmissionState.QUEUED)


def show(session: Session, submissions: Sequence[int], state: SubmissionState) -> None:
    """Students see whether a submission waits or is being graded; a regrade leaves what they see as it is."""
    waiting = (SubmissionState.QUEUED, SubmissionState.GRADING)
    session.execute(
        update(Submission).where(Submission.id.in_(submissions), Submission.state.in_(waiting)).values(state=state)
    )
