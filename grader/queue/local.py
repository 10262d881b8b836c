"""The queue in the same SQLite file as everything else, for workers of one machine.

Order: priority, then whose turn it is. A job's turn (`fair_at`) is the moment it was put in, plus some seconds for
every job that its student has waiting already: ten uploads of one student do not hold up another, and none waits for
ever. At most one job of a student runs at a time.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, aliased

from grader.queue import Job, LeaseLost, Priority
from grader.queue.lost import CONFIRM_S, Suspicion
from grader.queue.names import is_gone
from grader.queue.rows import LOST, JobRows, back, begin, delay_s, end, new_row
from grader.reports import Json
from grader.store.engine import Store, after_commit
from grader.store.models import Job as Row
from grader.store.states import JobState

log = logging.getLogger("grader")

LEASE_S = 30.0
_LOOK_FOR_LOST_S = 1.0
_POLL_S = 0.2


class LocalQueue(JobRows):
    """The Queue over a Store that is an SQLite file. Thread-safe."""

    def __init__(self, store: Store, *, lease_s: float = LEASE_S) -> None:
        self._store, self._lease_s = store, lease_s
        self._woken = threading.Condition()
        self._wakes = 0
        self._looked = 0.0
        self._suspicion = Suspicion(min(CONFIRM_S, lease_s))

    def put(
        self, session: Session, *, submission_id: int, user_id: int, runtime: str, priority: Priority, now: datetime,
        version: str = "", regrade_id: int | None = None, request_id: str = "", trace: str | None = None,
    ) -> None:  # fmt: skip
        session.add(
            new_row(
                session, submission_id=submission_id, user_id=user_id, runtime=runtime, priority=priority, now=now,
                version=version, regrade_id=regrade_id, request_id=request_id, trace=trace,
            )
        )  # fmt: skip
        after_commit(session, self._wake)

    def put_many(
        self, session: Session, jobs: Iterable[tuple[int, int]], *, runtime: str, regrade_id: int, now: datetime,
        version: str = "", request_id: str = "",
    ) -> None:  # fmt: skip
        for submission_id, user_id in jobs:
            self.put(
                session, submission_id=submission_id, user_id=user_id, runtime=runtime, priority=Priority.REGRADE,
                now=now, version=version, regrade_id=regrade_id, request_id=request_id,
            )  # fmt: skip

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
            until = now + timedelta(seconds=self._lease_s)
            return begin(session, row, worker=worker, lease=secrets.token_hex(16), now=now, until=until)

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
        end(row, now, failed=failed)
        after_commit(session, self._wake)  # another job of the same student may start

    def retry(self, job: Job, error: str) -> None:
        self._return(job, error=error, delay=delay_s(job.attempt), attempts=job.attempt)

    def give_back(self, job: Job, *, after_s: float = 0.0) -> None:
        self._return(job, error=None, delay=after_s, attempts=job.attempt - 1)

    def cancel(self, session: Session, *, regrade_id: int, now: datetime) -> None:
        session.execute(
            update(Row)
            .where(Row.regrade_id == regrade_id, Row.state == JobState.QUEUED)
            .values(state=JobState.DONE, ended_at=now)
        )

    def _return(self, job: Job, *, error: str | None, delay: float, attempts: int) -> None:
        with self._store.write() as session:
            row = session.scalar(
                select(Row).where(Row.id == job.id, Row.lease == job.lease, Row.state == JobState.RUNNING)
            )
            if row is not None:
                run_after = datetime.now(UTC) + timedelta(seconds=delay)
                back(
                    session,
                    row,
                    error=row.last_error if error is None else error,
                    run_after=run_after,
                    attempts=attempts,
                )
                after_commit(session, self._wake)

    def _take_back_lost(self) -> None:
        """Frees jobs whose worker is silent for longer than its lease, or whose process is gone from this machine."""
        if time.monotonic() - self._looked < _LOOK_FOR_LOST_S:
            return
        self._looked = time.monotonic()
        with self._store.read() as session:
            running = session.scalars(select(Row).where(Row.state == JobState.RUNNING)).all()
        now = datetime.now(UTC)
        gone = {row.id: row.lease for row in running if is_gone(row.worker)}
        silent = self._suspicion.confirmed({row.id: row.lease for row in running if _silent(row, now)})
        lost = {**silent, **gone}
        if not lost:
            return
        with self._store.write() as session:
            for row in session.scalars(select(Row).where(Row.id.in_(lost), Row.state == JobState.RUNNING)):
                if row.lease == lost[row.id] and (row.id in gone or _silent(row, now)):
                    back(session, row, error=LOST, run_after=row.run_after, attempts=row.attempts)
                    log.warning("the worker of submission %d was lost; it is graded again", row.submission_id)

    def _wake(self) -> None:
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()


def _silent(row: Row, now: datetime) -> bool:
    return row.lease_until is None or row.lease_until < now
