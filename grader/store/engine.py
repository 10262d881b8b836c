"""Opens the database and gives transactions: `with store.read()` and `with store.write()`, committed at their end.

SQLite runs in WAL mode with synchronous=FULL: a commit that has returned survives a power cut. Writers begin with BEGIN
IMMEDIATE, so a transaction never has to be repeated because another one wrote in between. Threads of this process
queue up on a lock instead of SQLite's own polling, which would make some of them wait ten times longer.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import Session

from grader.errors import StoreError, UsageError

_BUSY_MS = 20_000


class Store:
    """One database. Thread-safe. Raises UsageError for an address it cannot use."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._engine = _open(url)
        self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one state of the database and changes nothing."""
        with _worded(self.url), Session(self._engine, expire_on_commit=False, autoflush=False) as session:
            yield session
            session.expunge_all()  # what was read stays readable
            session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at its end, or rolled back when something is raised.

        What `after_commit` was given runs after the commit, so nobody is told of something that did not happen.
        """
        with self._lock, _worded(self.url), Session(self._writing, expire_on_commit=False) as session:
            session.connection()
            yield session
            session.commit()
            callbacks = session.info.get("after", [])
        for callback in callbacks:
            callback()

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def file(self) -> Path | None:
        """The database's file; none when it is not SQLite."""
        url = make_url(self.url)
        return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None

    def backup(self, target: Path) -> None:
        """A consistent copy, made while the service runs (SQLite's online backup). Raises UsageError."""
        if self.file is None:
            raise UsageError("only an SQLite database is copied like this; for PostgreSQL use pg_dump")
        source = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)
        copy = sqlite3.connect(target)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without companions
        finally:
            copy.close()
            source.close()

    def close(self) -> None:
        self._engine.dispose()


def after_commit(session: Session, callback: Callable[[], None]) -> None:
    """Calls back when the transaction of this session has been committed; not at all when it is rolled back."""
    session.info.setdefault("after", []).append(callback)


@contextmanager
def _worded(url: str) -> Iterator[None]:
    """A full disk or a locked file is our fault and has words; everything else stays what it is."""
    try:
        yield
    except OperationalError as error:
        raise StoreError(f"the database cannot be used now: {error.orig}") from error
    except DatabaseError as error:
        if re.search("malformed|not a database", str(error.orig)):
            raise StoreError(f"the database is damaged: {error.orig}; restore a backup: grader restore FILE") from error
        raise


def _open(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError(f"GRADER_DATABASE_URL is not an address of a database: {url!r}") from None
    if parsed.get_backend_name() != "sqlite":
        raise UsageError(f"GRADER_DATABASE_URL: {parsed.get_backend_name()} is not known; use sqlite:///FILE")
    if not parsed.database or parsed.database == ":memory:":
        raise UsageError("GRADER_DATABASE_URL: a database in memory loses everything; use sqlite:///FILE")
    engine = create_engine(
        parsed,
        connect_args={"isolation_level": None, "timeout": _BUSY_MS / 1000, "check_same_thread": False},
        hide_parameters=True,  # an error in the log must not hold what people typed
        pool_size=50,
        max_overflow=50,
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}", "cache_size=-65536",
        "mmap_size=268435456", "temp_store=MEMORY",
    ):  # fmt: skip
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))
