"""What the attack tests share: one sandbox and engine, programs run in children of it, and the invariants around them.

Invariants checked around every test: an honest submission gets full marks right after (I3), no process, descriptor,
mount, thread, control group or file of the runner is left (I4), the zygote is the same process with one thread (I7).
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grader
from grader.assignments import Assignment, load
from grader.grading import Engine
from grader.reports import Report, ReportStatus, Status
from grader.sandbox.child import CallError, Child, ChildEnded, Reason
from grader.sandbox.limits import CheckLimits, SandboxConfig, SubmissionLimits
from grader.sandbox.pool import Sandbox

PROJECT = Path(grader.__file__).resolve().parents[1]
RUNNER = PROJECT / ".venv-runner" / "bin" / "python"
SECRET = b"canary-secret-of-the-engine-8f2e6b1d"
SHORT = CheckLimits(cpu_s=1.0, wall_s=2.0, memory_mib=256, output_kib=64)
QUICK = CheckLimits(cpu_s=4.0, wall_s=4.0, memory_mib=512, output_kib=256)

# Helpers of the programs below; `attempt` tells how a call was refused, or what it gave.
PRELUDE = """
import ctypes, errno, os, sys, time
import numpy as np
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def attempt(action):
    try:
        result = action()
    except (OSError, RuntimeError, ImportError, MemoryError, ValueError, KeyError, AttributeError) as error:
        return f"refused: {type(error).__name__}: {error}"[:300]
    return f"possible: {result!r}"[:300]

def system_call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    if result == -1:
        raise OSError(ctypes.get_errno(), errno.errorcode.get(ctypes.get_errno(), "?"))
    return result

def forge():
    # The driver's own frame: the descriptor it answers on and the number of the open question.
    frame = sys._getframe()
    while frame is not None:
        if "job_write" in frame.f_locals and "call_id" in frame.f_locals:
            return frame.f_locals["job_write"], frame.f_locals["call_id"], frame
        frame = frame.f_back
