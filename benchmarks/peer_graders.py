"""The graders that benchmarks/peers.py compares, each set up as its own manual says, on the same six items.

A submission is a list of cells. Peers that grade notebooks get a notebook, the plain unittest gets the same cells as a
module, and ours gets the notebook. All call `compare` of benchmarks/peers/items.py with the same reference.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measuring
from benchmarks.measuring import Cost
from grader.assignments import load
from grader.grading import Engine, keep_what_is_loaded
from grader.reports import ReportStatus
from grader.sandbox.pool import Sandbox
from grader.settings import PROJECT, read_settings

PARTS = PROJECT / "benchmarks" / "peers"
ITEMS = ("softmax", "sigmoid", "softmax_ce", "sigmoid_ce", "Matmul", "Relu")
POINTS = 10
WRONG = {"softmax": ("axis=-1", "axis=0"), "Relu": ("grad_y * (self.mem", "0 * grad_y + (self.mem")}

Cells = Sequence[str]


def right_answers() -> list[str]:
    """The imports, then one cell for each item."""
    return [cell.strip() for cell in re.split(r"^# %%.*\n", part("solution.py"), flags=re.MULTILINE) if cell.strip()]


def wrong_answers() -> list[str]:
    """Two of the six items are wrong: an axis, and the slope of Relu without the gradient from above."""
    cells = right_answers()
    for item, (found, instead) in WRONG.items():
        at = 1 + ITEMS.index(item)
        assert found in cells[at]
        cells[at] = cells[at].replace(found, instead)
    return cells


def expected_points(*, right: bool) -> float:
    return POINTS * (len(ITEMS) - (0 if right else len(WRONG)))


def part(name: str) -> str:
    """A file of benchmarks/peers; what is no module of ours has .txt behind its name."""
    path = PARTS / name
    return (path if path.exists() else PARTS / f"{name}.txt").read_text(encoding="utf-8")


def notebook(cells: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """cells: (source, metadata) each."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code", "execution_count": None, "id": f"cell-{number}", "metadata": metadata, "outputs": [],
            "source": source,
        }
        for number, (source, metadata) in enumerate(cells)
    ]  # fmt: skip
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    document = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document)


def plain_notebook(cells: Cells) -> str:
    return notebook([(cell, {}) for cell in cells])


class Grader(ABC):
    """One contestant. folder: its own, made empty."""

    name: str
    isolation = "none"
    batch = "one after the other"

    @abstractmethod
    def grade(self, cells: Cells, *, watch: bool = False) -> tuple[Cost, float]:
        """Grades one submission; the cost and the points."""

    def row(self, cells: Cells, count: int) -> Cost:
        """What `count` submissions in a row cost together."""
        costs = [self.grade(cells)[0] for _ in range(count)]
        return Cost(wall_s=sum(cost.wall_s for cost in costs), cpu_s=sum(cost.cpu_s for cost in costs))

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """Ends what it started."""


