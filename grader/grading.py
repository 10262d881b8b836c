"""grade(assignment, upload) -> Report: the whole story on one page.

    read       bytes -> submission                    pure, nothing executed
    slice      submission -> the part that is run     pure
    run        the assignment's checks call it in a sandbox child and compare with the reference's child
    explain    failed checks are replayed on the known mistakes
    report     frozen record

A student's fault is data in the report. A fault of ours is an exception up to `Engine.grade`, which turns it into a
report of status grader_error: it costs neither points nor an attempt.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from grader import diagnosis, wording
from grader.assignments import Assignment, Mistake
from grader.checks import Check, CheckFailed, Rng
from grader.diagnosis import Record
from grader.display import show, show_input
from grader.errors import GraderError, NotGradable, SandboxError
from grader.intake import Slice, Submission, read_upload, slice_submission
from grader.reports import CheckResult, PartScore, Report, ReportStatus, Status, Text
from grader.sandbox.child import CallError, ChildEnded, Reason, clean_text
from grader.sandbox.limits import CheckLimits, Mode, SubmissionLimits
from grader.sandbox.pool import Sandbox
from grader.sessions import Reference, References, StudentSession
from grader.subjects import Answer, Conversation, Step, Subject

# Ends that leave no trace of the call: the process was gone before anybody could look.
SUDDEN = frozenset((Reason.EXITED, Reason.SIGNAL, Reason.PROTOCOL))

log = logging.getLogger("grader")


@dataclass
class Outcome:
    """One check on its way into the report."""

    check: Check
    status: Status
    wall_ms: float = 0.0
    failure: CheckFailed | None = None
    message: Text | None = None
    steps: tuple[Step, ...] = ()
    used: frozenset[str] = frozenset()
    at: tuple[Step, int | None] | None = None  # the call that gave the wrong value
    error: str = ""  # "NameError: name 'np' is not defined", for grouping
    line: Text | None = None


@dataclass
class Engine:
    """Grades uploads of any assignment. Thread-safe; close() ends what it started.

    secret: key of the seeds. The same secret, assignment version and file always give the same inputs.
    """

    sandbox: Sandbox
    secret: bytes
    limits: SubmissionLimits = field(default_factory=SubmissionLimits)

    def __post_init__(self) -> None:
        self.references = References(self.sandbox)
        self._closing: list[threading.Thread] = []

    def warm_up(self, assignment: Assignment) -> None:
        """Starts the runtime and the reference, so that the first student does not wait for them."""
        self.sandbox.prepare(assignment.runtime, **assignment.watched)
        self.sandbox.start(assignment.runtime)
        self.references.give_back(assignment, self.references.borrow(assignment))

    def grade(self, assignment: Assignment, file: str, data: bytes, *, seed: str | None = None) -> Report:
        """The report on one upload; never raises for what a student did. seed: hex, to repeat an earlier grading."""
        started = time.perf_counter()
        digest = hashlib.sha256(data).hexdigest()
        seed = seed or derive(self.secret, assignment.version, digest)
        blank = Report(
            assignment=assignment.name,
            assignment_version=assignment.version,
            status=ReportStatus.NOT_GRADABLE,
            score=0,
            max_score=assignment.max_score,
            seed=seed,
            file=clean_text(file, 200),
            parts=tuple(
                PartScore(name=p.name, score=0, max_score=_points(assignment, p.name)) for p in assignment.parts
            ),
        )
        try:
            submission = read_upload(file, data, assignment.asks)
            piece = slice_submission(submission, assignment.asks)
            something_to_run(assignment, piece)
        except NotGradable as error:
            return replace(blank, notes=(error.text,), timings_ms={"total": _ms(started)})
        read_ms = _ms(started)
        try:
            report = self._run(assignment, submission, piece, blank, read_ms)
        except Exception as error:  # the edge: whatever went wrong in here is ours, and costs no points
            foreseen = isinstance(error, GraderError)
            log.error("grading of %s failed: %s", assignment.name, error, exc_info=not foreseen)
            fault = replace(blank, status=ReportStatus.GRADER_ERROR, notes=(wording.grader_fault(),))
            return replace(fault, timings_ms={"total": _ms(started)})
        return replace(report, timings_ms={**report.timings_ms, "total": _ms(started)})

    def _run(
        self, assignment: Assignment, submission: Submission, piece: Slice, blank: Report, read_ms: float
    ) -> Report:
        seed = int(blank.seed, 16)
        versions = self.sandbox.versions(assignment.runtime)
        reference = self.references.borrow(assignment)
        session = StudentSession(self.sandbox, assignment, piece, seed % 2**31, self.limits)
        try:
            checking = time.perf_counter()
            outcomes = Run(assignment, piece, session, reference, blank.seed).all_checks()
            checks_ms = _ms(checking) - session.take_ms - session.load_ms
            explaining = time.perf_counter()
            named = explain(assignment, outcomes, reference)
            explain_ms = _ms(explaining)
        except BaseException:
            session.close()
            reference.close()
            raise
        self.references.give_back(assignment, reference)
        self._close_later(session)
        results = tuple(result(outcome, named.get(outcome.check.id)) for outcome in outcomes)
        parts = tuple(
            replace(part, score=sum(r.points for r in results if r.part == part.name)) for part in blank.parts
        )
        timings = {
            "read": read_ms,
            "wait_for_child": session.take_ms,
            "load": session.load_ms,
            "checks": checks_ms,
            "explain": explain_ms,
        }
        mode = self.sandbox.mode
        return replace(
            blank,
            status=ReportStatus.GRADED,
            score=sum(part.score for part in parts),
            parts=parts,
            checks=results,
            left_out=piece.left_out,
            notes=notes(assignment, piece, session, outcomes, mode),
            printed=session.close(),
            runtime=versions,
            mode="" if mode is None else str(mode),
            timings_ms={name: round(ms, 3) for name, ms in timings.items()},
        )

    def _close_later(self, session: StudentSession) -> None:
        """A child's memory takes the kernel 10-20 ms to take back; the student need not wait for that."""
        child = session.close_later()
        if child is not None:
            thread = threading.Thread(target=child.close, name="close", daemon=True)
            thread.start()
            self._closing = [t for t in self._closing if t.is_alive()] + [thread]

    def settle(self) -> None:
        """Waits until every child of finished gradings is gone."""
        for thread in self._closing:
            thread.join()

    def close(self) -> None:
        self.settle()
        self.references.close()


