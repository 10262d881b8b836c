"""Fixtures of the kit: a service of its own for each test, or one for a whole module."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.store import migrating
from tests import databases, postgres

from .processes import address, start  # noqa: F401
from .service import Kit, make_kit


@pytest.fixture
def kit(database: str, tmp_path: Path) -> Iterator[Kit]:
    made = make_kit(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_kit(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """For tests of one module that do not disturb each other."""
    made = make_kit(tmp_path_factory.mktemp("kit"))
    yield made
    made.close()


@pytest.fixture
def postgresql_kit(tmp_path: Path) -> Iterator[Kit]:
    """On PostgreSQL, whatever the other tests of this run use."""
    postgres.require()
    before = databases.chosen()
    databases.choose(databases.POSTGRESQL)
    try:
        made = make_kit(tmp_path)
    finally:
        databases.choose(before)
    yield made
    made.close()


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the program with one more step."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrating.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "2099_01_01_next.py").write_text(
        '"""A step of a test."""\nfrom alembic import op\nrevision = "next"\n'
        f'down_revision = "{migrating.newest()}"\n'
        'def upgrade():\n    op.execute("CREATE TABLE later (x INTEGER)")\n'
    )
    monkeypatch.setattr(migrating, "FOLDER", folder)
