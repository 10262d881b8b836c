"""Moves everything from a file of SQLite into an empty database of PostgreSQL: rows, numbers, and what waits.

One transaction: at its end all of it is there and was compared with the file, or nothing is. The file is only read.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Result, Table, func, insert, select
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from grader.errors import StoreError, UsageError
from grader.queue.delivering import deliver
from grader.queue.rows import back
from grader.store import migrating
from grader.store.engine import Store, without_nul
from grader.store.models import Base, Job, Worker
from grader.store.states import JobState
from grader.store.verifying import Contents, verify_connection

_ROWS = 100  # copied at a time
_JOBS = 1000
_WORDS = {"blobs": "uploads", "instance": "settings of a service", "check_results": "results of checks"}
_MOVED = tuple(table for table in Base.metadata.sorted_tables if table.name != Worker.__tablename__)  # they say hello


def move(source: Store, target: Store) -> Contents:
    """Returns what was read again of the target. source: SQLite that nothing else uses; target: PostgreSQL, empty.

    Raises UsageError when one of them is not, StoreError when the target would not be equal to the source.
    """
    if not target.is_postgresql or source.is_postgresql:
        raise UsageError("a file of SQLite is moved to PostgreSQL; set GRADER_DATABASE_URL to postgresql+psycopg://...")
    if migrating.version(source) != migrating.newest():
        raise UsageError(
            f"{source.file} has the schema of another version; first run: "
            f"GRADER_DATABASE_URL=sqlite:///{source.file} grader migrate"
        )
    if migrating.version(target) is None:
        migrating.upgrade(target)
    migrating.require_newest(target)
    with source.read() as old, target.write() as new:
        for table in _MOVED:
            if new.execute(select(func.count()).select_from(table)).scalar_one():
                raise UsageError(
                    f"{target.place} is not empty ({_WORDS.get(table.name, table.name)} are in it); make an empty "
                    "database with createdb"
                )
        for table in _MOVED:
            _copy(old, new, table)
            _compare(old, new, table)
        _continue_numbers(new)
        _hand_out(new)
        new.flush()
        return verify_connection(new.connection())


def _copy(old: Session, new: Session, table: Table) -> None:
    try:
        with _read(old, table) as found:
            for rows in found.partitions():
                new.execute(insert(table), [dict(row._mapping) for row in rows])
    except DataError as error:  # SQLite takes texts of any length
        raise StoreError(f"PostgreSQL does not take a row of {table.name}: {error.orig}") from None


def _compare(old: Session, new: Session, table: Table) -> None:
    counts = [session.execute(select(func.count()).select_from(table)).scalar_one() for session in (old, new)]
    if counts[0] != counts[1]:
        raise StoreError(f"{table.name}: {counts[0]} rows became {counts[1]}")
    with _read(old, table) as before, _read(new, table) as after:
        for one, other in zip(before, after, strict=True):
            if tuple(map(_as_kept, one)) != tuple(other):
                raise StoreError(f"{table.name}: the row {one[0]!r} became another one")


def _as_kept(value: Any) -> Any:
    return without_nul(value) if isinstance(value, str) else value


def _read(session: Session, table: Table) -> Result[Any]:
    question = select(table).order_by(*table.primary_key.columns)
    return session.execute(question, execution_options={"yield_per": _ROWS})


def _continue_numbers(session: Session) -> None:
    """What is new gets numbers after those that are there."""
    for table in _MOVED:
        if "id" in table.columns:
            last = select(func.max(table.columns["id"])).scalar_subquery()
            name = func.pg_get_serial_sequence(table.name, "id")
            session.execute(select(func.setval(name, func.coalesce(last, 1), last.is_not(None))))


def _hand_out(session: Session) -> None:
    """What waits, or ran when it was stopped, waits for workers of the target."""
    unfinished = (JobState.QUEUED, JobState.RUNNING)
    jobs = session.scalars(select(Job).where(Job.state.in_(unfinished)).order_by(Job.id)).all()
    for job in jobs:
        if job.state is JobState.RUNNING:
            back(session, job, error="the database was moved", run_after=datetime.now(UTC), attempts=job.attempts)
    for start in range(0, len(jobs), _JOBS):
        deliver(session, jobs[start : start + _JOBS])
