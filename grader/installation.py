"""What this installation keeps on disk: the database with its locks, its secret, its copies.

Two lock files stand beside the database. `NAME.serve-lock` is held by the one `grader serve`; `NAME.lock` is shared by
everything that has the database open, and held alone by what replaces or changes it as a whole (restore, upgrade). The
kernel frees both when a process ends, however it ends. A database of PostgreSQL has no such locks: any number of
processes serve it, and its schema is changed only by `grader migrate`, while they run.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from grader.errors import StoreError, UsageError
from grader.ownership import give, make_folder, make_new, open_own, reason
from grader.store import migrating, verifying
from grader.store.addresses import no_connection
from grader.store.engine import Store
from grader.store.models import Instance

_SECRET, _ADDRESS = "secret", "address"
_MOVED = "moved-"  # with the time, behind the name of a file that is in PostgreSQL now
_SQLITE = b"SQLite format 3\0"


def open_store(url: str, *, make: bool = False) -> Store:
    """The database of an address; make: folder (0700) and file (0600) too, if need be. Raises UsageError."""
    store = Store(url)
    if store.is_postgresql:
        _require_connection(store)
        return store
    file = file_of(store)
    try:
        if make:
            _require_not_moved(file)
            make_folder(file.parent)
        os.close(open_own(file, make=make))  # SQLite would let others read what it makes
    except FileNotFoundError:
        store.close()
        if make:  # a mistake in the address makes no folders
            raise UsageError(f"there is no folder {file.parent.parent} to make {file.parent} in") from None
        raise UsageError(
            f"there is no database {file}; is GRADER_DATA_DIR or GRADER_DATABASE_URL the same as for grader serve, "
            "which makes one?"
        ) from None
    except OSError as error:
        store.close()
        raise UsageError(f"the database {file} cannot be opened: {reason(file, error)}") from None
    return store


def _require_connection(store: Store) -> None:
    try:
        with store.engine.connect():
            pass
    except DBAPIError as error:
        store.close()
        raise UsageError(no_connection(store.engine.url, error)) from None


def file_of(store: Store) -> Path:
    """The database's file. Raises UsageError for PostgreSQL, whose own tools copy and replace it."""
    if store.file is None:
        raise UsageError(
            f"{store.place} is not a file: copy it with pg_dump, put a copy back with pg_restore; see "
            "docs/how-to/back-up-and-restore.md"
        )
    return store.file


def secret_of(store: Store, given: bytes | None) -> bytes:
    """The secret that a setting gives, else the one that this database keeps, made at the first time."""
    if given is not None:
        return given
    with store.write() as session:
        row = session.get(Instance, _SECRET)
        if row is None:
            row = Instance(key=_SECRET, value=secrets.token_hex(32))
            session.add(row)
        return row.value.encode()


def keep_address(store: Store, address: str) -> None:
    """Writes down where the service is reached, for links that commands make."""
    with store.write() as session:
        session.merge(Instance(key=_ADDRESS, value=address))


def kept_address(session: Session) -> str | None:
    """Where the service was reached when it was started last; none when it never was."""
    row = session.get(Instance, _ADDRESS)
    return None if row is None else row.value


# Locks -------------------------------------------------------------------------------------------------------------


def in_use(store: Store) -> AbstractContextManager[None]:
    """Held by everything that has this database open; see `using`."""
    return nullcontext() if store.is_postgresql else using(file_of(store))


def being_served(store: Store) -> AbstractContextManager[None]:
    """Held by a `grader serve`: the only one of a file, one of many on PostgreSQL; see `serving`."""
    return nullcontext() if store.is_postgresql else serving(file_of(store))


@contextmanager
def serving(file: Path) -> Iterator[None]:
    """Held by the one `grader serve` of a database. Raises UsageError when there is one."""
    said = f"another grader serve uses {file} already; stop it first, or set GRADER_DATA_DIR to another folder"
    with _locked(_beside(file, "serve-lock"), fcntl.LOCK_EX, said):
        yield


@contextmanager
def using(file: Path) -> Iterator[None]:
    """Held by everything that has the database open. Raises UsageError while it is replaced or upgraded."""
    with _locked(_beside(file, "lock"), fcntl.LOCK_SH, f"{file} is being restored or upgraded; try again in a moment"):
        yield


@contextmanager
def alone(file: Path, why: str) -> Iterator[None]:
    """Held by what replaces or changes the database as a whole. Raises UsageError while anything uses it."""
    said = f"{file} is in use by grader serve, grader worker or another command; stop it first {why}"
    with _locked(_beside(file, "lock"), fcntl.LOCK_EX, said):
        yield


@contextmanager
def _locked(path: Path, how: int, refusal: str) -> Iterator[None]:
    try:
        lock = open_own(path, make=True)
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {reason(path, error)}") from None
    try:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(refusal) from None
        yield
    finally:
        os.close(lock)


# Schema, copies ----------------------------------------------------------------------------------------------------


