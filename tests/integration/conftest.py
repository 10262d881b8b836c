"""Fixtures of the kit: a service of its own for each test, or one for a whole module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .service import Kit, make_kit


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = make_kit(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """For tests of one module that do not disturb each other."""
    made = make_kit(tmp_path_factory.mktemp("kit"))
    yield made
    made.close()
