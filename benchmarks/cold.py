"""The same checks as ours, in one cold process: imports the runtime, loads file and solution, runs every check once.

No isolation and no diagnosis: what any grader pays that starts a Python process for each submission. Run with the
runner's interpreter: python benchmarks/cold.py ASSIGNMENT FILE. Prints the number of passed checks.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from grader.assignments import load  # noqa: E402
from grader.checks import CheckFailed, Rng  # noqa: E402
from grader.sandbox.driver import Driver  # noqa: E402
from grader.subjects import Subject  # noqa: E402


class InProcess:
    """A channel to a program in this very process."""

    def __init__(self, runtime: str, source: str, file: str) -> None:
        self.driver = Driver(runtime)
        self.driver.load(source=source, file=file, modules={}, watch=[], ops=[], seed=0)
        self.values: list[Any] = []

    def send(self, steps: list[list[Any]]) -> None:
        self.values = [self.driver.step(step) for step in steps]

    def receive(self) -> tuple[list[Any], frozenset[str]]:
        return self.values, frozenset()


def main(name: str, file: str) -> None:
    assignment = load(ROOT / "reference" / name)
    if assignment.runtime != "numpy":
        __import__(assignment.runtime)
    student = InProcess(assignment.runtime, Path(file).read_text(encoding="utf-8"), "main")
    reference = InProcess(assignment.runtime, assignment.solution, "solution")
    passed = 0
    for number, check in enumerate(assignment.checks):
        mine, theirs = (
            Subject(channel, classes=assignment.classes, methods=assignment.methods) for channel in (student, reference)
        )
        for channel in (student, reference):
            channel.driver.begin(number)
        try:
            check.function(mine, theirs, Rng(np.random.PCG64(number)))
        except CheckFailed as error:
            print(f"{check.id}: {error}", file=sys.stderr)
            continue
        passed += 1
    print(f"{passed} of {len(assignment.checks)} checks passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
