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

import gc
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from grader import diagnosis, wording
from grader.assignments import Assignment, Mistake
from grader.diagnosis import Record
from grader.display import show, show_input
from grader.errors import GraderError, NotGradable
from grader.intake import Slice, Submission, read_upload, slice_submission
from grader.pictures import chosen
from grader.reports import CheckResult, PartScore, Report, ReportStatus, Status, Text
from grader.running import Outcome, Run, derive, elapsed_ms
from grader.sandbox.child import clean_text
from grader.sandbox.limits import Mode, SubmissionLimits
from grader.sandbox.pool import Sandbox
from grader.sessions import Reference, References, StudentSession
from grader.subjects import Step

log = logging.getLogger("grader")


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
        self._lock = threading.Lock()

    def warm_up(self, assignment: Assignment) -> None:
        """Starts the runtime and the reference, so that the first student does not wait for them."""
        self.sandbox.prepare(assignment.runtime, **assignment.watched)
        self.sandbox.start(assignment.runtime)
        self.references.give_back(assignment, self.references.borrow(assignment))

    def grade(
        self,
        assignment: Assignment,
        file: str,
        data: bytes,
        *,
        seed: str | None = None,
        on_check: Callable[[CheckResult], None] | None = None,
    ) -> Report:
        """The report on one upload; never raises for what a student did. seed: hex, to repeat an earlier grading.

        on_check: told in this thread how each check ended, as soon as it has (see `bare`). The next check waits for
        it, and its time counts against the file's allowance. What it raises is logged and changes nothing.
        """
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
            return replace(blank, notes=(error.text,), timings_ms={"total": elapsed_ms(started)})
        read_ms = elapsed_ms(started)
        try:
            report = self._run(assignment, submission, piece, blank, read_ms, on_check)
        except Exception as error:  # the edge: whatever went wrong in here is ours, and costs no points
            foreseen = isinstance(error, GraderError)
            log.error("grading of %s failed: %s", assignment.name, error, exc_info=not foreseen)
            fault = replace(blank, status=ReportStatus.GRADER_ERROR, notes=(wording.grader_fault(),))
            return replace(fault, timings_ms={"total": elapsed_ms(started)})
        return replace(report, timings_ms={**report.timings_ms, "total": elapsed_ms(started)})

    def _run(
        self,
        assignment: Assignment,
        submission: Submission,
        piece: Slice,
        blank: Report,
        read_ms: float,
        on_check: Callable[[CheckResult], None] | None,
    ) -> Report:
        seed, waiting = int(blank.seed, 16), time.perf_counter()
        versions = self.sandbox.versions(assignment.runtime)
        reference = self.references.borrow(assignment)  # like the line above, waits while these are being warmed up
        warm_ms = elapsed_ms(waiting)
        session = StudentSession(self.sandbox, assignment, piece, seed % 2**31, self.limits)
        try:
            checking = time.perf_counter()
            run = Run(assignment, piece, session, reference, blank.seed)
            outcomes = run.all_checks(telling(on_check))
            checks_ms = elapsed_ms(checking) - session.take_ms - session.load_ms
            explaining = time.perf_counter()
            named = explain(assignment, outcomes, reference)
            explain_ms = elapsed_ms(explaining)
        except BaseException:
            session.close()
            reference.close()
            raise
        self.references.give_back(assignment, reference)
        self._close_later(session)
        pictures = chosen([(not outcome.check.replay, outcome.pictures) for outcome in outcomes])
        for outcome, kept in zip(outcomes, pictures, strict=True):
            outcome.pictures = kept
        results = tuple(result(outcome, named.get(outcome.check.id)) for outcome in outcomes)
        parts = tuple(
            replace(part, score=sum(r.points for r in results if r.part == part.name)) for part in blank.parts
        )
        timings = {
            "read": read_ms,
            "wait_for_child": warm_ms + session.take_ms,
            "load": session.load_ms,
            "checks": checks_ms,
            "explain": explain_ms,
        }
        mode = self.sandbox.mode
        said = notes(assignment, piece, session, outcomes, mode)
        run.release()
        return replace(
            blank,
            status=ReportStatus.GRADED,
            score=sum(part.score for part in parts),
            parts=parts,
            checks=results,
            left_out=piece.left_out,
            notes=said,
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
            with self._lock:
                self._closing = [t for t in self._closing if t.is_alive()] + [thread]

    def settle(self) -> None:
        """Waits until every child of finished gradings is gone."""
        with self._lock:
            threads = list(self._closing)
        for thread in threads:
            thread.join()

    def close(self) -> None:
        self.settle()
        self.references.close()


def keep_what_is_loaded() -> None:
    """For an entrance, once everything is imported and warm: what is here now stays, so collections skip it.

    A grading makes many small objects that are all gone at its end; looking through them every 700 is wasted.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def something_to_run(assignment: Assignment, piece: Slice) -> None:
    """Raises NotGradable when nothing that carries points was written; what the starter gives does not count."""
    own = [name for name in assignment.asks if name.partition(".")[0] not in assignment.given]
    said = {**piece.stubs, **piece.missing}
    leaves = [name for name in own if "." in name or not any(other.startswith(f"{name}.") for other in own)]
    if leaves and all(name in said or name.partition(".")[0] in said for name in leaves):
        raise NotGradable(wording.nothing_written(leaves))


def explain(assignment: Assignment, outcomes: list[Outcome], reference: Reference) -> dict[str, Mistake]:
    """{check id: the known mistake that its failure reproduces}."""
    named: dict[str, Mistake] = {}
    records = {
        part.name: [
            r for o in outcomes if o.check.part == part.name and o.check.replay and diagnosis.replayable(r := record(o))
        ]
        for part in assignment.parts
    }
    replayed: dict[str, Replays] = {}
    for exactly in (True, False):  # what the check never looked at tells mistakes apart, but need not agree
        for part, mine in records.items():
            own = [m for m in assignment.mistakes if m.part == part]
            named |= try_mistakes(mine, own, reference, replayed, part, named, exactly=exactly)
        # What is wrong in one part often spoils another that builds on it: try what is known by now there too.
        known = sorted(set(named.values()), key=lambda mistake: mistake.name)
        for part, mine in records.items():
            others = [m for m in known if m.part != part]
            named |= try_mistakes(mine, others, reference, {}, part, named, exactly=exactly)
    return named


Replays = dict[str, dict[str, Sequence[Any]]]


def try_mistakes(
    records: list[Record],
    mistakes: list[Mistake],
    reference: Reference,
    replayed: dict[str, Replays],
    part: str,
    named: Mapping[str, Mistake],
    *,
    exactly: bool,
) -> dict[str, Mistake]:
    """Names what is not named yet. replayed: results kept from the exact round for the other one."""
    unnamed = [r for r in records if r.check not in named]
    if not mistakes or not any(r.failed for r in unnamed):
        return {}
    if part not in replayed:
        replayed[part] = reference.replay(records, mistakes)
    return diagnosis.explain(unnamed, replayed[part], mistakes, exactly=exactly)


def record(outcome: Outcome) -> Record:
    worst = outcome.failure.worst if outcome.failure else None
    return Record(
        check=outcome.check.id,
        failed=outcome.failure is not None,
        steps=relevant(outcome),
        deviation=worst.difference if worst else 0.0,
        seed=outcome.seed,
    )


def relevant(outcome: Outcome) -> tuple[Step, ...]:
    """The steps up to the one that was found wrong: calls travel together, so later ones have run too."""
    steps = outcome.steps
    return steps[: steps.index(outcome.wrong) + 1] if outcome.wrong in steps else steps


def telling(on_check: Callable[[CheckResult], None] | None) -> Callable[[Outcome], None] | None:
    """Tells of an outcome while the grading goes on. A fault of whoever listens is ours, not the student's."""
    if on_check is None:
        return None

    def tell(outcome: Outcome) -> None:
        try:
            on_check(bare(outcome))
        except Exception:
            log.exception("on_check failed at check %s", outcome.check.id)

    return tell


def bare(outcome: Outcome) -> CheckResult:
    """How the check ended, and nothing that its inputs went into: no message, no value, no time."""
    check = outcome.check
    return CheckResult(
        id=check.id,
        part=check.part,
        title=check.title,
        status=outcome.status,
        points=check.points if outcome.status is Status.PASSED else 0,
        max_points=check.points,
        visible=check.visible,
    )


def result(outcome: Outcome, mistake: Mistake | None) -> CheckResult:
    """The check's line in the report. A hidden check shows no value of any kind."""
    check = outcome.check
    base = replace(
        bare(outcome),
        wall_ms=round(outcome.wall_ms, 3) if check.visible else 0.0,  # a time could carry what the input was
        message=outcome.message,
        figures=outcome.figures,
        pictures=outcome.pictures,
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
        got=show(failure.got, failure.worst.index if failure.worst else ()),
        expected=show(failure.expected, failure.worst.index if failure.worst else ()),
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