def derive(secret: bytes, *parts: str) -> str:
    """128 bits, hex, by HMAC-SHA256: the same for the same parts, not predictable without the secret."""
    return hmac.new(secret, "\0".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


def something_to_run(assignment: Assignment, piece: Slice) -> None:
    """Raises NotGradable when nothing that carries points was written; what the starter gives does not count."""
    own = [name for name in assignment.asks if name.partition(".")[0] not in assignment.given]
    said = {**piece.stubs, **piece.missing}
    leaves = [name for name in own if "." in name or not any(other.startswith(f"{name}.") for other in own)]
    if leaves and all(name in said or name.partition(".")[0] in said for name in leaves):
        raise NotGradable(wording.nothing_written(leaves))


@dataclass
class Run:
    """The checks of one submission, in order."""

    assignment: Assignment
    piece: Slice
    session: StudentSession
    reference: Reference
    seed: str
    hung: bool = False  # a call did not end: the later checks, which may make it too, get less time

    def all_checks(self) -> list[Outcome]:
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
        return list(outcomes.values())

    def one_check(self, check: Check, *, singly: bool = False) -> Outcome:
        """Runs one check. singly: every call in a frame of its own, to find out at which one the process ends."""
        started = time.perf_counter()
        seed = int(derive(bytes.fromhex(self.seed), check.id), 16)
        limits = shorter(check.limits) if self.hung else check.limits
        talk: Conversation | None = None
        failure: CheckFailed | None = None
        try:
            student = self.session.begin(limits, seed % 2**31, keep_output=check.visible)
            talk = student._conversation
            talk.most_queued = 1 if singly else talk.most_queued
            self.call(check, student, seed)
        except CheckFailed as error:
            failure = error
        except CallError as error:
            failure = CheckFailed(message=self.raised(error, talk), value=error)
        except ChildEnded as error:
            if error.reason in SUDDEN and talk is not None and not singly and not self.session.exhausted():
                return self.one_check(check, singly=True)
            self.hung = self.hung or error.reason in (Reason.CPU, Reason.WALL)
            call = next((step.call for step in talk.steps if step.error), "") if talk else ""
            text = wording.ended(error.reason, error.detail, call, limits)
            failure = CheckFailed(message=text if talk else wording.not_loaded(text), value=error)
        steps = tuple(step for step in talk.steps if step.done and step.operation != "begin") if talk else ()
        outcome = Outcome(check, Status.PASSED, wall_ms=_ms(started), steps=steps)
        outcome.used = self.banned(outcome, talk.used if talk else set())
        if failure is not None:
            self.note_failure(outcome, failure)
        elif outcome.used:
            outcome.status, outcome.message = Status.FAILED, self.banned_text(outcome)
        return outcome

    def call(self, check: Check, student: Subject, seed: int) -> None:
        """Runs the author's function. Its error is the student's if it does not happen with the reference in place."""
        reference = self.reference.begin(seed % 2**31)
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
        in_source = {
            use.dotted
            for name in {step.call for step in outcome.steps}
            for use in self.piece.uses(name)
            if _under(use.dotted, part.banned_names)
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


def explain(assignment: Assignment, outcomes: list[Outcome], reference: Reference) -> dict[str, Mistake]:
    """{check id: the known mistake that its failure reproduces}."""
    named: dict[str, Mistake] = {}
    records = {
        part.name: [r for o in outcomes if o.check.part == part.name and diagnosis.replayable(r := record(o))]
        for part in assignment.parts
    }
    for part, mine in records.items():
        named |= try_mistakes(mine, [m for m in assignment.mistakes if m.part == part], reference)
    # What is wrong in one part often spoils another that builds on it: try what is known by now there too.
    known = sorted(set(named.values()), key=lambda mistake: mistake.name)
    for part, mine in records.items():
        rest = [r for r in mine if r.check not in named]
        named |= try_mistakes(rest, [m for m in known if m.part != part], reference)
    return named


def try_mistakes(records: list[Record], mistakes: list[Mistake], reference: Reference) -> dict[str, Mistake]:
    if not mistakes or not any(r.failed for r in records):
        return {}
    return diagnosis.explain(records, reference.replay(records, mistakes), mistakes)


def record(outcome: Outcome) -> Record:
    worst = outcome.failure.worst if outcome.failure else None
    return Record(
        check=outcome.check.id,
        failed=outcome.failure is not None,
        steps=outcome.steps,
        deviation=worst.difference if worst else 0.0,
    )


def result(outcome: Outcome, mistake: Mistake | None) -> CheckResult:
    """The check's line in the report. A hidden check shows no value of any kind."""
    check = outcome.check
    base = CheckResult(
        id=check.id,
        part=check.part,
        title=check.title,
        status=outcome.status,
        points=check.points if outcome.status is Status.PASSED else 0,
        max_points=check.points,
        wall_ms=round(outcome.wall_ms, 3) if check.visible else 0.0,  # a time could carry what the input was
        message=outcome.message,
    )
    if outcome.status is Status.PASSED:
        return base
    failure = outcome.failure
    if not check.visible and outcome.status is Status.FAILED:
        hint = mistake.hint if mistake else None
        text = wording.hidden_failed() if hint is None else hint
        return replace(base, message=text, mistake=mistake.name if mistake else None)
    if failure is None:
        return base
    message = outcome.message or failure.message
    if mistake is not None:
        message = mistake.hint + message
    elif failure.detail is not None:
        message = message + failure.detail
    elif (hint := diagnosis.relation(failure.got, failure.expected)) is not None:
        message = message + hint
    return replace(
        base,
        message=message,
        mistake=mistake.name if mistake else None,
        got=show(failure.got),
        expected=show(failure.expected),
        worst=failure.worst,
        input=show_input(outcome.steps, *outcome.at) if outcome.at else None,
    )


def notes(
    assignment: Assignment, piece: Slice, session: StudentSession, outcomes: list[Outcome], mode: Mode | None
) -> tuple[Text, ...]:
    """What concerns the whole file, each thing once."""
    said: list[Text] = list(piece.notes)
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.error and not any(f"'{name}'" in outcome.error for name in piece.typos):
            groups.setdefault(outcome.error, []).append(outcome)
    for error, group in groups.items():
        place = group[0].line
        if len(group) > 1 and place is not None and len({o.check.part for o in group}) > 1:
            places = {o.line.en for o in group if o.line is not None}
            said.append(wording.same_error(len(group), error, place, elsewhere=len(places) > 1))
    for failure in session.load_failures:
        said.append(wording.statement_failed(piece.origin(failure.line).say(), failure.said))
    if assignment.runtime != "numpy":
        arrays = {
            step.call
            for outcome in outcomes
            if outcome.status is Status.PASSED
            for step in outcome.steps
            if step.call in assignment.asks and isinstance(step.value, (np.ndarray, float))
        }
        if arrays:
            said.append(wording.numpy_for_tensor(sorted(arrays)))
    if mode is Mode.D:
        said.insert(0, wording.not_sandboxed())
    return tuple(said)


def _points(assignment: Assignment, part: str) -> float:
    return sum(check.points for check in assignment.checks if check.part == part)


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1e3, 3)
