"""The gradings that are to be done: a Protocol with one implementation for each database.

A job is put into the queue by the transaction that stores the submission, so there is never one without the other. A
worker takes it for a limited time (the lease) and says now and then that it is alive; when it does not, another worker
takes the job again. So a job may be run twice, but it is finished once: `finish` belongs to the transaction that stores
the report, and is refused to a worker whose lease has gone to somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from sqlalchemy.orm import Session

from grader.reports import Json

MOST_ATTEMPTS = 3


class Priority(IntEnum):
    """Smaller goes first."""

    STUDENT = 0
    STAFF = 5
    REGRADE = 10


class LeaseLost(Exception):
    """The job belongs to another worker by now, or was done by it; what we have is thrown away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One grading. attempt: from 1; above MOST_ATTEMPTS the worker gives up. lease: proof that it is ours.

    version: of the assignment as whoever put it in knew it; empty: any. waited_s: from being put in to being taken.
    first: nobody had taken it before. suspect: its worker was lost the last time, perhaps because of it.
    request_id, trace: of the request that put it in (see logs and telemetry).
    """

    id: int
    submission_id: int
    user_id: int
    regrade_id: int | None
    runtime: str
    attempt: int
    lease: str
    version: str = ""
    waited_s: float = 0.0
    first: bool = True
    suspect: bool = False
    request_id: str = ""
    trace: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a waiting submission stands. seconds: a guess from the gradings of late; none when nothing is known."""

    before: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """What waits and runs. oldest_s: age of the oldest job that waits, 0 when none does."""

    queued: int
    running: int
    failed: int
    oldest_s: float


class Queue(Protocol):
    """See the module. Every method that is given a session works in its transaction, the others in one of their own."""

    def put(
        self, session: Session, *, submission_id: int, user_id: int, runtime: str, priority: Priority, now: datetime,
        version: str = "", regrade_id: int | None = None, request_id: str = "", trace: str | None = None,
    ) -> None:  # fmt: skip
        """Adds a job."""

    def put_many(
        self, session: Session, jobs: Iterable[tuple[int, int]], *, runtime: str, regrade_id: int, now: datetime,
        version: str = "", request_id: str = "",
    ) -> None:  # fmt: skip
        """Adds a regrade's jobs, given as (submission, user)."""

    def take(self, worker: str, runtimes: Sequence[str]) -> Job | None:
        """The next job of one of these runtimes, leased to this worker; none when there is none to be had."""

    def wait(self, timeout_s: float) -> None:
        """Until there may be a new job, at most this long."""

    def keep(self, jobs: Sequence[Job], progress: Mapping[int, list[Json]]) -> None:
        """Extends the leases of jobs that are being worked on; progress by job: checks that have ended."""

    def finish(self, session: Session, job: Job, now: datetime, *, failed: bool = False) -> None:
        """Ends a job; failed: without a verdict, so that staff look at it. Raises LeaseLost."""

    def retry(self, job: Job, error: str) -> None:
        """Gives a job back that our own fault has stopped; it is tried again a little later."""

    def give_back(self, job: Job, *, after_s: float = 0.0) -> None:
        """Gives a job back that was not finished, without counting the attempt; it may be taken after so long."""

    def cancel(self, session: Session, *, regrade_id: int, now: datetime) -> None:
        """Drops a regrade's jobs that have not begun."""

    def place(self, session: Session, submission_id: int) -> Place | None:
        """How many are before this submission; none when it does not wait."""

    def progress(self, session: Session, submission_id: int) -> list[Json]:
        """Checks of a running grading that have ended, as far as its worker has told."""

    def depth(self, session: Session) -> Depth:
        """What waits and runs now."""
