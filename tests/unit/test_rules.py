"""No rule of ours can fail silently: each rule has guards that pass, and that fail as soon as the rule is disabled."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import checks, diagnosis, grading, numerics, running
from grader.assignments import Mistake, Part, load
from grader.checks import CheckFailed, Rng, close
from grader.diagnosis import Record, explain, same_value
from grader.grading import result
from grader.intake import Use
from grader.reports import Status, Text
from grader.running import Outcome, Run, find_call
from grader.subjects import Step, Subject

PROJECT = Path(__file__).resolve().parents[2]
WORDS = Text(en="t", zh="字")


class GuardFailed(Exception):
    """A guard saw that its rule does not hold."""


def refuses(got: Any, expected: Any = 1.0, **options: Any) -> None:
    try:
        close(got, expected, **options)
    except CheckFailed:
        return
    raise GuardFailed(f"{got!r} passed for {expected!r}")


def must(condition: bool, what: str) -> None:
    if not condition:
        raise GuardFailed(what)


# The guards -----------------------------------------------------------------------------------------------------


def a_wrong_value_fails() -> None:
    refuses(1.1)
    refuses(np.array([1.0, 2.00001]), np.array([1.0, 2.0]))


def the_right_value_passes() -> None:
    close(1.0, 1.0)
    close(np.ones((2, 2)), np.ones((2, 2)))


def nan_fails() -> None:
    refuses(math.nan)
    refuses(np.array([1.0, np.nan]), np.ones(2))


def infinity_fails() -> None:
    refuses(math.inf)
    refuses(np.array([1.0, -np.inf]), np.ones(2), atol=1e300)


def a_wrong_shape_fails() -> None:
    refuses(np.ones(1))
    refuses(np.ones((1, 2)), np.ones((2, 2)))
    refuses(np.ones((0,)), np.ones((3,)))


def a_wrong_kind_fails() -> None:
    refuses(np.array(True))
    refuses(np.array(1 + 0j))


def none_and_lists_fail() -> None:
    refuses(None)
    refuses([1.0], np.ones(1))


def a_wrong_gradient_fails() -> None:
    x, up = np.array([[0.3, -1.0], [0.5, 1.2]]), np.ones((2, 2))
    try:
        claim = checks.Gradient(got=-np.exp(x), function=lambda xs: [np.exp(v) for v in xs], at=x)
        checks.gradients(claim, upstream=up, rng=Rng(np.random.PCG64(1)))
    except CheckFailed:
        return
    raise GuardFailed("a gradient of the wrong sign passed")


def a_call_of_a_banned_name_is_found() -> None:
    run = a_run()
    must(run.banned(an_outcome(), {"numpy.linalg.inv"}) == {"numpy.linalg.inv"}, "a banned call was not seen")
    must(run.banned(an_outcome(), {"Softmax"}) == {"Softmax"}, "a banned op was not seen")
    must(run.banned(an_outcome(), {"numpy.dot"}) == frozenset(), "an allowed call was refused")


def a_banned_name_in_the_source_is_found() -> None:
    run = a_run(uses=(Use(dotted="numpy.linalg.inv", line=1),))
    must(run.banned(an_outcome(), set()) == {"numpy.linalg.inv"}, "a banned name was not seen")


def test_digits_may_come_from_a_banned_library() -> None:
    loader = "tensorflow.keras.datasets.mnist.load_data"
    run = a_run(uses=tuple(Use(dotted=name, line=1) for name in (loader, "tensorflow.nn.relu", "tensorflow")))
    run.assignment = dataclasses.replace(
        run.assignment,
        parts=(dataclasses.replace(run.assignment.parts[0], banned_names=frozenset({"tensorflow"})),),
    )
    assert run.banned(an_outcome(), set()) == {"tensorflow.nn.relu", "tensorflow"}


def a_check_waits_for_what_it_requires() -> None:
    def fails(student: Any, reference: Any, rng: Any) -> None:
        raise CheckFailed(message=WORDS)

    outcomes = a_run(a_check("first", fails), a_check("second", requires=("first",))).all_checks()
    must([o.status for o in outcomes] == [Status.FAILED, Status.NOT_REACHED], "a check ran before its time")


def only_a_passed_check_has_points() -> None:
    for status in Status:
        points = result(Outcome(a_check("c"), status), None).points
        must((points > 0) is (status is Status.PASSED), f"{status} has {points} points")


def a_known_mistake_is_named() -> None:
    records = [Record(check="c", failed=True, steps=(a_step(2.0),), deviation=1.0)]
    must(set(explain(records, {"m": {"c": [["ok", 2.0]]}}, known_mistakes())) == {"c"}, "no mistake was named")


def another_value_does_not_name_a_mistake() -> None:
    records = [Record(check="c", failed=True, steps=(a_step(2.0),), deviation=1.0)]
    must(explain(records, {"m": {"c": [["ok", 2.5]]}}, known_mistakes()) == {}, "a mistake was named by chance")
    must(not same_value(np.array([1.0]), np.array([1.5]), 1.0), "values far apart are the same")


def a_hidden_check_shows_nothing() -> None:
    failure = CheckFailed(message=WORDS, got=31337.0, expected=1.0)
    hidden = dataclasses.replace(a_check("c"), visible=False)
    line = result(Outcome(hidden, Status.FAILED, failure=failure, message=Text(en="31337", zh="31337")), None)
    must("31337" not in repr(line), "a hidden check shows a value")


def another_secret_gives_other_inputs() -> None:
    must(running.derive(b"a", "v", "f") != running.derive(b"b", "v", "f"), "the secret does not matter")
    must(running.derive(b"a", "v", "f") != running.derive(b"a", "w", "f"), "the version does not matter")
    must(running.derive(b"a", "v", "f") != running.derive(b"a", "v", "g"), "the file does not matter")


Guard = Callable[[], None]
GUARDS: list[Guard] = [
    a_wrong_value_fails, the_right_value_passes, nan_fails, infinity_fails, a_wrong_shape_fails, a_wrong_kind_fails,
    none_and_lists_fail, a_wrong_gradient_fails, a_call_of_a_banned_name_is_found, a_banned_name_in_the_source_is_found,
    a_check_waits_for_what_it_requires, only_a_passed_check_has_points, a_known_mistake_is_named,
    another_value_does_not_name_a_mistake, a_hidden_check_shows_nothing, another_secret_gives_other_inputs,
]  # fmt: skip


# What the guards work with ----------------------------------------------------------------------------------------

BANNED_NAMES, BANNED_OPS, MISTAKES = frozenset({"numpy.linalg"}), frozenset({"Softmax"}), ["m"]


def known_mistakes() -> list[Mistake]:
    return [Mistake(name=name, part="p", hint=WORDS, source="") for name in MISTAKES]


def a_step(value: Any) -> Step:
    return Step(["call", 1, None, "f", [], {}], call="f", value=value, done=True, looked=True)


def an_outcome() -> Outcome:
    return Outcome(a_check("c"), Status.PASSED, steps=(a_step(1.0),))


def passes(student: Any, reference: Any, rng: Any) -> None:
    """Does nothing."""


def a_check(name: str, function: Callable[..., None] = passes, requires: tuple[str, ...] = ()) -> checks.Check:
    return checks.Check(id=name, part="p", points=2, title=WORDS, function=function, requires=requires)


class Talk:
    """A student or reference that nobody asks anything."""

    def begin(self, *_: Any, **__: Any) -> Any:
        return Subject(self, classes=frozenset(), methods=frozenset())

    def exhausted(self) -> bool:
        return False

    def take_pictures(self) -> tuple[Any, ...]:
        return ()

    def send(self, steps: list[list[Any]]) -> None:
        raise AssertionError("nothing is asked")

    def receive(self) -> tuple[list[Any], frozenset[str]]:
        raise AssertionError("nothing is asked")


class Piece:
    """As much of a slice as the rules read."""

    missing: dict[str, Text]
    stubs: dict[str, Text]
    packages: frozenset[str]

    def __init__(self, uses: tuple[Use, ...]) -> None:
        self.missing, self.stubs, self._uses = {}, {}, uses
        self.packages = frozenset(use.dotted.partition(".")[0] for use in uses)

    def uses(self, name: str) -> tuple[Use, ...]:
        return self._uses


def a_run(*made: checks.Check, uses: tuple[Use, ...] = ()) -> Run:
    part = Part(name="p", title=WORDS, asks=("f",), banned_names=BANNED_NAMES, banned_ops=BANNED_OPS)
    loaded = load(PROJECT / "reference" / "numpy_autodiff")
    assignment = dataclasses.replace(loaded, parts=(part,), checks=made, mistakes=(), asks=("f",))
    talk: Any = Talk()
    piece: Any = Piece(uses)
    return Run(assignment, piece, talk, talk, "00" * 16)


# Disabling one rule at a time -----------------------------------------------------------------------------------------

Patch = Callable[[pytest.MonkeyPatch], None]


def attribute(target: Any, name: str, value: Any) -> Patch:
    return lambda patch: patch.setattr(target, name, value)


def always_finite(patch: pytest.MonkeyPatch) -> None:
    """The finite test dropped: what is not finite is compared as 1."""
    real = numerics._compare_values

    def lenient(have: Any, want: Any, a: Any, *rest: Any) -> Any:
        return real(have, want, np.where(np.isfinite(a), a, 1.0), *rest)

    patch.setattr(numerics, "_compare_values", lenient)


def any_shape(patch: pytest.MonkeyPatch) -> None:
    real = numerics.compare
    patch.setattr(checks, "compare", lambda got, want, tol, **o: real(np.resize(got, np.shape(want)), want, tol, **o))


def all_noise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checks, "taylor_rate", lambda *_: 2.0)
    patch.setattr(numerics.Differences, "noisy", True)


def points_for_trying(patch: pytest.MonkeyPatch) -> None:
    real = grading.result
    patch.setitem(globals(), "result", lambda o, m: dataclasses.replace(real(o, m), points=o.check.points))


def requires_ignored(patch: pytest.MonkeyPatch) -> None:
    real = Run.all_checks

    def every(self: Run) -> list[Outcome]:
        free = tuple(dataclasses.replace(c, requires=()) for c in self.assignment.checks)
        return real(dataclasses.replace(self, assignment=dataclasses.replace(self.assignment, checks=free)))

    patch.setattr(Run, "all_checks", every)


DISABLED: dict[str, tuple[Patch, set[Guard]]] = {
    "tolerance infinite": (
        attribute(numerics.Tolerance, "of", lambda self, got, expected: np.full(np.shape(expected), np.inf)),
        {a_wrong_value_fails, nan_fails, infinity_fails, a_wrong_gradient_fails},
    ),
    "default tolerance infinite": (
        attribute(numerics, "ATOL", dict.fromkeys(numerics.ATOL, np.inf)),
        {a_wrong_value_fails},
    ),
    "tolerance zero or less": (
        attribute(numerics.Tolerance, "of", lambda self, got, expected: np.full(np.shape(expected), -1.0)),
        {the_right_value_passes},
    ),
    "NaN and infinity accepted": (always_finite, {nan_fails, infinity_fails}),
    "shape test dropped": (any_shape, {a_wrong_shape_fails}),
    "dtype test dropped": (
        attribute(numerics, "_kinds_agree", lambda *_: True),
        {a_wrong_kind_fails},
    ),
    "comparison dropped": (
        attribute(checks, "compare", lambda *_, **__: None),
        {a_wrong_value_fails, nan_fails, infinity_fails, a_wrong_shape_fails, a_wrong_kind_fails, none_and_lists_fail,
         a_wrong_gradient_fails},
    ),
    "every gradient taken for noise": (all_noise, {a_wrong_gradient_fails}),
    "banned list emptied": (
        lambda patch: patch.setitem(globals(), "BANNED_NAMES", frozenset()),
        {a_call_of_a_banned_name_is_found, a_banned_name_in_the_source_is_found},
    ),
    "banned ops emptied": (
        lambda patch: patch.setitem(globals(), "BANNED_OPS", frozenset()),
        {a_call_of_a_banned_name_is_found},
    ),
    "banned match dropped": (
        attribute(running, "_under", lambda *_: False),
        {a_call_of_a_banned_name_is_found, a_banned_name_in_the_source_is_found},
    ),
    "banned match of everything": (
        attribute(running, "_under", lambda *_: True),
        {a_call_of_a_banned_name_is_found},
    ),
    "requires ignored": (requires_ignored, {a_check_waits_for_what_it_requires}),
    "points for trying": (points_for_trying, {only_a_passed_check_has_points}),
    "mistakes emptied": (
        lambda patch: patch.setitem(globals(), "MISTAKES", []),
        {a_known_mistake_is_named},
    ),
    "replay never matches": (
        attribute(diagnosis, "reproduces", lambda *_: False),
        {a_known_mistake_is_named},
    ),
    "replay always matches": (
        attribute(diagnosis, "reproduces", lambda *_: True),
        {a_known_mistake_is_named},  # the solution would match as well, and then nothing is named
    ),
    "slack infinite": (
        attribute(diagnosis, "same_value", lambda *_: True),
        {another_value_does_not_name_a_mistake},
    ),
    "secret ignored": (
        attribute(running, "derive", lambda *_: "00" * 16),
        {another_secret_gives_other_inputs},
    ),
}  # fmt: skip


def broken() -> set[Guard]:
    """The guards that see something wrong now."""
    found: set[Guard] = set()
    for guard in GUARDS:
        try:
            guard()
        except Exception:
            found.add(guard)
    return found


@pytest.mark.parametrize("guard", GUARDS, ids=lambda g: g.__name__)
def test_the_rules_hold(guard: Guard) -> None:
    guard()


@pytest.mark.parametrize("rule", DISABLED)
def test_a_disabled_rule_is_noticed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    disable, watchers = DISABLED[rule]
    with monkeypatch.context() as patch:
        disable(patch)
        silent = watchers - broken()
    assert {guard.__name__ for guard in silent} == set()
    assert broken() == set()


def test_every_guard_but_one_watches_a_rule() -> None:
    watching = {guard for _, watchers in DISABLED.values() for guard in watchers}
    assert {g.__name__ for g in GUARDS if g not in watching} == {"a_hidden_check_shows_nothing"}


def test_find_call_prefers_the_step_that_gave_the_value() -> None:
    value = np.ones(2)
    steps = (a_step(np.zeros(2)), a_step([1.0, value]), a_step(3.0))
    assert find_call(steps, value) == (steps[1], None)
    assert find_call(steps, "other") == (steps[2], None)
    assert find_call((), value) is None