class Peer(Grader):
    """A grader of the peers' environment: a process of its own for every submission."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder, self.binaries = folder, binaries
        library = folder / "library"
        library.mkdir(parents=True)
        (library / "items.py").write_text(part("items.py"), encoding="utf-8")
        (library / "reference.py").write_text(part("solution.py"), encoding="utf-8")
        self.environment: Mapping[str, str] = {
            "PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(library),
            "LANG": "C.UTF-8", "TF_CPP_MIN_LOG_LEVEL": "2",
        }  # fmt: skip
        self.set_up()

    @abstractmethod
    def set_up(self) -> None:
        """What the teacher does once for the assignment."""

    def run(self, *command: str, watch: bool = False) -> Cost:
        return measuring.run(
            [str(self.binaries / command[0]), *command[1:]], self.folder, self.environment, watch=watch
        )


class Unittest(Peer):
    """What `run_autograder` of a Gradescope autograder usually does: a module beside the tests, one process."""

    name = "unittest, gradescope-utils"

    def set_up(self) -> None:
        (self.folder / "run_tests.py").write_text(part("run_tests.py"), encoding="utf-8")

    def grade(self, cells: Cells, *, watch: bool = False) -> tuple[Cost, float]:
        (self.folder / "solution.py").write_text("\n\n".join(cells), encoding="utf-8")
        cost = self.run("python", "run_tests.py", watch=watch)
        results = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        return cost, float(sum(test["score"] for test in results["tests"]))


class Otter(Peer):
    """`otter run`, which grades without a container; exception-based test files in a zip of `otter generate`."""

    name = "otter-grader, otter run"

    def set_up(self) -> None:
        tests = self.folder / "tests"
        tests.mkdir()
        for item in ITEMS:
            text = part("otter_test.py").replace("ITEM", item)
            (tests / f"{item}.py").write_text(text, encoding="utf-8")
        self.run("otter", "generate", "-t", "tests", "-o", "autograder.zip", "--no-environment")
        (self.folder / "out").mkdir()

    def grade(self, cells: Cells, *, watch: bool = False) -> tuple[Cost, float]:
        (self.folder / "solution.ipynb").write_text(plain_notebook(cells), encoding="utf-8")
        command = ("otter", "run", "--no-logo", "-a", "autograder.zip", "-o", "out", "solution.ipynb")
        cost = self.run(*command, watch=watch)
        results = json.loads((self.folder / "out" / "results.json").read_text(encoding="utf-8"))
        return cost, float(sum(test.get("score", 0) for test in results["tests"]))


class Nbgrader(Peer):
    """`nbgrader autograde` on a course tree; several submissions of a row in one command, as it is made for."""

    name = "nbgrader autograde"
    batch = "in one command"

    def set_up(self) -> None:
        self._students = 0
        source = self.folder / "source" / "six_items"
        source.mkdir(parents=True)
        (source / "six_items.ipynb").write_text(self._course_notebook(right_answers()), encoding="utf-8")
        self.run("nbgrader", "generate_assignment", "six_items")
        (self.folder / "scores.py").write_text(part("nbgrader_scores.py"), encoding="utf-8")

    def grade(self, cells: Cells, *, watch: bool = False) -> tuple[Cost, float]:
        student = self._hand_in(cells, "one")
        cost = self.run("nbgrader", "autograde", "six_items", f"--student={student}", watch=watch)
        return cost, self._scores()[student]

    def row(self, cells: Cells, count: int) -> Cost:
        students = [self._hand_in(cells, "row") for _ in range(count)]
        cost = self.run("nbgrader", "autograde", "six_items", "--student=row*")
        scores = self._scores()
        assert all(scores[student] == expected_points(right=True) for student in students)
        return cost

    def _hand_in(self, cells: Cells, prefix: str) -> str:
        self._students += 1
        student = f"{prefix}{self._students:04d}"
        folder = self.folder / "submitted" / student / "six_items"
        folder.mkdir(parents=True)
        (folder / "six_items.ipynb").write_text(self._course_notebook(cells), encoding="utf-8")
        return student

    def _scores(self) -> dict[str, float]:
        command = [str(self.binaries / "python"), "scores.py"]
        done = subprocess.run(command, cwd=self.folder, env=dict(self.environment), capture_output=True, check=True)
        scores: dict[str, float] = json.loads(done.stdout)
        return scores

    @staticmethod
    def _course_notebook(cells: Cells) -> str:
        """Each answer cell is followed by a locked cell that carries the points."""
        made: list[tuple[str, dict[str, Any]]] = [(cells[0], {})]
        for item, cell in zip(ITEMS, cells[1:], strict=True):
            kept = {"schema_version": 3, "task": False}
            answer = {**kept, "grade": False, "solution": True, "locked": False, "grade_id": f"answer_{item}"}
            test = {
                **kept, "grade": True, "solution": False, "locked": True, "grade_id": f"test_{item}", "points": POINTS,
            }  # fmt: skip
            source = (
                "import types, tensorflow, items, reference\n"
                f"items.compare({item!r}, types.SimpleNamespace(**globals()), reference, tensorflow.constant, "
                "items.assert_close)"
            )
            made += [(cell, {"nbgrader": answer}), (source, {"nbgrader": test})]
        return notebook(made)


class Ours(Grader):
    """The engine with its sandbox and a warm pool. Wall: from the bytes of the notebook to the report."""

    name = "Grader"

    def __init__(self, folder: Path) -> None:
        self._assignment = load(self._write(folder / "six_items"))
        self._sandbox = Sandbox(read_settings().sandbox(parked=2))
        self._engine = Engine(self._sandbox, b"benchmark")
        self._uploads = 0
        try:
            self._engine.warm_up(self._assignment)
            self.isolation = f"sandbox, mode {self._sandbox.mode}"
            self.grade(right_answers())
            keep_what_is_loaded()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _write(folder: Path) -> Path:
        folder.mkdir(parents=True)
        items = "".join(
            f'\n[[part]]\nname = "{item}"\nasks = {json.dumps(_asked(item))}\n'
            f'title = {{ en = "{item}", zh = "{item}" }}\n'
            for item in ITEMS
        )
        (folder / "assignment.toml").write_text(part("assignment.toml") + items, encoding="utf-8")
        (folder / "checks.py").write_text(f"{part('items.py')}\n\n{part('checks.py')}", encoding="utf-8")
        for name in ("solution.py", "starter.py"):
            (folder / name).write_text(part("solution.py"), encoding="utf-8")
        return folder

    def grade(self, cells: Cells, *, watch: bool = False) -> tuple[Cost, float]:
        """One submission with nobody before it; the CPU includes what is done after the report is there."""
        if not watch:
            return self._grade(cells)
        with measuring.Watch(os.getpid()) as memory:
            for _ in range(30):  # a sample takes longer than a grading
                cost, points = self._grade(cells)
        return Cost(wall_s=cost.wall_s, cpu_s=cost.cpu_s, peak_mib=memory.peak_mib), points

    def several(self, cells: Cells, count: int) -> tuple[list[float], float]:
        """Wall seconds of each and CPU seconds of one, of submissions with a pause between them."""
        self._rest()
        before, walls = measuring.cpu_s(os.getpid()), []
        for _ in range(count):
            walls.append(self._one(cells)[0])
            self._rest()
        return walls, (measuring.cpu_s(os.getpid()) - before) / count

    def row(self, cells: Cells, count: int) -> Cost:
        """The next one as soon as the last one's report is there, whether a child is parked by then or not."""
        self._rest()
        before, began = measuring.cpu_s(os.getpid()), time.perf_counter()
        for _ in range(count):
            self._one(cells)
        wall_s = time.perf_counter() - began
        self._rest()
        return Cost(wall_s=wall_s, cpu_s=measuring.cpu_s(os.getpid()) - before)

    def close(self) -> None:
        self._engine.close()
        self._sandbox.close()

    def _grade(self, cells: Cells) -> tuple[Cost, float]:
        before = measuring.cpu_s(os.getpid())
        wall_s, points = self._one(cells)
        self._rest()
        return Cost(wall_s=wall_s, cpu_s=measuring.cpu_s(os.getpid()) - before), points

    def _one(self, cells: Cells) -> tuple[float, float]:
        self._uploads += 1
        data = plain_notebook([*cells, f"# upload {self._uploads}"]).encode()
        began = time.perf_counter()
        report = self._engine.grade(self._assignment, "six_items.ipynb", data)
        wall_s = time.perf_counter() - began
        assert report.status is ReportStatus.GRADED, report.notes
        return wall_s, report.score

    def _rest(self) -> None:
        self._engine.settle()
        self._sandbox.wait_parked(self._assignment.runtime)


def _asked(item: str) -> list[str]:
    return [item, f"{item}.forward", f"{item}.backward"] if item[0].isupper() else [item]
