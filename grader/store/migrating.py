"""Brings a database to the newest schema, and says whether it is there. The steps are in migrations/versions."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from grader.errors import StoreError, UsageError
from grader.store.engine import Store, worded

FOLDER = Path(__file__).resolve().parents[2] / "migrations"


def configuration(store: Store | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["engine"] = None if store is None else store.engine
    return config


def version(store: Store) -> str | None:
    """The schema's version; none for an empty database. Raises StoreError for a file that is none."""
    with worded(), store.engine.connect() as connection:
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
    """Runs what is missing. Raises StoreError for a database of a newer program, UsageError for one that cannot be
    written or that would not keep every text."""
    found = version(store)
    if found is not None and found not in _known():
        raise StoreError(_newer(found))
    if store.is_postgresql:
        _require_unicode(store)
    try:
        command.upgrade(configuration(store), "head")
    except DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None)
        if code == "42501":  # insufficient_privilege
            raise UsageError(
                f"{store.place}: this user may not make tables there ({error.orig}); let it own the database: "
                "ALTER DATABASE ... OWNER TO ..."
            ) from None
        if code == "25006":  # read_only_sql_transaction
            raise UsageError(f"{store.place} is read-only: a standby? Name the server that is written to") from None
        raise


def _require_unicode(store: Store) -> None:
    with store.engine.connect() as connection:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise UsageError(
            f"{store.place} has the encoding {encoding}, which does not keep every text; make one with: "
            "createdb --encoding=UTF8 --template=template0 NAME"
        )


def require_newest(store: Store) -> None:
    """Raises StoreError, naming the command, when the schema is behind."""
    found = version(store)
    if found is not None and found not in _known():
        raise StoreError(_newer(found))
    if found != newest():
        raise StoreError(
            f"the database has schema {found or 'none'}, this version needs {newest()}; run: grader migrate"
        )
