"""Alembic's entrance: from the program it is given an open engine; from its own command line it reads the settings."""

from alembic import context
from sqlalchemy import Connection

from grader.settings import read_settings
from grader.store.engine import Store
from grader.store.models import Base


def _ours(thing: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        include_object=_ours,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":  # two that begin at once: the second one finds nothing to do
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1734435188)")
        context.run_migrations()


engine = context.config.attributes.get("engine") or Store(read_settings().database).engine
with engine.connect() as connection:
    run(connection)
    connection.commit()
