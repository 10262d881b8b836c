"""The checks of one submission, one after the other: what each found, how it ended, and which call it was about.

A check is the author's function. It runs out here and calls the student's program through a session; whatever the
student's code does becomes an Outcome, and only a fault of ours leaves as an exception.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from grader import wording
from grader.assignments import Assignment
from grader.checks import Check, CheckFailed, Rng
from grader.errors import GraderError, SandboxError
from grader.intake import Slice
from grader.reports import Figure, Picture, Status, Text
from grader.sandbox.child import CallError, ChildEnded, ChildLost, Reason
from grader.sandbox.limits import CheckLimits
from grader.sessions import Reference, StudentSession
from grader.subjects import Answer, Conversation, Step, Subject

# Ends that leave no trace of the call: the process was gone before anybody could look.
SUDDEN = frozenset((Reason.EXITED, Reason.SIGNAL, Reason.PROTOCOL))
# Data, not answers: a notebook may load its digits from a library that must not answer for it.
DATA = ("tensorflow.keras.datasets.", "keras.datasets.")


@dataclass
class Outcome:
    """One check on its way into the report."""

    check: Check
    status: Status
    wall_ms: float = 0.0
    failure: CheckFailed | None = None
    message: Text | None = None
    steps: tuple[Step, ...] = ()
    seed: int = 0  # of the student's random numbers
    used: frozenset[str] = frozenset()
    at: tuple[Step, int | None] | None = None  # the call that gave the wrong value
    wrong: Step | None = None  # the step whose value was found wrong; later ones do not matter
    error: str = ""  # "NameError: name 'np' is not defined", for grouping
    line: Text | None = None
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Picture, ...] = ()


def derive(secret: bytes, *parts: str) -> str:
    """128 bits, hex, by HMAC-SHA256: the same for the same parts, not predictable without the secret."""
    return hmac.new(secret, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


@dataclass
class Run:
    """The checks of one submission, in order."""

    assignment: Assignment
    piece: Slice
    session: StudentSession
    reference: Reference
    seed: str
    talks: list[Conversation] = field(default_factory=list)  # of both sides, until `release`
    hung: bool = False  # a call did not end: the later checks, which may make it too, get less time

    def all_checks(self, ended: Callable[[Outcome], None] | None = None) -> list[Outcome]:
        """Every check's outcome, in order. ended: called with each one before the next check starts."""
        outcomes: dict[str, Outcome] = {}
        for check in self.assignment.checks:
            missing = [name for name in check.requires if outcomes[name].status is not Status.PASSED]
            if missing:
                needed = outcomes[missing[0]].check.title
                outcomes[check.id] = Outcome(check, Status.NOT_REACHED, message=wording.needs(needed))
            elif self.session.exhausted():
                outcomes[check.id] = Outcome(check, Status.NOT_REACHED, message=wording.out_of_time())
            else:
                outcomes[check.id] = self.one_check(check)
            if ended is not None:
                ended(outcomes[check.id])
        return list(outcomes.values())

    def release(self, since: int = 0) -> None:
        """Lets go of what was said: the weights of a training run are too large to wait for the collector."""
        for talk in self.talks[since:]:
            talk.release()
        del self.talks[since:]

    def one_check(self, check: Check, *, singly: bool = False, again: bool = False) -> Outcome:
        """Runs one check.

        singly: every call in a frame of its own, to find out at which one the process ends. again: the second
        time, after the first child was lost to something outside.
        """
        started, before = time.perf_counter(), len(self.talks)
        seed = int(derive(bytes.fromhex(self.seed), check.id), 16)
        limits = shorter(check.limits) if self.hung else check.limits
        talk: Conversation | None = None
        failure: CheckFailed | None = None
        try:
            student = self.session.begin(limits, seed % 2**31, keep_output=check.visible)
            talk = student._conversation
            self.talks.append(talk)
            talk.most_queued = 1 if singly else talk.most_queued
            self.call(check, student, seed)
        except CheckFailed as error:
            failure = error
        except CallError as error:
            failure = CheckFailed(message=self.raised(error, talk), value=error)
        except ChildLost:
            if again:
                raise
            return self.one_check(check, singly=singly, again=True)
        except ChildEnded as error:
            if error.reason in SUDDEN and talk is not None and not singly and not self.session.exhausted():
                return self.one_check(check, singly=True, again=again)
            self.hung = self.hung or error.reason in (Reason.CPU, Reason.WALL)
            call = next((step.call for step in talk.steps if step.error), "") if talk else ""
            text = wording.ended(error.reason, error.detail, call, limits)
            if self.hung and talk is not None and talk.run is not None:
                text = slow(talk, call, error.reason, limits) or text
            failure = CheckFailed(message=text if talk else wording.not_loaded(text), value=error)
        steps = tuple(step for step in talk.steps if step.done and step.operation != "begin") if talk else ()
        outcome = Outcome(check, Status.PASSED, wall_ms=elapsed_ms(started), steps=steps, seed=seed % 2**31)
        outcome.used = self.banned(outcome, talk.used if talk else set())
        if talk is not None and check.visible:  # a chart would show what the inputs of a hidden check are
            outcome.figures = tuple(talk.figures)
            outcome.pictures = self.session.take_pictures()
        if failure is not None:
            failure.__traceback__ = None  # it holds every local of the check
            self.note_failure(outcome, failure)
        elif outcome.used:
            outcome.status, outcome.message = Status.FAILED, self.banned_text(outcome)
        elif not check.replay:
            outcome.steps = ()
            self.release(before)
        return outcome

    def call(self, check: Check, student: Subject, seed: int) -> None:
        """Runs the author's function. Its error is the student's if it does not happen with the reference in place."""
        reference = self.reference.begin(seed % 2**31)
        self.talks.append(reference._conversation)
        student._conversation.peer, reference._conversation.peer = reference._conversation, student._conversation
        try:
            with np.errstate(all="ignore"):
                check.function(student, reference, Rng(np.random.PCG64(seed)))
            student._conversation.finish()  # a call whose value nobody looked at must not have raised either
        except (CheckFailed, CallError, ChildEnded, GraderError):
            raise
        except Exception as error:
            try:
                own = self.reference.begin(seed % 2**31)
                check.function(own, own, Rng(np.random.PCG64(seed)))
            except Exception as second:
                raise SandboxError(f"check {check.id} fails on the reference itself: {second!r}") from error
            last = next((s.value for s in reversed(student._conversation.steps) if s.value is not None), None)
            raise CheckFailed(message=wording.wrong_form(last), value=last) from error

    def note_failure(self, outcome: Outcome, failure: CheckFailed) -> None:
        outcome.status, outcome.failure, outcome.message = Status.FAILED, failure, failure.message
        outcome.at = find_call(outcome.steps, failure.value)
        outcome.wrong = failure.value._step if isinstance(failure.value, Answer) else None
        own = self.said_of(outcome.at[0].call) if outcome.at else None
        if own is not None:
            outcome.message = own
        elif outcome.used and isinstance(failure.value, CallError):
            outcome.message = self.banned_text(outcome)  # the exception only says that the library is not there
            return
        elif isinstance(failure.value, CallError):
            if not outcome.check.visible:
                return  # even the name of an exception may carry an input
            outcome.error = f"{failure.value.type}: {failure.value.text.splitlines()[0] if failure.value.text else ''}"
            outcome.line = self.place(failure.value)
        leak = self.piece.leaks.get(outcome.at[0].call) if outcome.at else None
        if leak is not None and own is None:
            outcome.message = leak + outcome.message
        if outcome.used:
            outcome.message = self.banned_text(outcome) + outcome.message

    def said_of(self, call: str) -> Text | None:
        """What is known of a name before anything runs: it is missing, or still a stub."""
        head = call.partition(".")[0]
        said = {**self.piece.stubs, **self.piece.missing}
        text = said.get(call) or said.get(head) or next((t for n, t in said.items() if n.startswith(f"{call}.")), None)
        if text is not None and head in self.assignment.given and head in self.piece.missing:
            return text + wording.given(head)
        return text

    def banned(self, outcome: Outcome, used: set[str]) -> frozenset[str]:
        """Forbidden library calls: names in the source of what the check calls, calls seen, op types executed."""
        part = self.assignment.part(outcome.check.part)
        mentioned = self.piece.packages & {name.partition(".")[0] for name in part.banned_names}
        in_source = {
            use.dotted
            for name in ({step.call for step in outcome.steps} if mentioned else ())
            for use in self.piece.uses(name)
            if _under(use.dotted, part.banned_names) and not f"{use.dotted}.".startswith(DATA)
        }
        at_run_time = {n for n in used if _under(n, part.banned_names) or n in part.banned_ops}
        return frozenset(in_source | at_run_time)

    def banned_text(self, outcome: Outcome) -> Text:
        part = self.assignment.part(outcome.check.part)
        uses = [use for name in part.asks for use in self.piece.uses(name) if use.dotted in outcome.used]
        where = self.piece.origin(uses[0].line).say() if uses else None
        named = (
            sorted({use.dotted for use in uses}) or sorted(n for n in outcome.used if "." in n) or sorted(outcome.used)
        )
        return wording.banned(named[:3], part.name, where)

    def place(self, error: CallError) -> Text | None:
        """The student's own innermost line."""
        return self.piece.origin(error.lines[-1][1]).say() if error.lines and error.lines[-1][0] == "main" else None

    def raised(self, error: CallError, talk: Conversation | None) -> Text:
        step = next((step for step in talk.steps if step.error), None) if talk else None
        call = step.call if step else ""
        if error.refused and step is not None and step.whole is not None:
            return wording.wrong_count(step.whole.value, step.args)
        if error.refused:
            return wording.refused(error.text, call)
        if error.type == "NameError":
            for name, text in self.piece.typos.items():
                if f"'{name}'" in error.text:
                    return text
            for failure in self.session.load_failures:
                if any(f"'{name}'" in error.text for name in failure.binds):
                    name = next(name for name in sorted(failure.binds) if f"'{name}'" in error.text)
                    where = self.piece.origin(failure.line).say()
                    return wording.missing_binding(name, where, failure.said)
        line = ""
        if error.lines and error.lines[-1][0] == "main":
            lines = self.piece.text.split("\n")
            line = lines[error.lines[-1][1] - 1] if 0 < error.lines[-1][1] <= len(lines) else ""
        return wording.raised(error.type, error.text, call, self.place(error), line)


