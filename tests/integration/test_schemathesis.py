"""What the OpenAPI document promises, tried out by schemathesis with made-up requests, all checks on: as a student, as
a TA, and as an instructor where the others may do nothing.

Where a rule between fields, or between a field and what is stored, cannot be said in JSON Schema, 422 is one more
expected answer to data that fits its schema. Those operations are listed with their rule; for all others it stays a
failure.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .drawn import SUBTRACT, draw, picture, plain_figure
from .service import SUMS, Kit, program

SEMANTIC = {
    "GET /api/v1/courses/{course}/grades": "a cursor is one that a page gave",
    "GET /api/v1/courses/{course}/submissions": "a cursor is one that a page gave",
    "GET /api/v1/courses/{course}/audit": "a cursor is one that a page gave",
    "POST /api/v1/courses/{course}/assignments": "the assignment is installed; it ends after it begins",
    "PUT /api/v1/courses/{course}/assignments/{name}": "it ends after it begins",
    "PUT /api/v1/courses/{course}/assignments/{name}/students/{login}/override": "at most twice the maximum",
    "PUT /api/v1/courses/{course}/assignments/{name}/students/{login}/extension": "later than the deadline",
    "POST /api/v1/courses/{course}/assignments/{name}/submissions": "the file is named .py, .ipynb or .zip",
    "POST /api/v1/courses/{course}/roster": "the file is a roster",
    "POST /api/v1/tokens": "at most 20 tokens",
}
MANAGING = (
    "POST /api/v1/courses/{course}/assignments",
    "PUT /api/v1/courses/{course}/assignments/{name}",
    "POST /api/v1/courses/{course}/roster",
    "POST /api/v1/courses/{course}/students/{login}/link",
)
REVOKING = "DELETE /api/v1/tokens/{id}"  # would end the run's own token
CONFIG = """
[parameters]
"path.course" = "dl"
"path.name" = "sums"
"path.login" = "ada"
"path.id" = 1
"path.mistake" = "swapped"
"path.check" = "subtract_works"
"path.figure" = "loss"
"path.number" = 1
"""


def run(kit: Kit, folder: Path, login: str, *options: str, examples: int = 30, seconds: int = 32) -> dict[str, int]:
    """Runs schemathesis; returns how many requests were answered with 2xx, by route.

    For less time on PostgreSQL: the description is the same, and only what the database refuses is new.
    """
    if kit.service.store.is_postgresql:
        seconds = 2 * seconds // 3
    draw(kit, {SUBTRACT: [plain_figure()]}, {SUBTRACT: [picture()]})
    for student in ("ada", "bob"):
        kit.hand_in(student, program(fail=["subtract_works"], mistake="swapped"), SUMS)
    kit.grade()
    config = folder / "schemathesis.toml"
    expected = '["2xx", "3xx", "401", "403", "404", "409", "422", "429", "5xx"]'
    exceptions = [
        f'[[operations]]\ninclude-name = "{name}"\nchecks.positive_data_acceptance.expected-statuses = {expected}\n'
        for name in SEMANTIC
    ]
    config.write_text(CONFIG + "\n".join(exceptions), encoding="utf-8")
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", f"{kit.url}/api/v1/openapi.json",
        "--header", f"Authorization: Bearer {kit.tokens[login]}", "--checks", "all", "--continue-on-failure",
        "--max-examples", str(examples), "--max-time", str(seconds), "--no-color", "--generation-database", "none",
        *options,
    ]  # fmt: skip
    with kit.working():
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds + 60, check=False)
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2000:]
    return answered(kit)


def answered(kit: Kit) -> dict[str, int]:
    with kit.client("root") as root:
        text = root.get("/metrics").text
    found: dict[str, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "grader_http_request_seconds_count" and sample.labels["status"].startswith("2"):
                route = f"{sample.labels['method']} {sample.labels['route']}"
                found[route] = found.get(route, 0) + int(sample.value)
    return found


@pytest.mark.parametrize(("login", "least"), [("ada", 15), ("tina", 28)])
def test_the_api_keeps_what_its_description_promises(kit: Kit, tmp_path: Path, login: str, least: int) -> None:
    found = run(kit, tmp_path, login, "--exclude-name", REVOKING)
    assert len(found) >= least, sorted(found)


def test_it_does_for_instructors_too(kit: Kit, tmp_path: Path) -> None:
    names = [word for name in MANAGING for word in ("--include-name", name)]
    found = run(kit, tmp_path, "teacher", *names, examples=20, seconds=24)
    assert len(set(MANAGING) & set(found)) >= 3, sorted(found)


def test_tokens_are_revoked_as_described(kit: Kit, tmp_path: Path) -> None:
    """With nothing that schemathesis can revoke but tokens of others, which are not found."""
    run(
        kit,
        tmp_path,
        "teacher",
        "--include-name",
        REVOKING,
        "--exclude-checks",
        "ignored_auth",
        examples=10,
        seconds=15,
    )
