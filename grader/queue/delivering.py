"""Deliveries: what Procrastinate has of a job. Made, taken, put off and ended in the transactions of the job's row.

Its own functions of SQL do that, by the statements that come with it; it needs no connection of its own for them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from procrastinate import App, SyncPsycopgConnector, exceptions
from procrastinate import jobs as deliveries
from procrastinate.sql import queries
from sqlalchemy import RowMapping, func, select
from sqlalchemy.orm import Session

from grader.errors import StoreError
from grader.queue import Priority
from grader.store.models import Job as Row
from grader.store.states import JobState

log = logging.getLogger("grader")

TASK: Final = "grade"
_LOOKS = 20  # deliveries that are looked at for one job
_APART_S = 1.0
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_SPAN_S = 500_000_000  # of each priority, in one number of 32 bits: enough until 2041
_CLASSES: Final = tuple(sorted(Priority))
_APP: Final = App(connector=SyncPsycopgConnector())  # never opened: it works on the connections it is given


def deliver(session: Session, rows: Sequence[Row]) -> None:
    """Hands rows over to Procrastinate on the session's own connection. Raises StoreError."""
    made = [
        deliveries.Job(
            id=None, task_name=TASK, queue=row.runtime, lock=_students(row), queueing_lock=None,
            priority=turn(Priority(row.priority), row.fair_at), task_kwargs={"job": row.id},
        )
        for row in rows
    ]  # fmt: skip
    connection = session.connection().connection.driver_connection
    try:
        deferred = _APP.job_manager.batch_defer_jobs(made, connection=connection)
    except exceptions.ConnectorException as error:
        raise StoreError(f"the database cannot be used now: {error.__cause__ or error}") from error
    for row, job in zip(rows, deferred, strict=True):
        row.delivery = job.id
    session.flush()


def next_row(session: Session, runtimes: Sequence[str], worker: int) -> Row | None:
    """The row of the next delivery, which is this worker's now.

    Deliveries that nothing can be done with are put away on the way to it.
    """
    for _ in range(_LOOKS):
        found = ask(session, "fetch_job", queues=list(runtimes), worker_id=worker)
        if found["id"] is None:
            return None
        number = found["args"].get("job")
        row = session.get(Row, number) if isinstance(number, int) else None
        if row is None or row.state is not JobState.QUEUED or row.delivery != found["id"]:
            log.error("delivery %d belongs to no job that waits; it is dropped", found["id"])
            ask(session, "finish_job", job_id=found["id"], status="failed", delete_job=True)
        elif found["lock"] == _students(row) or _locked(session, row):
            return row
        else:  # it waited apart from its student's others, one of which runs now
            put_off(session, row, seconds=_APART_S)
    return None


def is_out(session: Session, row: Row) -> bool:
    """Whether Procrastinate still counts a job that runs as running."""
    question = "SELECT 1 FROM procrastinate_jobs WHERE id = %s AND status = 'doing' FOR UPDATE"
    return session.connection().exec_driver_sql(question, (row.delivery,)).first() is not None


def put_off(session: Session, row: Row, *, seconds: float) -> None:
    """Hands the delivery of a job out again, at once or later; then apart from its student's others, which do not
    wait for it."""
    now = session.execute(select(func.now())).scalar_one()
    ask(
        session, "retry_job", job_id=row.delivery, retry_at=now + timedelta(seconds=seconds), new_priority=None,
        new_queue_name=None, new_lock=f"job:{row.id}" if seconds else None,
    )  # fmt: skip


def done(session: Session, row: Row, *, failed: bool) -> None:
    """Ends the delivery of a job that ran, and keeps nothing of it: the row says it all."""
    status = deliveries.Status.FAILED if failed else deliveries.Status.SUCCEEDED
    ask(session, "finish_job", job_id=row.delivery, status=status.value, delete_job=True)


def stalled(session: Session, silent_s: float) -> set[int]:
    """Deliveries whose workers have not been heard of for so long."""
    parameters = {"queue": None, "task_name": TASK, "seconds_since_heartbeat": silent_s}
    statement = queries["select_stalled_jobs_by_heartbeat"]
    return {found["id"] for found in session.connection().exec_driver_sql(statement, parameters).mappings()}


def turn(priority: Priority, fair_at: datetime) -> int:
    """The number that Procrastinate sorts by, larger first: the priority's class, then the second of the turn."""
    second = min(max(0, int((fair_at - _EPOCH).total_seconds())), _SPAN_S - 1)
    return -(_CLASSES.index(priority) * _SPAN_S + second)


def ask(session: Session, name: str, **parameters: Any) -> RowMapping:
    """One of Procrastinate's own statements, in the session's transaction: its first row."""
    return session.connection().exec_driver_sql(queries[name], parameters).mappings().one()


def _students(row: Row) -> str:
    """The lock of a student's jobs. It is of a runtime, too: a job that no worker takes must not hold up the others."""
    return f"student:{row.user_id}:{row.runtime}"


def _locked(session: Session, row: Row) -> bool:
    """Gives the student's lock back to a delivery that waited apart; False while another one holds it."""
    other = select(Row.id).where(Row.user_id == row.user_id, Row.runtime == row.runtime, Row.state == JobState.RUNNING)
    if session.scalars(other.limit(1)).first() is not None:
        return False
    question = "UPDATE procrastinate_jobs SET lock = %s WHERE id = %s"
    session.connection().exec_driver_sql(question, (_students(row), row.delivery))
    return True
