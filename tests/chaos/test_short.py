"""A short run of the chaos on each database, as `make chaos` does a long one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .scene import PROJECT

pytestmark = [pytest.mark.sandbox]
FAULTS, COPIES = 12, 12


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_was_accepted_survives(database: str) -> None:
    if database == "postgresql":
        from tests.postgres import require

        require()
    words = ["--database", database, "--faults", FAULTS, "--copies", COPIES, "--seed", os.environ.get("CHAOS_SEED", 0)]
    command = [sys.executable, "-m", "tests.chaos", "--short", *map(str, words)]
    with subprocess.Popen(
        command, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.terminate()  # it ends what it started
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said[-6000:]
