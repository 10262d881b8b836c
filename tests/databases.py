"""Which database a test run uses: `pytest --database postgresql` repeats on PostgreSQL what SQLite is the default for.

Tests that are about SQLite itself are marked `sqlite` and are left out of such a run, and so is all that needs no
database.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import make_url, text, update

from grader.store import migrating
from grader.store.engine import Store
from grader.store.models import Job
from tests import postgres

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_choice = [SQLITE]


def choose(name: str) -> None:
    _choice[0] = name


def chosen() -> str:
    return _choice[0]


def fresh(fill: Callable[[Store], None]) -> str:
    """The address of a new database with what `fill` puts in; that is done once for a process, then copied."""
    return postgres.running().database(template=_template(fill))


def new_store(folder: Path) -> Store:
    """An empty database with our tables, in this folder or a new one of PostgreSQL; `end` takes it away."""
    if chosen() == POSTGRESQL:
        return Store(fresh(migrating.upgrade))
    store = Store(f"sqlite:///{folder}/new.sqlite3")
    migrating.upgrade(store)
    return store


def end(store: Store) -> None:
    store.close()
    drop(store.url)


def hurry(store: Store) -> None:
    """Jobs that are to be tried again later may be taken now."""
    with store.write() as session:
        session.execute(update(Job).values(run_after=datetime(2000, 1, 1, tzinfo=UTC)))
        if store.is_postgresql:
            session.execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'"))


def drop(url: str) -> None:
    """Takes a database of `fresh` away; does nothing to a file."""
    parsed = make_url(url)
    if parsed.get_backend_name() == POSTGRESQL and parsed.database:
        postgres.running().drop(parsed.database)


@functools.cache
def _template(fill: Callable[[Store], None]) -> str:
    url = postgres.running().database()
    store = Store(url)
    fill(store)
    store.close()
    name = make_url(url).database
    assert name is not None
    return name
