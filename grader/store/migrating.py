"""Brings a database to the newest schema, and says whether it is there. The steps are in migrations/versions."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from grader.errors import StoreError
from grader.store.engine import Store

FOLDER = Path(__file__).resolve().parents[2] / "migrations"


def configuration(store: Store | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["engine"] = None if store is None else store.engine
    return config


def version(store: Store) -> str | None:
    """The schema's version; none for an empty database."""
    with store.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None
    return head


def _known() -> set[str]:
    return {step.revision for step in ScriptDirectory.from_config(configuration()).walk_revisions()}


def _newer(found: str) -> str:
    return f"the database has schema {found}, which this version of Grader does not know; install the newer version"


def upgrade(store: Store) -> None:
    """Runs what is missing. Raises StoreError for a database of a newer program."""
    found = version(store)
    if found is not None and found not in _known():
        raise StoreError(_newer(found))
    command.upgrade(configuration(store), "head")


def require_newest(store: Store) -> None:
    """Raises StoreError, naming the command, when the schema is behind."""
    found = version(store)
    if found is not None and found not in _known():
        raise StoreError(_newer(found))
    if found != newest():
        raise StoreError(
            f"the database has schema {found or 'none'}, this version needs {newest()}; run: grader migrate"
        )
