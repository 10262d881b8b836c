"""The queue on PostgreSQL, for workers of any number of machines: Procrastinate hands the jobs out.

Each row of `jobs` has a job of Procrastinate beside it, made, taken and ended by the same transactions as the row: so
there is never one without the other, and the report of a grading is stored by the transaction that ends its job.
Procrastinate gives what is hard to get right: one worker a job (SKIP LOCKED), the lock of a student, heartbeats, jobs
of workers that fell silent, waking workers by NOTIFY. The order is the one of the local queue, put into one number.

Times are the database's, so that a worker with a wrong clock loses nothing.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from grader.errors import StoreError
from grader.queue import Job, LeaseLost, Priority
from grader.queue.delivering import ask, deliver, done, is_out, next_row, put_off, stalled
from grader.queue.lost import CONFIRM_S, Suspicion
from grader.queue.names import is_gone
from grader.queue.rows import LOST, JobRows, back, begin, delay_s, end, new_row
from grader.reports import Json
from grader.store.engine import Store, after_commit
from grader.store.listening import Listener
from grader.store.models import Job as Row
from grader.store.states import JobState

log = logging.getLogger("grader")

SILENT_S = 30.0  # a worker that has not been heard of for so long has lost its jobs
FREED: Final = "grader_job_freed"  # NOTIFY: a job ended, so that another one of its student may start
_INSERTED: Final = "procrastinate_any_queue_v1"
_BEAT_S = 5.0
_LOOK_FOR_LOST_S = 1.0
_POLL_S = 1.0  # jobs that are tried again later wake nobody


class DistributedQueue(JobRows):
    """The Queue over a Store that is PostgreSQL. Thread-safe. listener: wakes `wait`; without one it only polls."""

    def __init__(self, store: Store, listener: Listener | None = None, *, silent_s: float = SILENT_S) -> None:
        self._store, self._silent_s = store, silent_s
        self._woken = threading.Condition()
        self._wakes = 0
        self._looked = 0.0
        self._suspicion = Suspicion(min(CONFIRM_S, silent_s))
        self._workers: dict[str, int] = {}  # Procrastinate's number of each worker of this process
        self._beaten: dict[str, float] = {}
        self._doubtful: set[str] = set()  # leases of jobs that we may have taken without hearing of it
        self._lock = threading.Lock()
        if listener is not None:
            listener.on(_INSERTED, self._wake, missed=self._wake)
            listener.on(FREED, self._wake)

    # Putting in ----------------------------------------------------------------------------------------------------

    def put(
        self, session: Session, *, submission_id: int, user_id: int, runtime: str, priority: Priority, now: datetime,
        version: str = "", regrade_id: int | None = None, request_id: str = "", trace: str | None = None,
    ) -> None:  # fmt: skip
        row = new_row(
            session, submission_id=submission_id, user_id=user_id, runtime=runtime, priority=priority, now=now,
            version=version, regrade_id=regrade_id, request_id=request_id, trace=trace,
        )  # fmt: skip
        session.add(row)
        session.flush()
        deliver(session, [row])
        after_commit(session, self._wake)

    def put_many(
        self, session: Session, jobs: Iterable[tuple[int, int]], *, runtime: str, regrade_id: int, now: datetime,
        version: str = "", request_id: str = "",
    ) -> None:  # fmt: skip
        rows = [
            new_row(
                session, submission_id=submission_id, user_id=user_id, runtime=runtime, priority=Priority.REGRADE,
                now=now, version=version, regrade_id=regrade_id, request_id=request_id, trace=None,
            )
            for submission_id, user_id in jobs
        ]  # fmt: skip
        session.add_all(rows)
        session.flush()
        deliver(session, rows)
        after_commit(session, self._wake)

    def cancel(self, session: Session, *, regrade_id: int, now: datetime) -> None:
        waiting = (Row.regrade_id == regrade_id, Row.state == JobState.QUEUED)
        session.execute(select(func.procrastinate_cancel_job_v1(Row.delivery, False, True)).where(*waiting)).all()
        session.execute(update(Row).where(*waiting).values(state=JobState.DONE, ended_at=now))

    # Taking and ending ---------------------------------------------------------------------------------------------

    def take(self, worker: str, runtimes: Sequence[str]) -> Job | None:
        self._take_back_lost()
        self._give_back_doubtful()
        number, lease = self._number(worker), secrets.token_hex(16)
        try:
            with self._store.write(shared=True) as session:
                row = next_row(session, runtimes, number)
                if row is None:
                    return None
                now = datetime.now(UTC)
                until = now + timedelta(seconds=self._silent_s)
                return begin(session, row, worker=worker, lease=lease, now=now, until=until)
        except IntegrityError as error:
            if isinstance(error.orig, ForeignKeyViolation):  # silent for so long that we were struck off
                with self._lock:
                    self._workers.pop(worker, None)
            return None  # else another worker was quicker with a job of the same student
        except StoreError:  # perhaps only the answer to the commit was lost
            with self._lock:
                self._doubtful.add(lease)
            raise

    def _give_back_doubtful(self) -> None:
        """Jobs that run for nobody: they were taken, and the answer to the commit did not reach us."""
        with self._lock:
            if not self._doubtful:
                return
            doubtful = set(self._doubtful)
        with self._store.write(shared=True) as session:
            question = select(Row).where(Row.lease.in_(doubtful), Row.state == JobState.RUNNING)
            for row in session.scalars(question.with_for_update()):
                self._put_back(session, row, error=None, delay=0.0, attempts=row.attempts - 1)
        with self._lock:
            self._doubtful -= doubtful

    def wait(self, timeout_s: float) -> None:
        with self._woken:
            seen = self._wakes
            self._woken.wait_for(lambda: self._wakes != seen, min(timeout_s, _POLL_S))

    def keep(self, jobs: Sequence[Job], progress: Mapping[int, list[Json]]) -> None:
        with self._store.write(sign_of_life=True) as session:
            for number in list(self._workers.values()):
                ask(session, "update_heartbeat", worker_id=number)
        if not jobs:
            return
        with self._store.write(shared=True) as session:
            for job in sorted(jobs, key=lambda job: job.id):
                session.execute(
                    update(Row)
                    .where(Row.id == job.id, Row.lease == job.lease, Row.state == JobState.RUNNING)
                    .values(progress=progress.get(job.id))
                )

    def finish(self, session: Session, job: Job, now: datetime, *, failed: bool = False) -> None:
        row = _held(session, job)
        if row is None:
            raise LeaseLost(f"job {job.id} is not ours any more")
        end(row, now, failed=failed)
        if is_out(session, row):  # else somebody has meddled; the row says it all
            done(session, row, failed=failed)
        session.execute(select(func.pg_notify(FREED, "")))
        after_commit(session, self._wake)

    def retry(self, job: Job, error: str) -> None:
        self._return(job, error=error, delay=delay_s(job.attempt), attempts=job.attempt)

    def give_back(self, job: Job, *, after_s: float = 0.0) -> None:
        self._return(job, error=None, delay=after_s, attempts=job.attempt - 1)

    def _return(self, job: Job, *, error: str | None, delay: float, attempts: int) -> None:
        with self._store.write(shared=True) as session:
            row = _held(session, job)
            if row is not None:
                self._put_back(session, row, error=error, delay=delay, attempts=attempts)
                after_commit(session, self._wake)

    # Workers that live and workers that do not ---------------------------------------------------------------------

    def _number(self, worker: str) -> int:
        """Procrastinate's number of a worker, whose heart beats here as long as it looks for jobs."""
        with self._lock:
            number = self._workers.get(worker)
            if number is not None and time.monotonic() - self._beaten[worker] < _BEAT_S:
                return number
            with self._store.write(sign_of_life=True) as session:
                if number is None:
                    number = int(ask(session, "register_worker")["worker_id"])
                else:
                    ask(session, "update_heartbeat", worker_id=number)
            self._workers[worker], self._beaten[worker] = number, time.monotonic()
            return number

    def _take_back_lost(self) -> None:
        """Frees jobs of workers that are silent for too long, or whose process is gone from this machine."""
        with self._lock:
            if time.monotonic() - self._looked < _LOOK_FOR_LOST_S:
                return
            self._looked = time.monotonic()
        with self._store.read() as session:
            running = session.scalars(select(Row).where(Row.state == JobState.RUNNING)).all()
            if not running:
                return
            silent = stalled(session, self._silent_s)
        gone = {row.id: row.lease for row in running if is_gone(row.worker)}
        long = self._suspicion.confirmed({row.id: row.lease for row in running if row.delivery in silent})
        lost = {**long, **gone}
        if not lost:
            return
        with self._store.write(shared=True) as session:
            silent = stalled(session, self._silent_s)  # who waited as long as we did may have been heard of
            question = select(Row).where(Row.id.in_(lost), Row.state == JobState.RUNNING)
            for row in session.scalars(question.with_for_update(skip_locked=True)):
                if row.lease == lost[row.id] and (row.id in gone or row.delivery in silent):
                    self._put_back(session, row, error=LOST, delay=0.0, attempts=row.attempts)
                    log.warning("the worker of submission %d was lost; it is graded again", row.submission_id)

    def _put_back(self, session: Session, row: Row, *, error: str | None, delay: float, attempts: int) -> None:
        now = session.execute(select(func.now())).scalar_one()
        error = row.last_error if error is None else error
        back(session, row, error=error, run_after=now + timedelta(seconds=delay), attempts=attempts)
        if is_out(session, row):
            put_off(session, row, seconds=delay)
        else:
            log.error("the delivery of job %d was gone; it has a new one", row.id)
            deliver(session, [row])
        session.execute(select(func.pg_notify(FREED, "")))

    def _wake(self, _: str = "") -> None:
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()


def _held(session: Session, job: Job) -> Row | None:
    """The job's row, locked, as long as it is ours."""
    return session.scalar(
        select(Row)
        .where(Row.id == job.id, Row.lease == job.lease, Row.state == JobState.RUNNING)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