def shorter(limits: CheckLimits) -> CheckLimits:
    """A fifth of the time, at least a second: plenty for code that ends, and a hang costs less the second time."""
    return replace(limits, cpu_s=max(1.0, limits.cpu_s / 5), wall_s=max(2.0, limits.wall_s / 5))


def slow(talk: Conversation, call: str, reason: Reason, limits: CheckLimits) -> Text | None:
    """What to say of a training run that its time ended, when it is known how far or how fast it was."""
    run = talk.run
    seconds = {Reason.CPU: limits.cpu_s, Reason.WALL: limits.wall_s}.get(reason)
    if run is None or seconds is None:
        return None
    done = run.done()
    if run.calls and done and any(step.error is not None for step in run.calls):
        return wording.slow(call, run.unit, done / seconds, seconds, done=done, planned=run.planned)
    return wording.slow(call, run.unit, run.rate, seconds) if run.rate else None


def _under(name: str, banned: frozenset[str]) -> bool:
    """Whether a dotted name is banned itself or lies below a banned package."""
    parts = name.split(".")
    return any(".".join(parts[:end]) in banned for end in range(1, len(parts) + 1))


def find_call(steps: tuple[Step, ...], value: Any) -> tuple[Step, int | None] | None:
    """The step that returned this very value, and which call of an `each` it was; else the last step."""
    if isinstance(value, Answer):
        return value._step.whole or value._step, None
    if isinstance(value, Exception):
        return (steps[-1].whole or steps[-1], getattr(value, "index", None)) if steps and steps[-1].error else None
    for step in reversed(steps):
        if step.value is value and value is not None:
            return step.whole or step, None
        items = step.items or (step.value if isinstance(step.value, (list, tuple)) else ())
        for at, item in enumerate(items):
            if item is value and value is not None:
                return step.whole or step, at if step.items else None
    return (steps[-1].whole or steps[-1], None) if steps else None


def elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1e3, 3)
