"""The queue in the same SQLite file as everything else, for workers of one machine.

Order: priority, then whose turn it is. A job's turn (`fair_at`) is the moment it was put in, plus some seconds for
every job that its student has waiting already: ten uploads of one student do not hold up another, and none waits for
ever. At most one job of a student runs at a time.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from grader.queue import Depth, Job, LeaseLost, Place, Priority
from grader.reports import Json
from grader.store.engine import Store, after_commit
from grader.store.models import Job as Row
from grader.store.models import Submission
from grader.store.states import JobState, SubmissionState

LEASE_S = 30.0
_TURN_S = 5.0
_RETRY_S = (1.0, 5.0)
_LOOK_FOR_LOST_S = 1.0
_POLL_S = 0.2
_RECENT = 50


class LocalQueue:
    """The Queue over a Store that is an SQLite file. Thread-safe."""

    def __init__(self, store: Store, *, lease_s: float = LEASE_S) -> None:
        self._store, self._lease_s = store, lease_s
        self._woken = threading.Condition()
        self._wakes = 0
        self._looked = 0.0

    def put(
        self, session: Session, *, submission_id: int, user_id: int, runtime: str, priority: Priority, now: datetime,
        regrade_id: int | None = None,
    ) -> None:  # fmt: skip
        waiting = session.scalar(
            select(func.count()).where(
                Row.user_id == user_id, Row.state.in_([JobState.QUEUED, JobState.RUNNING]), Row.priority == priority
            )
        )
        fair_at = now + timedelta(seconds=_TURN_S * (waiting or 0))
        session.add(_row(submission_id, user_id, runtime, priority, now, fair_at, regrade_id))
        after_commit(session, self._wake)

    def put_many(
        self, session: Session, jobs: Iterable[tuple[int, int]], *, runtime: str, regrade_id: int, now: datetime
    ) -> None:
        session.add_all(
            _row(submission_id, user_id, runtime, Priority.REGRADE, now, now, regrade_id)
            for submission_id, user_id in jobs
        )
        after_commit(session, self._wake)

    def take(self, worker: str, runtimes: Sequence[str]) -> Job | None:
        self._take_back_lost()
        now = datetime.now(UTC)
        other = aliased(Row)
        busy = select(other.id).where(other.user_id == Row.user_id, other.state == JobState.RUNNING).exists()
        next_job = (
            select(Row)
            .where(Row.state == JobState.QUEUED, Row.run_after <= now, Row.runtime.in_(runtimes), ~busy)
            .order_by(Row.priority, Row.fair_at, Row.id)
            .limit(1)
        )
        with self._store.read() as session:  # an idle worker must not keep others from writing
            if session.scalar(next_job) is None:
                return None
        with self._store.write() as session:
            row = session.scalar(next_job)
            if row is None:
                return None
            row.state, row.worker, row.lease = JobState.RUNNING, worker, secrets.token_hex(16)
            row.attempts += 1
            row.started_at, row.lease_until = now, now + timedelta(seconds=self._lease_s)
            row.progress = None
            _show(session, [row.submission_id], SubmissionState.GRADING)
            return Job(
                id=row.id, submission_id=row.submission_id, regrade_id=row.regrade_id, runtime=row.runtime,
                attempt=row.attempts, lease=row.lease,
            )  # fmt: skip

    def wait(self, timeout_s: float) -> None:
        """Jobs of other processes are only seen by looking, so this waits a fifth of a second at most."""
        with self._woken:
            seen = self._wakes
            self._woken.wait_for(lambda: self._wakes != seen, min(timeout_s, _POLL_S))

    def keep(self, jobs: Sequence[Job], progress: Mapping[int, list[Json]]) -> None:
        until = datetime.now(UTC) + timedelta(seconds=self._lease_s)
        with self._store.write() as session:
            for job in jobs:
                session.execute(
                    update(Row)
                    .where(Row.id == job.id, Row.lease == job.lease, Row.state == JobState.RUNNING)
                    .values(lease_until=until, progress=progress.get(job.id))
                )

    def finish(self, session: Session, job: Job, now: datetime, *, failed: bool = False) -> None:
        row = session.get(Row, job.id)
        if row is None or row.state is not JobState.RUNNING or row.lease != job.lease:
            raise LeaseLost(f"job {job.id} is not ours any more")
        row.state = JobState.FAILED if failed else JobState.DONE
        row.ended_at, row.lease, row.lease_until, row.progress = now, None, None, None
        after_commit(session, self._wake)  # another job of the same student may start

    def retry(self, job: Job, error: str) -> None:
        delay = _RETRY_S[min(job.attempt, len(_RETRY_S)) - 1]
        self._return(job, error=error, run_after=datetime.now(UTC) + timedelta(seconds=delay), attempts=job.attempt)

    def give_back(self, job: Job) -> None:
        self._return(job, error="", run_after=datetime.now(UTC), attempts=job.attempt - 1)

    def cancel(self, session: Session, *, regrade_id: int, now: datetime) -> None:
        session.execute(
            update(Row)
            .where(Row.regrade_id == regrade_id, Row.state == JobState.QUEUED)
            .values(state=JobState.DONE, ended_at=now)
        )

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

    def _return(self, job: Job, *, error: str, run_after: datetime, attempts: int) -> None:
        with self._store.write() as session:
            session.execute(
                update(Row)
                .where(Row.id == job.id, Row.lease == job.lease, Row.state == JobState.RUNNING)
                .values(
                    state=JobState.QUEUED,
                    lease=None,
                    lease_until=None,
                    worker=None,
                    progress=None,
                    last_error=error[:2000],
                    run_after=run_after,
                    attempts=attempts,
                )
            )
            _show(session, [job.submission_id], SubmissionState.QUEUED)
            after_commit(session, self._wake)

    def _take_back_lost(self) -> None:
        """Frees jobs whose worker is silent for longer than its lease, or whose process is gone from this machine."""
        if time.monotonic() - self._looked < _LOOK_FOR_LOST_S:
            return
        self._looked = time.monotonic()
        with self._store.read() as session:
            running = session.scalars(select(Row).where(Row.state == JobState.RUNNING)).all()
        now = datetime.now(UTC)
        lost = [row.id for row in running if row.lease_until is None or row.lease_until < now or is_gone(row.worker)]
        if not lost:
            return
        with self._store.write() as session:
            for row in session.scalars(select(Row).where(Row.id.in_(lost), Row.state == JobState.RUNNING)):
                row.state, row.lease, row.lease_until, row.worker = JobState.QUEUED, None, None, None
                row.last_error = "the worker was lost"
                _show(session, [row.submission_id], SubmissionState.QUEUED)

    def _wake(self) -> None:
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()


def _show(session: Session, submissions: Sequence[int], state: SubmissionState) -> None:
    """Students see whether a submission waits or is being graded; a regrade leaves what they see as it is."""
    waiting = (SubmissionState.QUEUED, SubmissionState.GRADING)
    session.execute(
        update(Submission).where(Submission.id.in_(submissions), Submission.state.in_(waiting)).values(state=state)
    )


def worker_name() -> str:
    """This process, so that others on the machine can tell whether it still lives: host:pid:start."""
    return f"{os.uname().nodename}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(worker: str | None) -> bool:
    """Whether a worker was a process of this machine that has ended; False when that cannot be known."""
    host, _, rest = (worker or "").rpartition(":")[0].rpartition(":")
    started = (worker or "").rpartition(":")[2]
    if host != os.uname().nodename or not rest.isdigit():
        return False
    return _started(int(rest)) != started


def _started(pid: int) -> str:
    """When a process began, in the kernel's clock ticks; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _row(
    submission_id: int, user_id: int, runtime: str, priority: Priority, now: datetime, fair_at: datetime,
    regrade_id: int | None,
) -> Row:  # fmt: skip
    return Row(
        submission_id=submission_id, regrade_id=regrade_id, user_id=user_id, runtime=runtime, priority=int(priority),
        state=JobState.QUEUED, attempts=0, created_at=now, fair_at=fair_at, run_after=now, last_error="",
    )  # fmt: skip
