"""Loaded programs in sandbox children: one session a submission, one long-lived child a reference."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grader.assignments import Assignment, Mistake
from grader.diagnosis import Record, replay_steps
from grader.errors import SandboxError
from grader.intake import Slice
from grader.pictures import MOST_A_CHECK, picture
from grader.reports import Picture
from grader.sandbox import wire
from grader.sandbox.child import CallError, Child, ChildEnded, ChildLost, clean_text
from grader.sandbox.limits import CheckLimits, SubmissionLimits
from grader.sandbox.pool import Sandbox
from grader.sandbox.wire import Value
from grader.subjects import Subject

LOAD_LIMITS = CheckLimits(cpu_s=10.0, wall_s=15.0)
REFERENCE_LIMITS = CheckLimits(cpu_s=60.0, wall_s=60.0, output_kib=16 << 10)
MAIN = "main"


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFailure:
    """A top-level statement that raised. line: of the sliced program. binds: names that therefore do not exist."""

    line: int
    said: str
    binds: frozenset[str]


class StudentSession:
    """A submission's program, in one child after another: a check that kills its child costs the next ones nothing."""

    def __init__(
        self, sandbox: Sandbox, assignment: Assignment, piece: Slice, seed: int, limits: SubmissionLimits
    ) -> None:
        self._sandbox, self._assignment, self._slice, self._seed = sandbox, assignment, piece, seed
        self._limits = limits
        self._child: Child | None = None
        self._deadline = time.monotonic() + limits.wall_s
        self._cpu_spent = 0.0
        self._stood_still_s = 0.0
        self.children = 0
        self.load_ms = 0.0
        self.take_ms = 0.0
        self.load_failures: tuple[LoadFailure, ...] = ()
        self._check_limits = CheckLimits()
        self._check_seed = 0
        self._printed: list[bytes] = []
        self._pictures: list[bytes] = []  # of this check, from a child that has ended meanwhile

    def exhausted(self) -> bool:
        """Whether the whole submission's allowance is used up. A young session cannot have used much."""
        now = self._child.now() if self._child else time.monotonic()
        still = self._stood_still_s + (self._child.stood_still_s if self._child else 0.0)
        left = self._deadline + still - now
        old = left < self._limits.wall_s - 1.0
        spent = self._cpu_spent + (self._child.cpu_s() if self._child and old else 0.0)
        return (
            left < 0 or spent > self._limits.cpu_s or (self._child is None and self.children >= self._limits.children)
        )

    def begin(self, limits: CheckLimits, seed: int, *, keep_output: bool = True) -> Subject:
        """A subject for one check. Raises ChildEnded when the file cannot be loaded, SandboxError for our faults."""
        self._check_limits, self._check_seed = limits, seed
        if self._child is None or self._child.dead():
            self._drop()
            self._pictures = []
            self._load()
        self._pictures = []
        assert self._child is not None
        self._child.begin(limits)
        self._child.keep_output = keep_output
        subject = Subject(self, classes=self._assignment.classes, methods=self._assignment.methods)
        subject._conversation.add("begin", None, "", [{"seed": seed}], {}, "", ())
        return subject

    def send(self, steps: list[list[Any]]) -> None:
        with self._ending() as child:
            child.send(steps)

    def receive(self) -> tuple[list[Value], frozenset[str]]:
        with self._ending() as child:
            return child.receive()

    @contextlib.contextmanager
    def _ending(self) -> Iterator[Child]:
        if self._child is None:
            raise SandboxError("a question after the child of the check has ended")
        try:
            yield self._child
        except (ChildEnded, ChildLost):
            self._drop()
            raise

    def _load(self) -> None:
        started = time.perf_counter()
        child = self._child = self._sandbox.take(self._assignment.runtime)
        self.children += 1
        loading = time.perf_counter()
        child.begin(LOAD_LIMITS)
        self._stood_still_s -= child.stood_still_s  # while it was parked
        if self.children == 1:  # waiting for a child is not the student's time
            self._deadline = time.monotonic() + self._limits.wall_s
        try:
            answer = child.ask(
                "load",
                source=self._slice.text,
                file=MAIN,
                modules=dict(self._slice.modules),
                seed=self._seed,
                **self._assignment.watched,
            )
        except (ChildEnded, ChildLost, CallError):
            self._drop()
            raise
        self.take_ms += (loading - started) * 1e3
        self.load_ms += (time.perf_counter() - loading) * 1e3
        self.load_failures = tuple(_load_failures(answer))

    def _drop(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            child.close()
            self._printed.append(bytes(child.output))
            self._pictures += child.pictures
            self._stood_still_s += child.stood_still_s
            if child.exit is not None:
                self._cpu_spent += child.exit.cpu_s

    def take_pictures(self) -> tuple[Picture, ...]:
        """What the student's code drew since `begin`; asked for once a check. Whatever is no picture is dropped."""
        sent = [*self._pictures, *(self._child.pictures if self._child is not None else ())]
        found = [drawn for png in sent if (drawn := picture(png)) is not None]
        return tuple(found[:MOST_A_CHECK])

    def close(self) -> str:
        """Ends the child; returns what the student's code printed, cleaned and bounded."""
        self._drop()
        text = b"".join(self._printed)[: 64 << 10].decode("utf-8", "replace")
        return clean_text(text, 64 << 10)

    def close_later(self) -> Child | None:
        """Hands the child over for somebody else to end, so that the report need not wait for the kernel."""
        child, self._child = self._child, None
        if child is not None:
            self._printed.append(bytes(child.output))
        return child


def _load_failures(answer: Any) -> list[LoadFailure]:
    """From the child, so every field is checked."""
    found: list[LoadFailure] = []
    entries = answer.get("failed") if isinstance(answer, dict) else None
    for entry in (entries if isinstance(entries, list) else [])[:50]:
        if not isinstance(entry, dict) or type(entry.get("line")) is not int:
            continue
        message = clean_text(str(entry.get("message")).split("\n")[0], 300)
        names = entry.get("binds")
        found.append(
            LoadFailure(
                line=entry["line"],
                said=f"{clean_text(str(entry.get('type')), 100)}: {message}",
                binds=frozenset(str(name)[:200] for name in (names if isinstance(names, list) else [])[:50]),
            )
        )
    return found


class Reference:
    """The solution of one assignment in a child of its own, kept from submission to submission.

    An error in here is an error of ours: it becomes SandboxError and with it a report without a verdict.
    """

    def __init__(self, sandbox: Sandbox, assignment: Assignment) -> None:
        self._assignment, self._sandbox = assignment, sandbox
        self._child = sandbox.spawn(assignment.runtime)
        self._child.answer_limits = wire.REQUEST_LIMITS
        self.uses = 0
        self._waiting = False
        self._ask("load", source=assignment.solution, file="solution", modules={}, watch=[], ops=[], seed=0)

    def begin(self, seed: int) -> Subject:
        """A subject for one check; an answer that an earlier, failed check no longer wanted is thrown away."""
        if self._waiting:
            self.receive()
        self.uses += 1
        subject = Subject(self, classes=self._assignment.classes, methods=self._assignment.methods)
        subject._conversation.add("begin", None, "", [{"seed": seed}], {}, "", ())
        return subject

    def send(self, steps: list[list[Any]]) -> None:
        with self._faults():
            self._child.begin(REFERENCE_LIMITS)
            self._child.send(steps)
            self._waiting = True

    def receive(self) -> tuple[list[Value], frozenset[str]]:
        with self._faults():
            self._waiting = False
            return self._child.receive()

    def _ask(self, operation: str, **arguments: Any) -> Value:
        with self._faults():
            if self._waiting:
                self.receive()
            self._child.begin(REFERENCE_LIMITS)
            return self._child.ask(operation, **arguments)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (CallError, ChildEnded) as error:
            raise SandboxError(f"the reference of {self._assignment.name} failed: {error}") from error

    def replay(self, records: Sequence[Record], mistakes: Sequence[Mistake]) -> dict[str, dict[str, Any]]:
        """{mistake: {check: results}} of running the recorded steps on each mistake, and under "" on the solution."""
        answers = self._ask(
            "replay",
            programs=[self._assignment.solution, *map(self._assignment.mistaken_solution, mistakes)],
            scripts=[replay_steps(record) for record in records],
            seeds=[record.seed for record in records],
        )
        return {
            name: {record.check: row for record, row in zip(records, rows, strict=True)}
            for name, rows in zip(("", *(mistake.name for mistake in mistakes)), answers, strict=True)
        }

    @property
    def worn(self) -> bool:
        """Whether it should be replaced: dead, old, or forked from a zygote that has been replaced itself."""
        current = self._sandbox.zygote(self._assignment.runtime)
        return self._child.closed or self._child.dead() or self.uses > 20_000 or self._child.origin is not current

    def close(self) -> None:
        self._child.close()


class References:
    """A stock of reference children; each grading borrows one. Thread-safe."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._free: dict[tuple[str, str], list[Reference]] = {}
        self._lock = threading.Lock()

    def borrow(self, assignment: Assignment) -> Reference:
        key = (assignment.name, assignment.version)
        with self._lock:
            stock = self._free.get(key, [])
            worn = [reference for reference in stock if reference.worn]
            self._free[key] = stock = [reference for reference in stock if reference not in worn]
            found = stock.pop() if stock else None
        for reference in worn:  # all of them: one that stays would keep a replaced zygote alive
            reference.close()
        return found or Reference(self._sandbox, assignment)

    def give_back(self, assignment: Assignment, reference: Reference) -> None:
        if reference.worn:
            reference.close()
            return
        with self._lock:
            self._free.setdefault((assignment.name, assignment.version), []).append(reference)

    def close(self) -> None:
        with self._lock:
            stocks: Mapping[Any, list[Reference]] = self._free
            self._free = {}
        for stock in stocks.values():
            for reference in stock:
                reference.close()
