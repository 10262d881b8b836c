"""Takes a job, grades it with no transaction open, stores the report. Several at a time, each in a thread of its own.

A worker may be killed at any instant: until the report is committed the job belongs to whoever takes it next. A worker
that is told to stop finishes what it has, or gives it back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from structlog.contextvars import bind_contextvars, clear_contextvars

from grader import __version__, telemetry, wording
from grader.assignments import Assignment
from grader.errors import GraderError, StoreError
from grader.events import Bus, Event, regrade_topic, submission_topic
from grader.grading import Engine
from grader.logs import Outage
from grader.metrics import Measures
from grader.queue import MOST_ATTEMPTS, Job, LeaseLost, Queue
from grader.reports import CheckResult, Json, Report, ReportStatus
from grader.service import pace, recording, regrading
from grader.service.catalogue import Catalogue
from grader.store.codec import unpack
from grader.store.engine import Store, after_commit
from grader.store.models import Blob, Submission
from grader.store.models import Worker as WorkerRow
from grader.store.states import SubmissionState

log = logging.getLogger("grader")

_BEAT_S = 5.0
_IDLE_S = 1.0
_AFTER_ERROR_S = 1.0
_PASS_ON_S = (0.5, 8.0)  # a job for another worker: how long this one leaves it to the others, at first and later on
_PASS_ON_FOR_S = 300.0  # then it grades with the version it has
_ASIDE_S = 1.0
_ABSENT_FOR_S = 900.0  # how long a job waits here for a worker that has its assignment


@dataclass(frozen=True, kw_only=True, slots=True)
class _Work:
    """A job with all that its grading needs."""

    job: Job
    assignment: Assignment
    file_name: str
    data: bytes


@dataclass
class Worker:
    """Grades jobs of these runtimes. start() returns at once; stop() waits for the gradings that run.

    slots: gradings at once. name: tells this process from others (see queue.names.worker_name).
    """

    store: Store
    queue: Queue
    engine: Engine
    catalogue: Catalogue
    bus: Bus
    name: str
    runtimes: Sequence[str]
    slots: int = 2
    measures: Measures = field(default_factory=Measures)
    examined: dict[str, Json] = field(default_factory=dict)  # doctor's examination, for the system page
    held: str = ""  # why it takes no jobs for now; see upkeep.SelfTest
    _running: dict[int, Job] = field(default_factory=dict)
    _progress: dict[int, list[Json]] = field(default_factory=dict)
    _passed: dict[int, tuple[float, int]] = field(default_factory=dict)  # jobs passed on: since when, how often
    _stopped: list[tuple[Job, Exception]] = field(default_factory=list)  # jobs that a fault of ours has stopped
    _threads: list[threading.Thread] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _left: threading.Event = field(default_factory=threading.Event)  # nothing is graded here any more
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _outage: Outage = field(default_factory=lambda: Outage(log, "the database answers again"))

    def start(self) -> None:
        self._announce(datetime.now(UTC))
        for number in range(self.slots):
            self._threads.append(threading.Thread(target=self._serve, name=f"grade-{number}", daemon=True))
        heart = threading.Thread(target=self._beat, args=(list(self._threads),), name="heartbeat", daemon=True)
        self._threads.append(heart)
        for thread in self._threads:
            thread.start()

    def stop(self, grace_s: float = 20.0) -> None:
        """Takes no more jobs; waits for those that run, then gives back what is not finished."""
        self._stopping.set()
        with self._lock:
            running = len(self._running)
        log.info("told to stop: takes no more; %d being graded, with up to %.0f s", running, grace_s)
        deadline = time.monotonic() + grace_s
        for thread in self._threads[:-1]:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._left.set()
        for heart in self._threads[-1:]:
            heart.join(_BEAT_S)
        with self._lock:
            unfinished = list(self._running.values())
        for job in unfinished:
            self.queue.give_back(job)
        self._give_back_stopped()
        with self.store.write() as session:
            row = session.get(WorkerRow, self.name)
            if row is not None:
                session.delete(row)

    def one(self) -> bool:
        """Takes and does one job; False when there was none."""
        clear_contextvars()
        self._give_back_stopped()
        job = self.queue.take(self.name, self.runtimes)
        if job is None:
            return False
        bind_contextvars(worker=self.name, submission_id=job.submission_id)  # for every line of the log, until the next
        if job.request_id:
            bind_contextvars(request_id=job.request_id)
        if job.first:
            self.measures.took(job.runtime, job.waited_s)
        with self._lock:
            self._running[job.id] = job
            self._progress[job.id] = []
        try:
            self._do(job)
        except Exception as error:
            with self._lock:
                self._stopped.append((job, error))
            raise
        finally:
            with self._lock:
                del self._running[job.id], self._progress[job.id]
        return True

    def _give_back_stopped(self) -> None:
        """Nobody else would: as long as this worker lives, they count as being worked on."""
        while True:
            with self._lock:
                if not self._stopped:
                    return
                job, error = self._stopped.pop()
            try:
                if isinstance(error, StoreError):
                    self.queue.give_back(job)
                else:  # perhaps the file's doing, so the attempt counts
                    self.queue.retry(job, repr(error))
            except Exception as again:
                with self._lock:
                    self._stopped.append((job, error))
                if isinstance(again, StoreError):
                    raise
                log.exception("submission %d cannot be given back", job.submission_id)
                return  # to the others, which need not wait for that

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                if self.held:
                    self._give_back_stopped()
                    self._stopping.wait(_IDLE_S)
                else:
                    if not self.one():
                        self.queue.wait(_IDLE_S)
                    self._outage.answered()
            except StoreError as error:  # a full disk, a long lock, a server that starts again
                self._outage.failed(error)
                self._stopping.wait(_AFTER_ERROR_S)
            except Exception:
                log.exception("a worker's thread failed; it goes on with the next job")
                self._stopping.wait(_AFTER_ERROR_S)

    def _do(self, job: Job) -> None:
        if self._stands_aside(job):
            return
        work = self._open(job)
        if work is None:
            return
        with self._lock:
            self._passed.pop(job.id, None)
        if job.attempt > MOST_ATTEMPTS:
            report = _given_up(work)
        else:
            self._tell(job, Event(kind="state", data={"state": SubmissionState.GRADING}))
            report = self.engine.grade(
                work.assignment, work.file_name, work.data, on_check=lambda check: self._ended(job, check)
            )
        if report.status is ReportStatus.GRADER_ERROR and job.attempt < MOST_ATTEMPTS:
            self.measures.retried(job.runtime)
            self.queue.retry(job, report.notes[0].en if report.notes else "")
            self._tell(job, Event(kind="state", data={"state": SubmissionState.QUEUED}))
            return
        self._store(job, report)

    def _open(self, job: Job) -> _Work | None:
        """What is to be graded; none when it was left to another worker, or ended without a verdict."""
        with self.store.read() as session:
            submission = session.get(Submission, job.submission_id)
            assert submission is not None  # a foreign key holds it
            name, file_name, digest = submission.published.name, submission.file_name, submission.blob_digest
        try:
            assignment = self.catalogue.get(name)
        except GraderError as error:
            if not self._passed_on(job, _ABSENT_FOR_S, str(error)):
                self._cannot(job, name, file_name, error)
            return None
        other = job.version not in ("", assignment.version)
        if other and self._another_has(name, job.version) and self._passed_on(job, _PASS_ON_FOR_S):
            return None
        with self.store.read() as session:
            blob = session.get(Blob, digest)
            assert blob is not None  # a foreign key holds it, too
            packed = blob.data
        try:
            return _Work(job=job, assignment=assignment, file_name=file_name, data=unpack(packed))
        except GraderError as error:
            self._cannot(job, name, file_name, error)
            return None

    def _another_has(self, assignment: str, version: str) -> bool:
        """Whether another living worker has just this version of an assignment, as while a new release is rolled out.

        When none has it, the job is graded with the version that is here, which its report says.
        """
        now = datetime.now(UTC)
        with self.store.read() as session:
            others = [w for w in pace.grading(session, now) if w.name != self.name]
            return any(w.detail.get("assignments", {}).get(assignment) == version for w in others)

    def _passed_on(self, job: Job, for_s: float, why: str = "") -> bool:
        """Leaves a job to other workers, each time for longer; False once that has gone on here for so many seconds."""
        now = time.monotonic()
        with self._lock:
            since, count = self._passed.get(job.id, (now, 0))
            if now - since >= for_s:
                self._passed.pop(job.id, None)
                return False
            self._passed = {number: at for number, at in self._passed.items() if now - at[0] < 2 * _ABSENT_FOR_S}
            self._passed[job.id] = since, count + 1
        if why and not count:
            log.error("submission %d waits for a worker that can grade it: %s", job.submission_id, why)
        first, longest = _PASS_ON_S
        self.queue.give_back(job, after_s=min(longest, first * 2.0 ** min(count, 10)))
        return True

    def _stands_aside(self, job: Job) -> bool:
        """Jobs whose worker was lost are graded one at a time: one of them may have killed it, and would take the
        others along until all are given up."""
        with self._lock:
            others = [other for other in self._running.values() if other.suspect and other.id < job.id]
        if not (job.suspect and others):
            return False
        self.queue.give_back(job, after_s=_ASIDE_S)
        return True

    def _cannot(self, job: Job, name: str, file_name: str, error: GraderError) -> None:
        """Tried again, and in the end without a verdict: damaged bytes, or an assignment that nobody has."""
        log.error("submission %d cannot be graded: %s", job.submission_id, error)
        if job.attempt < MOST_ATTEMPTS:
            self.measures.retried(job.runtime)
            self.queue.retry(job, str(error))
        else:
            self._store(job, _no_verdict(name, file_name))

    def _store(self, job: Job, report: Report) -> None:
        now, began = datetime.now(UTC), time.perf_counter()
        try:
            with self.store.write(student=job.user_id) as session:
                failed = report.status is ReportStatus.GRADER_ERROR
                self.queue.finish(session, job, now, failed=failed)
                submission = session.get(Submission, job.submission_id)
                assert submission is not None
                recording.record(session, submission, report, now, regrade_id=job.regrade_id)
                if job.regrade_id is not None:
                    regrading.advance(session, job.regrade_id, now)
                after_commit(session, lambda: self._tell(job, Event(kind="done")))
        except LeaseLost:
            log.warning("submission %d was graded by another worker meanwhile", job.submission_id)
            return
        self._count(job, report, time.perf_counter() - began)

    def _count(self, job: Job, report: Report, store_s: float) -> None:
        """What whoever watches the service is told of a grading: a line of the log, numbers, spans."""
        took_s = report.timings_ms.get("total", 0.0) / 1000 + store_s
        log.info(
            "submission %d: %s, %g of %g points, %.0f ms",
            job.submission_id, report.status, report.score, report.max_score, 1000 * took_s,
        )  # fmt: skip
        self.measures.graded(job.runtime, str(report.status), report.timings_ms, took_s=took_s, store_s=store_s)
        about: dict[str, str | int] = {
            "submission_id": job.submission_id, "assignment": report.assignment, "runtime": job.runtime,
            "status": str(report.status), "attempt": job.attempt, "request_id": job.request_id, "worker": self.name,
        }  # fmt: skip
        told = telemetry.Graded(
            parent=job.trace, timings_ms=report.timings_ms, waited_s=job.waited_s, took_s=took_s, store_s=store_s,
            attributes=about,
        )  # fmt: skip
        telemetry.graded(told)

    def _ended(self, job: Job, check: CheckResult) -> None:
        """A check has ended: told to pages of this process now, and to others with the next heartbeat."""
        data: dict[str, Json] = {
            "id": check.id,
            "status": str(check.status),
            "points": check.points,
            "max_points": check.max_points,
            "visible": check.visible,
        }
        with self._lock:
            self._progress[job.id] = [*self._progress[job.id], data]
        self._tell(job, Event(kind="check", data=data))

    def _tell(self, job: Job, event: Event) -> None:
        if job.regrade_id is None:
            self.bus.publish(submission_topic(job.submission_id), event)
        elif event.kind == "done":
            self.bus.publish(regrade_topic(job.regrade_id), Event(kind="progress"))

    def _beat(self, gradings: Sequence[threading.Thread]) -> None:
        bind_contextvars(worker=self.name)
        while not self._stopping.wait(_BEAT_S):
            self._live()
        while not self._left.is_set() and any(thread.is_alive() for thread in gradings):
            self._live()  # a stop may wait longer than a silent worker keeps its jobs
            self._left.wait(_BEAT_S)

    def _live(self) -> None:
        try:
            with self._lock:
                running, progress = list(self._running.values()), dict(self._progress)
            self._announce(datetime.now(UTC))
            if running:
                self.queue.keep(running, progress)
            self._outage.answered()
        except StoreError as error:
            self._outage.failed(error)
        except Exception:  # without a heartbeat this worker would be taken for dead
            log.exception("a heartbeat failed")

    def _announce(self, now: datetime) -> None:
        sandbox = self.engine.sandbox
        ready = () if self._stopping.is_set() else self.catalogue.names  # others need not leave jobs to who stops
        installed = [self.catalogue.get(name) for name in ready]
        with self.store.write(sign_of_life=True) as session:
            now = pace.clock(session, now)
            row = session.get(WorkerRow, self.name)
            if row is None:
                row = WorkerRow(name=self.name, started_at=now)
                session.add(row)
            row.seen_at, row.mode = now, "" if sandbox.mode is None else str(sandbox.mode)
            row.detail = {
                "runtimes": list(self.runtimes), "slots": self.slots, "missing": list(sandbox.missing),
                "examined": self.examined, "held": self.held, "version": __version__,
                "assignments": {a.name: a.version for a in installed if a.runtime in self.runtimes},
            }  # fmt: skip


def _given_up(work: _Work) -> Report:
    return _no_verdict(work.assignment.name, work.file_name, work.assignment.version, work.assignment.max_score)


def _no_verdict(assignment: str, file_name: str, version: str = "", max_score: float = 0.0) -> Report:
    """The report on a submission that killed its workers or whose assignment is not here: our fault, no points lost."""
    return Report(
        assignment=assignment, assignment_version=version, status=ReportStatus.GRADER_ERROR, score=0,
        max_score=max_score, notes=(wording.grader_fault(),), file=file_name,
    )  # fmt: skip
