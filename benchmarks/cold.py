"""The same checks as ours, in one cold process: imports the runtime, loads file and solution, runs every check once.

No isolation and no diagnosis: what any grader pays that starts a Python process for each submission. Run with the
runner's interpreter: python benchmarks/cold.py ASSIGNMENT FILE. Prints the number of passed checks.

With a third argument, a number of rounds, it goes through all checks so many times more and prints, as JSON, the median
CPU seconds a round of what the student's own functions took: `training` of the calls that train (a step, a whole run),
`all` of every call. That is the bare computing which no grader can save, in a process that is warm already.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from grader.assignments import Assignment, load  # noqa: E402
from grader.checks import CheckFailed, Rng  # noqa: E402
from grader.sandbox.driver import Driver  # noqa: E402
from grader.sandbox.values import Budget  # noqa: E402
from grader.subjects import Subject  # noqa: E402

# What trains: the sheets' own functions, and the two methods that a check descends with where there is no function.
TRAINING = ("train_one_step", "train", "forward", "backward")


class InProcess:
    """A channel to a program in this very process."""

    def __init__(self, runtime: str, source: str, file: str) -> None:
        self.driver = Driver(runtime)
        self.driver.load(source=source, file=file, modules={}, watch=[], ops=[], seed=0)
        self.values: list[Any] = []
        self.all_s = self.training_s = 0.0  # CPU

    def send(self, steps: list[list[Any]]) -> None:
        self.values, self.driver.budget = [], Budget()
        for step in steps:
            started = time.process_time()
            self.values.append(self.driver.step(step))
            spent = time.process_time() - started
            self.all_s += spent
            if step[0] == "call" and step[3] in TRAINING:
                self.training_s += spent

    def receive(self) -> tuple[list[Any], frozenset[str]]:
        return self.values, frozenset()


def main(name: str, file: str, rounds: str = "0") -> None:
    assignment = load(ROOT / "reference" / name)
    if assignment.runtime != "numpy":
        __import__(assignment.runtime)
    student = InProcess(assignment.runtime, Path(file).read_text(encoding="utf-8"), "main")
    reference = InProcess(assignment.runtime, assignment.solution, "solution")
    passed = all_checks(assignment, student, reference)
    print(f"{passed} of {len(assignment.checks)} checks passed")
    spent: list[tuple[float, float]] = []
    for _ in range(int(rounds)):
        student.all_s = student.training_s = 0.0
        all_checks(assignment, student, reference)
        spent.append((student.training_s, student.all_s))
    if spent:
        training, everything = (statistics.median(column) for column in zip(*spent, strict=True))
        print(json.dumps({"training": training, "all": everything}))


def all_checks(assignment: Assignment, student: InProcess, reference: InProcess) -> int:
    """Runs every check once; says which failed, returns how many passed."""
    passed = 0
    for number, check in enumerate(assignment.checks):
        mine, theirs = (
            Subject(channel, classes=assignment.classes, methods=assignment.methods) for channel in (student, reference)
        )
        for channel in (student, reference):
            channel.driver.begin(number)
        try:
            check.function(mine, theirs, Rng(np.random.PCG64(number)))
            mine._conversation.finish()
        except CheckFailed as error:
            print(f"{check.id}: {error}", file=sys.stderr)
            continue
        passed += 1
    return passed


if __name__ == "__main__":
    main(*sys.argv[1:])
