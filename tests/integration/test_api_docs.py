"""Every command of docs/how-to/query-grades.md, run by a shell against a running service."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .service import NUMPY, PROJECT, Kit, program

PAGE = PROJECT / "docs" / "how-to" / "query-grades.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_command_works(kit: Kit, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.fail("curl is needed to test the commands of the page")
    for login in ("ada", "bob"):
        kit.hand_in(login, program(salt=login), NUMPY)
    kit.grade()
    first = BLOCKS[0]
    for name, value in {"GRADER": f"{kit.url}/api/v1", "TOKEN": kit.tokens["tina"], "COURSE": "dl"}.items():
        first, count = re.subn(rf"^export {name}=.*$", f"export {name}={value}", first, flags=re.MULTILINE)
        assert count == 1
    script = "\n".join(
        [first, *(block.replace("curl -s", "curl -sS --fail-with-body --max-time 20 -s") for block in BLOCKS[1:])]
    )
    with kit.working():
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60,
            env={"PATH": "/usr/bin:/bin", "no_proxy": "*", "HOME": str(tmp_path)}, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "event: done" in done.stdout
    assert json.loads(done.stdout[: done.stdout.index("}]}") + 3])["login"] == "tina"
    rows = list(csv.DictReader((tmp_path / "grades.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["login"], row["score"]) for row in rows] == [("ada", "100"), ("bob", "100"), ("chen", "")]
    assert (tmp_path / "canvas.csv").read_text(encoding="utf-8").startswith("Student,ID,SIS User ID")
    assert (tmp_path / "moodle.csv").read_text(encoding="utf-8").startswith("Username,Full name")


def test_the_page_says_what_each_filter_takes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert len(BLOCKS) >= 12
    for word in ("missing", "pending", "not_gradable", "graded", "Retry-After", "text/csv"):
        assert f"{word}" in text
