"""Alembic's entrance: from the program it is given an open engine; from its own command line it reads the settings."""

from alembic import context
from sqlalchemy import Connection

from grader.settings import read_settings
from grader.store.engine import Store
from grader.store.models import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


engine = context.config.attributes.get("engine") or Store(read_settings().database).engine
with engine.connect() as connection:
    run(connection)
    connection.commit()