"""

# The solution with one attacked class: the class of that name inherits from the honest one.
_RENAMED = {"Matmul": "HonestMatmul", "Relu": "HonestRelu"}


@dataclass(frozen=True)
class Ended:
    """How an attack ended: the reason of the child's end, an exception's type, or "returned"; and how long it took."""

    how: str
    detail: str
    seconds: float
    value: Any = None

    @property
    def ended(self) -> bool:
        return self.how in set(Reason)


@dataclass(frozen=True)
class Footprint:
    """What the grader and its sandbox occupy."""

    descriptors: int
    children: int
    mounts: int
    threads: int
    files: frozenset[str]

    def within(self, other: Footprint) -> bool:
        """Nothing more than there. Less is no leak: a zygote that was recycled before is gone by now."""
        mine = (self.descriptors, self.children, self.mounts, self.threads)
        theirs = (other.descriptors, other.children, other.mounts, other.threads)
        return all(a <= b for a, b in zip(mine, theirs, strict=True)) and self.files <= other.files


@dataclass
class Honest:
    """Scores and seconds of the honest submissions that were graded beside an attack."""

    scores: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Arena:
    """One sandbox, one engine, one assignment."""

    def __init__(self) -> None:
        self.sandbox = Sandbox(SandboxConfig(runner_python=RUNNER, parked=2))
        self.assignment = load(PROJECT / "reference" / "numpy_autodiff")
        self.engine = Engine(self.sandbox, SECRET)
        self.engine.warm_up(self.assignment)
        borrowed = [self.engine.references.borrow(self.assignment) for _ in range(2)]
        for reference in borrowed:
            self.engine.references.give_back(self.assignment, reference)
        self.sandbox.wait_parked("numpy")
        self.honest_s = statistics.median(self.grade("").seconds for _ in range(5))

    def close(self) -> None:
        self.engine.close()
        self.sandbox.close()

    # Programs ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def program(self, source: str, limits: CheckLimits = QUICK) -> Iterator[Child]:
        """A child that has loaded PRELUDE and `source`, with a fresh allowance; it is ended afterwards."""
        child = self.sandbox.take("numpy")
        try:
            child.begin(QUICK)
            answer = child.ask("load", source=PRELUDE + source, file="main", modules={}, watch=[], ops=[], seed=0)
            assert answer["failed"] == [], answer["failed"]
            child.begin(limits)
            yield child
        finally:
            child.close()

    def call(self, child: Child, name: str, *args: object) -> Any:
        child.send([["call", 1, None, name, list(args), {}]])
        return child.receive()[0][0]

    def run(self, source: str, limits: CheckLimits = SHORT, name: str = "attack") -> Ended:
        """Calls one function of a program and says how that ended."""
        with self.program(source, limits) as child:
            started = time.monotonic()
            try:
                value = self.call(child, name)
            except ChildEnded as error:
                return Ended(str(error.reason), error.detail, time.monotonic() - started)
            except CallError as error:
                return Ended(error.type, error.text, time.monotonic() - started)
            return Ended("returned", "", time.monotonic() - started, value)

    # Submissions ---------------------------------------------------------------------------------------------------

    def submission(self, code: str) -> str:
        """The solution with `code` after it. A class `Relu(HonestRelu)` in it takes the honest one's place."""
        text = self.assignment.solution
        for name, honest in _RENAMED.items():
            if re.search(rf"^class {name}\b", code, re.MULTILINE):
                text = text.replace(f"class {name}:", f"class {honest}:")
        return f"{text}\n\n{code}"

    def grade(
        self,
        code: str,
        *,
        assignment: Assignment | None = None,
        limits: CheckLimits | None = None,
        data: bytes | None = None,
        whole: SubmissionLimits | None = None,
    ) -> Graded:
        """Grades the solution with an attack in it, or `data` as it is. limits: of every check."""
        chosen = assignment or self.assignment
        if limits is not None:
            chosen = replace(chosen, checks=tuple(replace(check, limits=limits) for check in chosen.checks))
        engine = self.engine
        if whole is not None:
            engine = replace(engine, limits=whole)
            engine.references = self.engine.references
        started = time.monotonic()
        report = engine.grade(chosen, "solution.py", self.submission(code).encode() if data is None else data)
        seconds = time.monotonic() - started
        engine.settle()
        return Graded(report, seconds)

    @contextlib.contextmanager
    def beside(self) -> Iterator[Honest]:
        """Grades the honest solution again and again meanwhile (I3)."""
        honest, stop = Honest(), threading.Event()

        def work() -> None:
            while not stop.wait(0.05):
                graded = self.grade("")
                honest.scores.append(graded.report.score)
                honest.seconds.append(graded.seconds)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield honest
        finally:
            stop.set()
            thread.join()
        assert set(honest.scores) <= {100}, honest.scores
        if honest.seconds:
            # Not blocked; how much slower is a matter of the machine, and of `make bench`.
            assert statistics.median(honest.seconds) < 2.0 * self.honest_s + 3.0, (self.honest_s, honest.seconds)

    # What is there ---------------------------------------------------------------------------------------------------

    def zygote_pid(self) -> int:
        """The zygote as the kernel shows it: the only child of the launcher."""
        return children_of(self.sandbox.zygote("numpy")._process.pid)[0]

    def footprint(self) -> Footprint:
        pid = self.zygote_pid()
        return Footprint(
            descriptors=len(os.listdir("/proc/self/fd")),
            children=len(children_of(pid)),
            mounts=len(Path("/proc/self/mountinfo").read_text().splitlines()),
            threads=threading.active_count(),
            files=frozenset(_files_of_the_runner()),
        )

    def settled(self, wanted: Footprint | None = None) -> Footprint:
        """The footprint once parked children are there again; waits up to 5 s for `wanted`."""
        self.engine.settle()
        deadline = time.monotonic() + 5.0
        while True:
            self.sandbox.wait_parked("numpy")
            now = self.footprint()
            if wanted is None or now.within(wanted) or time.monotonic() > deadline:
                return now
            time.sleep(0.02)

    def threads_of_zygote(self) -> int:
        return len(os.listdir(f"/proc/{self.zygote_pid()}/task"))


@dataclass(frozen=True)
class Graded:
    """A report and how long it took."""

    report: Report
    seconds: float

    @property
    def points(self) -> dict[str, float]:
        return {part.name: part.score for part in self.report.parts}

    def status(self, check: str) -> Status:
        return next(c.status for c in self.report.checks if c.id == check)

    def message(self, check: str) -> str:
        text = next(c.message for c in self.report.checks if c.id == check)
        return "" if text is None else text.en

    def expect(self, *, full: tuple[str, ...] = (), none: tuple[str, ...] = ()) -> None:
        """The report is a verdict; these parts have all their points, those have none."""
        assert self.report.status is ReportStatus.GRADED, self.report.notes
        maximum = {part.name: part.max_score for part in self.report.parts}
        for name in full:
            assert self.points[name] == maximum[name], (name, self.report)
        for name in none:
            assert self.points[name] == 0, (name, self.report)


def children_of(pid: int) -> list[int]:
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []
    return [int(c) for task in tasks for c in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]


def found_in_memory(pid: int, needles: dict[str, bytes]) -> set[str]:
    """Names of the needles that are anywhere in the memory of a process."""
    found: set[str] = set()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory, open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(x, 16) for x in span.split("-"))
            if rights[0] != "r" or end - start > 1 << 28:
                continue
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, OverflowError):
                continue
            found |= {name for name, needle in needles.items() if needle in data}
    return found


def _files_of_the_runner() -> Iterator[str]:
    """Files outside that belong to the runner's user."""
    uid = SandboxConfig(runner_python=RUNNER).runner_uid
    for folder in ("/tmp", "/dev/shm", "/var/tmp"):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == uid:
                        yield entry.path
