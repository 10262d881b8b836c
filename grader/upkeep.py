"""What the service does without being asked: cleaning up, closing of deadlines, tests of its own sandbox.

When each is done is said in `TASKS` and kept by grader.queue.periodic: once a period for the whole installation, except
for the self-test, which is every worker's own, since each may be another machine.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from grader.doctor import Examination
from grader.queue.periodic import Task
from grader.sandbox.limits import Mode
from grader.service import audit, pace
from grader.service.access import Actor
from grader.store.models import (
    AuditEvent,
    Base,
    Enrolment,
    Extension,
    Grade,
    Job,
    Published,
    Regrade,
    SignInFailure,
    SignInLink,
    Token,
    Worker,
)
from grader.store.states import GradeStatus, JobState, RegradeState, Role

if TYPE_CHECKING:
    from grader.worker import Worker as Grading

log = logging.getLogger("grader")

SERVICE: Final = Actor(user_id=None, login="service", name="service", courses={}, via="service")
CLOSED: Final = "assignment.closed"
_DAY = timedelta(days=1)
_KEPT = timedelta(days=30)  # links and tokens that are of no use any more
_JOBS_KEPT = timedelta(days=90)
_MOST_JOBS = 5000  # deleted at a time, so that nobody waits long for the transaction
_LOOK_BACK = timedelta(days=30)  # deadlines that passed while nothing ran
_ON_ITS_WAY = timedelta(minutes=2)  # a body that arrives slowly, and its transaction
_AGAIN_S = (0.0, 10.0, 120.0)  # after a self-test that failed: first at once, in case somebody ended its processes


# Cleaning up -------------------------------------------------------------------------------------------------------


def clean_up(session: Session, now: datetime) -> dict[str, int]:
    """Deletes what nothing refers to and nobody will ask for; {table: rows}. What anybody did stays in the audit log.

    Jobs that have failed stay: the page of the system shows them until somebody grades them again.
    """
    now = pace.clock(session, now)
    old = now - _KEPT
    ended = (RegradeState.PUBLISHED, RegradeState.CANCELLED)
    jobs = (
        select(Job.id)
        .outerjoin(Regrade, Regrade.id == Job.regrade_id)
        .where(Job.state == JobState.DONE, Job.ended_at < now - _JOBS_KEPT)
        .where(or_(Job.regrade_id.is_(None), Regrade.state.in_(ended)))
        .limit(_MOST_JOBS)
    )
    unneeded: dict[type[Base], ColumnElement[bool]] = {
        SignInFailure: SignInFailure.at < now - _DAY,
        SignInLink: or_(SignInLink.expires_at < old, SignInLink.used_at < old),
        Token: or_(Token.expires_at < old, Token.revoked_at < old),
        Worker: Worker.seen_at < now - _DAY,
        Job: Job.id.in_(jobs),
    }
    counts = {}
    for table, which in unneeded.items():
        done = session.execute(delete(table).where(which), execution_options={"synchronize_session": False})
        assert isinstance(done, CursorResult)
        counts[table.__tablename__] = done.rowcount
    if any(counts.values()):
        log.info("cleaned up: %s", ", ".join(f"{count} of {name}" for name, count in counts.items() if count))
    return counts


# Closing of deadlines ----------------------------------------------------------------------------------------------


def close_deadlines(session: Session, now: datetime) -> int:
    """Writes into the audit log, once for each closing time that has passed, who had handed in by then.

    Nothing else changes at that moment: whether a file is taken and what is shown follows from the time itself. A
    student with more time is counted as such, and gets an event of their own when it has passed. A deadline that was
    moved closes again. What began to arrive in time may still be on its way for a while, so that is waited for.
    Returns how many events were written.
    """
    at = pace.clock(session, now)
    now = at - _ON_ITS_WAY
    due = session.scalars(
        select(Published)
        .where(Published.due_at < now, Published.due_at > now - _LOOK_BACK - timedelta(days=365))
        .order_by(Published.id)
    ).all()
    if not due:
        return 0
    written = {
        (event.course_id, event.subject, event.user_id, (event.after or {}).get("closed_at"))
        for event in session.scalars(select(AuditEvent).where(AuditEvent.action == CLOSED))
    }
    count = 0
    for published in due:
        for user_id, closed_at in _closings(session, published, now):
            if (published.course_id, published.name, user_id, closed_at.isoformat()) in written:
                continue
            after: dict[str, object] = {"closed_at": closed_at.isoformat()}
            after |= _handed_in(session, published, now) if user_id is None else _of(session, published, user_id)
            audit.note(
                session, SERVICE, CLOSED, published.name, at, course_id=published.course_id, user_id=user_id,
                after=after,
            )  # fmt: skip
            count += 1
    return count


def _closings(session: Session, published: Published, now: datetime) -> Iterable[tuple[int | None, datetime]]:
    """Closing times that have passed of late: of everybody (none), and of students who had more time."""
    assert published.due_at is not None
    late = timedelta(days=published.late_days)
    closes_at = published.due_at + late
    if now - _LOOK_BACK < closes_at < now:
        yield None, closes_at
    for user_id, later in _more_time(session, published).items():
        if now - _LOOK_BACK < later < now:
            yield user_id, later


def _more_time(session: Session, published: Published) -> dict[int, datetime]:
    """{student: when it closes for them}, of those for whom it closes later."""
    assert published.due_at is not None
    rows = session.execute(
        select(Extension.user_id, Extension.due_at)
        .join(Enrolment, Enrolment.user_id == Extension.user_id)
        .where(Extension.published_id == published.id, Extension.removed_at.is_(None))
        .where(Enrolment.course_id == published.course_id, Enrolment.role == Role.STUDENT)
        .order_by(Extension.id)
    )
    late = timedelta(days=published.late_days)
    return {user: due_at + late for user, due_at in rows if due_at is not None and due_at > published.due_at}


def _handed_in(session: Session, published: Published, now: datetime) -> dict[str, object]:
    """missing: without a file and without more time; waiting: their file has no verdict yet."""
    rows = session.execute(
        select(Grade.user_id, Grade.status)
        .join(Enrolment, Enrolment.user_id == Grade.user_id)
        .where(Grade.published_id == published.id)
        .where(Enrolment.course_id == published.course_id, Enrolment.role == Role.STUDENT)
    ).all()
    with_time = {user for user, later in _more_time(session, published).items() if later >= now}
    return {
        "students": len(rows),
        "handed_in": sum(status is not GradeStatus.MISSING for _, status in rows),
        "missing": sum(status is GradeStatus.MISSING and user not in with_time for user, status in rows),
        "waiting": sum(status is GradeStatus.PENDING for _, status in rows),
        "more_time": len(with_time),
    }


def _of(session: Session, published: Published, user_id: int) -> dict[str, object]:
    count = session.scalar(
        select(func.count()).where(
            Grade.published_id == published.id, Grade.user_id == user_id, Grade.status != GradeStatus.MISSING
        )
    )
    return {"handed_in": bool(count)}


TASKS: Final = (
    Task(name="clean_up", cron="17 * * * *", every_s=3600, run=clean_up),
    Task(name="close_deadlines", cron="* * * * *", every_s=60, run=close_deadlines),
)


# Self-test ---------------------------------------------------------------------------------------------------------


class SelfTest:
    """Examines this worker's sandbox beside its gradings, in a sandbox of its own. A worker whose test fails is held:
    it finishes what it has, takes nothing more, and is tested every few minutes until the test holds again.

    mode: that the worker started with.
    """

    def __init__(self, examine: Callable[[], Examination], worker: Grading, mode: Mode | None) -> None:
        self._examine, self._worker, self._mode = examine, worker, mode
        self._asked, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="self-test", daemon=True)

    def start(self) -> None:
        """The first test begins now."""
        self.ask()
        self._thread.start()

    def ask(self) -> None:
        """A test, soon; returns at once."""
        self._asked.set()

    def close(self) -> None:
        """No test begins any more; one that runs ends with this process."""
        self._closing.set()
        self._asked.set()

    def test(self) -> bool:
        """One test, now. Whether it holds."""
        examined: dict[str, object] = {}
        try:
            found = self._examine()
            examined, why = dict(found.to_json()), failure(found, self._mode)
        except Exception as error:  # whatever it is, nobody knows whether the sandbox holds
            log.exception("the self-test of the sandbox did not end")
            why = f"it did not end: {error}"
        if self._closing.is_set():  # what is being closed fails
            return True
        was, self._worker.held = self._worker.held, why
        self._worker.examined = {**examined, "at": datetime.now(UTC).isoformat(), "failed": why}
        if why:
            log.error("the self-test of the sandbox fails, so this worker takes no jobs: %s", why)
        elif was:
            log.warning("the self-test of the sandbox holds again; this worker takes jobs")
        return not why

    def _run(self) -> None:
        failed = 0
        while True:
            self._asked.wait(_AGAIN_S[min(failed, len(_AGAIN_S)) - 1] if failed else None)
            self._asked.clear()
            if self._closing.is_set():
                return
            failed = 0 if self.test() else failed + 1


def failure(found: Examination, mode: Mode | None) -> str:
    """Why other people's code may not run here any more; empty if it may.

    In modes C and D some probes cannot hold; whoever started the worker has agreed to that.
    """
    if found.refused:
        return found.refused
    if found.mode not in (Mode.A, Mode.B):
        return f"the sandbox is of mode {found.mode} now, and was of mode {mode}" if mode in (Mode.A, Mode.B) else ""
    return "; ".join(f"{finding.name}: {finding.evidence}" for finding in found.findings if not finding.held)