def bring_up_to_date(store: Store, now: datetime) -> Path | None:
    """The newest schema; returns the copy that was kept of an older database. Raises StoreError, UsageError."""
    found = migrating.version(store)
    if found == migrating.newest():
        return None
    if store.is_postgresql:
        migrating.upgrade(store)
        return None
    file = file_of(store)
    with alone(file, "so that the database can be upgraded"):
        copy = None
        if found is not None:
            copy = _beside(file, f"before-upgrade-{_stamp(now)}")
            _copy(store, copy, contents=False)  # a damaged upload is no reason not to start
        migrating.upgrade(store)
    return copy


def backup(store: Store, target: Path) -> int:
    """Copies the database while it is in use, and checks the copy. Returns its bytes. Raises UsageError, StoreError."""
    if target.exists():
        raise UsageError(f"{target} exists already; name a new file")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        _copy(store, partial)
        try:
            os.link(partial, target)  # unlike a rename, never over a file that came meanwhile
        except FileExistsError:
            raise UsageError(f"{target} exists already; name a new file") from None
        except OSError:  # a file system without links
            partial.rename(target)
        _to_disk(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the backup {target} could not be written: {error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def _copy(store: Store, target: Path, *, contents: bool = True) -> None:
    os.close(make_new(target))
    try:
        store.backup(target)
        check(target, contents=contents)
        _to_disk(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def check(file: Path, *, contents: bool = True) -> None:
    """Raises UsageError when a file is no database of ours, StoreError when it is a damaged one.

    contents: read every upload and report too, which takes as long as reading the file.
    """
    try:
        with file.open("rb") as opened:
            if opened.read(16) != _SQLITE:
                raise UsageError(f"{file} is not an SQLite database")
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            if found != ["ok"]:
                raise StoreError(f"{file} is damaged: {'; '.join(found)}")
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"alembic_version", Instance.__tablename__} <= tables:
                raise UsageError(f"{file} is not a database of Grader")
            if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
                raise StoreError(f"{file} is damaged: rows refer to others that are not there")
            if contents:
                _verify(file, connection)
    except sqlite3.Error as error:
        raise StoreError(f"{file} is damaged: {error}") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None


def _verify(file: Path, connection: sqlite3.Connection) -> None:
    try:
        verifying.verify_contents(connection)
    except StoreError as error:
        raise StoreError(f"{file} is damaged: {error}") from None


def restore(source: Path, url: str, now: datetime) -> Path | None:
    """Puts a backup in the database's place. Returns where the present database is kept; none when there was none.

    The backup is copied, checked and upgraded beside the database before anything of it is touched. Raises UsageError
    while something uses the database, StoreError for a backup that is damaged or of a newer version.
    """
    check(source)
    file = file_of(Store(url))
    try:
        make_folder(file.parent, parents=True)
    except OSError as error:
        raise UsageError(f"{file.parent} cannot be made: {reason(file.parent, error)}") from None
    with alone(file, "so that the database can be replaced"):
        fresh = _beside(file, "restoring")
        _remove(fresh)
        try:
            with (
                os.fdopen(make_new(fresh, like=file if file.exists() else None), "wb") as target,
                source.open("rb") as old,
            ):
                shutil.copyfileobj(old, target)
            store = Store(f"sqlite:///{fresh}")
            try:
                migrating.upgrade(store)
            finally:
                store.close()
            check(fresh, contents=False)
            _to_disk(fresh)
            kept = _put_aside(file, _beside(file, f"before-restore-{_stamp(now)}"))
            fresh.replace(file)
            _to_disk(file.parent)
        finally:
            _remove(fresh)
    return kept


def _put_aside(file: Path, target: Path) -> Path | None:
    """Keeps a database, perhaps a damaged one, under another name; its own name stays until it is replaced."""
    if not file.exists():
        return None
    _one_file(file)
    for ending in ("-wal", "-shm"):  # left only where that failed
        with contextlib.suppress(FileNotFoundError):
            Path(f"{file}{ending}").rename(f"{target}{ending}")
    try:
        os.link(file, target)
    except OSError:  # a file system without links
        shutil.copy2(file, target)
        give(target, file)
    return target


def _one_file(file: Path) -> None:
    """Brings into a database what still stands in its journal."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def put_away(file: Path, now: datetime) -> Path | None:
    """Another name for a database that was moved to PostgreSQL, so that nobody serves both; none when it has to stay.

    What the file holds is not changed. `open_store` makes no new one in its place.
    """
    _one_file(file)
    target = _beside(file, f"{_MOVED}{_stamp(now)}")
    if Path(f"{file}-wal").exists():
        return None
    try:
        file.rename(target)
    except OSError:
        return None
    return target


def _require_not_moved(file: Path) -> None:
    if not file.exists() and (moved := sorted(file.parent.glob(f"{glob.escape(file.name)}.{_MOVED}*"))):
        raise UsageError(
            f"the database {file} was moved to PostgreSQL; set GRADER_DATABASE_URL to where it is. The file as it was "
            f"is {moved[-1]}"
        )


def _remove(file: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        Path(f"{file}{ending}").unlink(missing_ok=True)


def _beside(file: Path, ending: str) -> Path:
    return file.with_name(f"{file.name}.{ending}")


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
