"""Opens the database and gives transactions: `with store.read()` and `with store.write()`, committed at their end.

SQLite runs in WAL mode with synchronous=FULL: a commit that has returned survives a power cut. Writers begin with BEGIN
IMMEDIATE, so a transaction never has to be repeated because another one wrote in between. Threads of this process
queue up on a lock instead of SQLite's own polling, which would make some of them wait ten times longer.

PostgreSQL gives the same promise with advisory locks that end with the transaction: a writer is alone, unless it says
that it concerns one student (then it is alone with this student) or nobody's rows but its own (shared). Uploads and
gradings of different students go on beside each other; a roster or a regrade waits for them and holds them up shortly.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError, TimeoutError
from sqlalchemy.orm import Session

from grader.errors import StoreError, UsageError
from grader.store.addresses import read_address, shown

_BUSY_MS = 20_000
_IDLE_MS = 15_000  # a transaction whose process hangs loses its locks, before those who wait for them give up
_WRITERS = 0x67726164  # key of the lock that all writers share; with a student's number, of this student's


class Store:
    """One database. Thread-safe. Raises UsageError for an address it cannot use."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._lock = threading.Lock()
        self._engine = _open(url)
        self._reading: Engine
        self._writing: Engine
        self.is_postgresql = self._engine.dialect.name == "postgresql"
        if self.is_postgresql:
            self._reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            self._writing = self._engine.execution_options(isolation_level="READ COMMITTED")
        else:
            self._reading = self._engine
            self._writing = self._engine.execution_options(begin="BEGIN IMMEDIATE")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one state of the database and changes nothing."""
        with worded(), Session(self._reading, expire_on_commit=False, autoflush=False) as session:
            yield session
            session.expunge_all()  # what was read stays readable
            session.rollback()

    @contextmanager
    def write(
        self, *, student: int | None = None, shared: bool = False, sign_of_life: bool = False
    ) -> Iterator[Session]:
        """A transaction that is committed at its end, or rolled back when something is raised.

        student: it reads and changes only what belongs to this user; shared: only rows that no other transaction
        decides by; sign_of_life: the row of one worker only, which waits for nobody, however long somebody writes
        alone. On PostgreSQL such transactions run beside each other. What `after_commit` was given runs after the
        commit, so nobody is told of something that did not happen.
        """
        with self._one_writer(), worded(), Session(self._writing, expire_on_commit=False) as session:
            connection = session.connection()
            if self.is_postgresql and not sign_of_life:
                _wait_for_turn(connection, student, shared)
            yield session
            session.commit()
            callbacks = session.info.get("after", [])
        for callback in callbacks:
            callback()

    def _one_writer(self) -> AbstractContextManager[object]:
        return nullcontext() if self.is_postgresql else self._lock

    @property
    def engine(self) -> Engine:
        return self._engine

    @property
    def file(self) -> Path | None:
        """The database's file, from the root on; none when it is not SQLite."""
        url = self._engine.url
        return Path(url.database).absolute() if not self.is_postgresql and url.database else None

    @property
    def place(self) -> str:
        """The database in words, without its password."""
        return str(self.file) if self.file is not None else shown(self._engine.url)

    def backup(self, target: Path) -> None:
        """A consistent copy, made while the service runs (SQLite's online backup). Raises UsageError."""
        if self.file is None:
            raise UsageError(
                "only an SQLite database is copied like this; for PostgreSQL use pg_dump: "
                "see docs/how-to/back-up-and-restore.md"
            )
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
def worded() -> Iterator[None]:
    """A full disk or a locked file is our fault and has words; everything else stays what it is."""
    try:
        yield
    except OperationalError as error:
        raise StoreError(f"the database cannot be used now: {_line(error)}") from error
    except TimeoutError as error:
        raise StoreError("the database cannot be used now: every connection of this process is in use") from error
    except DatabaseError as error:
        if error.connection_invalidated:
            raise StoreError(f"the connection to the database was ended: {_line(error)}") from error
        if re.search("malformed|not a database", str(error.orig)):
            raise StoreError(f"the database is damaged: {error.orig}; restore a backup: grader restore FILE") from error
        raise


def _line(error: DatabaseError) -> str:
    """The driver's words, without what libpq guesses or asks in the lines below them."""
    return " ".join(str(error.orig).split("\n\t")[0].split())


def _open(url: str) -> Engine:
    parsed = read_address(url)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgresql(parsed)
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


def _open_postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={
            "application_name": "grader",
            "client_encoding": "UTF8",
            "connect_timeout": 5,
            "keepalives_idle": 10,  # a server that vanished without a word is given up after half a minute
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "options": f"-c lock_timeout={_BUSY_MS} -c idle_in_transaction_session_timeout={_IDLE_MS} -c timezone=UTC",
        },
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted costs nobody an error
        pool_size=10,
        max_overflow=40,
        pool_timeout=_BUSY_MS / 1000,
    )
    event.listen(engine, "connect", _adapt_texts)
    return engine


def without_nul(text: str) -> str:
    """A text as PostgreSQL keeps it, which has none with the character NUL: with the sign for what cannot be shown."""
    return text.replace("\0", "\ufffd")


def _adapt_texts(connection: Any, _: object) -> None:
    """SQLite has texts with NUL: what somebody sends with it is found nowhere, and stored without."""
    from psycopg.types.string import StrDumperUnknown

    class Text(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(without_nul(obj))

    connection.adapters.register_dumper(str, Text)


def _wait_for_turn(connection: Connection, student: int | None, shared: bool) -> None:
    if student is not None:
        question = "SELECT pg_advisory_xact_lock_shared(%s), pg_advisory_xact_lock(%s, %s)"
        connection.exec_driver_sql(question, (_WRITERS, _WRITERS, student))
    elif shared:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock_shared(%s)", (_WRITERS,))
    else:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))


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
