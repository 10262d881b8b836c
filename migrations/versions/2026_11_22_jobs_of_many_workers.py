"""what a job carries from the web to a worker of another machine; on PostgreSQL Procrastinate's own tables."""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("assignment_version", sa.String(64), nullable=False, server_default=""))
        jobs.add_column(sa.Column("request_id", sa.String(80), nullable=False, server_default=""))
        jobs.add_column(sa.Column("trace", sa.String(60), nullable=True))
        jobs.add_column(sa.Column("delivery", sa.BigInteger(), nullable=True))
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        # Of the release that pyproject.toml pins. Another release of Procrastinate comes with a step of its own here.
        connection.execution_options(no_parameters=True).exec_driver_sql(SchemaManager.get_schema())


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_DROP)
    with op.batch_alter_table("jobs") as jobs:
        for name in ("delivery", "trace", "request_id", "assignment_version"):
            jobs.drop_column(name)


_DROP = """
DO $$ DECLARE found text; BEGIN
    FOR found IN SELECT oid::regclass FROM pg_class WHERE relname LIKE 'procrastinate%' AND relkind = 'r' LOOP
        EXECUTE 'DROP TABLE ' || found || ' CASCADE'; END LOOP;
    FOR found IN SELECT oid::regprocedure FROM pg_proc WHERE proname LIKE 'procrastinate%' LOOP
        EXECUTE 'DROP FUNCTION ' || found || ' CASCADE'; END LOOP;
    FOR found IN SELECT oid::regtype FROM pg_type WHERE typname LIKE 'procrastinate%' AND typtype IN ('e', 'c') LOOP
        EXECUTE 'DROP TYPE ' || found || ' CASCADE'; END LOOP;
END $$
"""
