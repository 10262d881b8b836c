"""Writes the parts of the documentation that are copies of what the grader says.

    .venv/bin/python docs/reference/generate.py [ASSIGNMENT ...]

- assignments.md: checks and points of every assignment, and the matrix of mistakes and checks
- settings.md: every setting, its default, what it may be and what it means
- ../../README.md: the report under the first command, from a real run of that command

A copy stands between `<!-- begin NAME -->` and `<!-- end NAME -->`. tests/test_docs.py makes the copies again and
compares them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from grader.assignments import Assignment, load_all
from grader.sandbox.limits import Mode
from grader.settings import Settings

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PAGE, SETTINGS, README = HERE / "assignments.md", HERE / "settings.md", PROJECT / "README.md"
_SIGNS = {"passed": ".", "failed": "x", "not_reached": "-"}


def grader(*arguments: str, timeout_s: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line in the project's folder, with default settings and 80 columns."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADER_")}
    return subprocess.run(
        [sys.executable, "-m", "grader", *arguments],
        cwd=PROJECT,
        env={**kept, "COLUMNS": "80", "PYTHONUTF8": "1", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )


def checks_table(assignment: Assignment) -> str:
    """A Markdown table of the checks, numbered as in the matrix."""
    lines = ["| | Check | Part | Points | Title |", "|---:|---|---|---:|---|"]
    for number, check in enumerate(assignment.checks, 1):
        lines.append(f"| {number} | `{check.id}` | {check.part} | {check.points:g} | {check.title.en} |")
    return "\n".join([*lines, f"| | | | **{assignment.max_score:g}** | |"])


def matrix(assignment: Assignment, proofs: list[dict[str, Any]]) -> str:
    """One line a variant: a sign for every check, then the score."""
    width = max(len(proof["name"]) for proof in proofs) + 2
    numbers = "".join(str(number % 10) for number in range(1, len(assignment.checks) + 1))
    lines = [f"{'':{width}}{numbers}  score"]
    for proof in proofs:
        found = {name: _sign(proof["name"], check) for name, check in proof["checks"].items()}
        signs = "".join(found.get(check.id, " ") for check in assignment.checks) if found else "not graded"
        lines.append(f"{proof['name']:{width}}{signs:{len(numbers)}}  {proof['score']:>5g}")
    return "\n".join(["```text", *lines, "```"])


def _sign(name: str, check: dict[str, Any]) -> str:
    return "N" if check["mistake"] == name else _SIGNS[check["status"]]


def proved_matrix(assignment: Assignment, *options: str) -> str:
    """The matrix from a run of `grader prove`, which must hold."""
    run = grader("prove", assignment.name, "--json", *options, timeout_s=900)
    if run.returncode:
        raise RuntimeError(f"grader prove {assignment.name} ended with {run.returncode}: {run.stderr}")
    return matrix(assignment, json.loads(run.stdout))


def settings_table() -> str:
    """A Markdown table of every setting."""
    lines = ["| Variable | Default | Allowed | Meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        meaning = str(field.description).removesuffix(".")
        lines.append(f"| `GRADER_{name.upper()}` | {_default(field)} | {_allowed(field)} | {meaning} |")
    return "\n".join(lines)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == "":
        return "none"
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT).as_posix()}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: FieldInfo) -> str:
    bounds = {key: getattr(item, key) for item in field.metadata for key in ("ge", "le") if hasattr(item, key)}
    if bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    if field.annotation is bool:
        return "`true`, `false`"
    if field.annotation is Mode:
        return ", ".join(f"`{mode}`" for mode in Mode if mode is not Mode.D)
    if field.annotation in (Path, Path | None):
        return "a path"
    words = getattr(field.annotation, "__args__", ())
    if SecretStr in words:
        return "text, shown nowhere"
    return ", ".join(f"`{word}`" for word in words) or "text"


def first_report(readme: str) -> str:
    """What the README's first `grader grade` prints, as a block."""
    command = re.search(r"^\.venv/bin/grader (grade .+)$", readme, re.MULTILINE)
    if command is None:
        raise RuntimeError("the README shows no grader grade command")
    run = grader(*command[1].split())
    if run.returncode:
        raise RuntimeError(f"grader {command[1]} ended with {run.returncode}: {run.stderr}")
    lines = [line.rstrip() for line in run.stdout.rstrip().split("\n")]
    return "\n".join(["```text", *lines, "```"])


def block(text: str, name: str) -> str:
    """The copy called name in a page."""
    found = re.search(f"<!-- begin {name} -->\n(.*?)\n<!-- end {name} -->", text, re.DOTALL)
    if found is None:
        raise LookupError(f"there is no block {name!r}")
    return found[1]


def replaced(text: str, name: str, body: str) -> str:
    return text.replace(f"<!-- begin {name} -->\n{block(text, name)}\n", f"<!-- begin {name} -->\n{body}\n")


def main() -> None:
    page, readme = PAGE.read_text(encoding="utf-8"), README.read_text(encoding="utf-8")
    for assignment in load_all(PROJECT / "reference").values():
        if sys.argv[1:] and assignment.name not in sys.argv[1:]:
            continue
        print(assignment.name, flush=True)
        page = replaced(page, f"{assignment.name} checks", checks_table(assignment))
        page = replaced(page, f"{assignment.name} matrix", proved_matrix(assignment))
    PAGE.write_text(page, encoding="utf-8")
    shown = SETTINGS.read_text(encoding="utf-8")
    SETTINGS.write_text(replaced(shown, "settings", settings_table()), encoding="utf-8")
    README.write_text(replaced(readme, "report", first_report(readme)), encoding="utf-8")


if __name__ == "__main__":
    main()
