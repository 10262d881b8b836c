"""Naming a mistake by replay, equality up to rounding, and how a wrong value is related to the right one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from grader.assignments import Mistake
from grader.diagnosis import MAX_STEPS, Record, explain, relation, replay_steps, replayable, reproduces, same_value
from grader.reports import Text
from grader.sandbox.child import CallError, ChildEnded, Reason
from grader.sandbox.values import condensed
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import Step

NAN, INF = math.nan, math.inf


def step(value: Any, error: Exception | None = None, call: str = "f") -> Step:
    return Step(["call", 1, None, call, [], {}], call=call, value=value, error=error, done=True, looked=True)


def record(check: str, *values: Any, failed: bool = True, deviation: float = 0.0) -> Record:
    steps = tuple(step(None, v) if isinstance(v, Exception) else step(v) for v in values)
    return Record(check=check, failed=failed, steps=steps, deviation=deviation)


def mistake(name: str) -> Mistake:
    return Mistake(name=name, part="p", hint=Text(en=name, zh=name), source="")


def ok(*values: Any) -> list[Any]:
    return [["ok", value] for value in values]


def raised(type_name: str, message: str, **more: Any) -> CallError:
    return CallError({"type": type_name, "message": message, **more})


class TestCondensing:
    LARGE = np.arange(78_500.0).reshape(785, 100)

    def test_a_large_value_is_compared_by_a_part_of_it(self) -> None:
        seen = record("c", self.LARGE)
        assert reproduces(seen, ok(condensed(self.LARGE.copy())))
        assert condensed(self.LARGE)["some"].size < 2000

    @pytest.mark.parametrize("where", [(784, 3), (slice(None), 99), (0, slice(None)), (slice(None), slice(None))])
    def test_another_row_column_or_factor_is_noticed(self, where: Any) -> None:
        other = self.LARGE.copy()
        other[where] = 1.5 * other[where] + 100
        assert not reproduces(record("c", self.LARGE), ok(condensed(other)))

    def test_another_shape_is_noticed(self) -> None:
        assert not reproduces(record("c", self.LARGE), ok(condensed(self.LARGE.reshape(100, 785))))

    def test_small_values_and_trees_of_them_stay(self) -> None:
        assert condensed((1.0, "a", None)) == [1.0, "a", None]
        assert condensed({"W": Tensor("torch", np.ones(3))})["W"].tolist() == [1.0, 1.0, 1.0]
        assert reproduces(record("c", (self.LARGE, 1.0)), ok(condensed((self.LARGE, 1.0))))


class TestExplain:
    def test_the_mistake_whose_outputs_match_is_named(self) -> None:
        outcomes = {"a": {"c": ok(1.0)}, "b": {"c": ok(2.0)}}
        assert explain([record("c", 2.0)], outcomes, [mistake("a"), mistake("b")]) == {"c": mistake("b")}

    def test_what_the_check_never_looked_at_may_differ(self) -> None:
        seen = record("c", 7.0, 2.0)
        seen.steps[0].looked = False
        outcomes = {"b": {"c": ok(None, 2.0)}}
        assert explain([seen], outcomes, [mistake("b")], exactly=False) == {"c": mistake("b")}
        assert explain([seen], outcomes, [mistake("b")]) == {}
        seen.steps[0].looked = True
        assert explain([seen], outcomes, [mistake("b")], exactly=False) == {}

    def test_an_array_that_nobody_looked_at_must_agree_all_the_same(self) -> None:
        seen = record("c", np.ones(2), 2.0)
        seen.steps[0].looked = False
        assert explain([seen], {"b": {"c": ok(np.zeros(2), 2.0)}}, [mistake("b")], exactly=False) == {}
        assert explain([seen], {"b": {"c": ok((0.5, 1), 2.0)}}, [mistake("b")], exactly=False) == {"c": mistake("b")}

    def test_of_parameters_only_the_names_are_compared(self) -> None:
        drawn, others = {"W": np.ones((2, 1))}, {"W": np.zeros((2, 1))}
        seen = record("c", drawn, 2.0)
        seen.steps[0].request[0] = "parameters"
        assert explain([seen], {"b": {"c": ok(others, 2.0)}}, [mistake("b")]) == {"c": mistake("b")}
        assert explain([seen], {"b": {"c": ok({"V": others["W"]}, 2.0)}}, [mistake("b")]) == {}

    def test_no_mistake_is_named_when_none_fits(self) -> None:
        assert explain([record("c", 3.0)], {"a": {"c": ok(1.0)}}, [mistake("a")]) == {}
        assert explain([record("c", 3.0)], {}, [mistake("a")]) == {}

    def test_a_passed_check_is_not_explained(self) -> None:
        assert explain([record("c", 1.0, failed=False)], {"a": {"c": ok(1.0)}}, [mistake("a")]) == {}

    @pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
    def test_a_tie_goes_to_the_first_name(self, order: tuple[str, str]) -> None:
        outcomes = {"a": {"c": ok(1.0)}, "b": {"c": ok(1.0)}}
        assert explain([record("c", 1.0)], outcomes, [mistake(n) for n in order])["c"].name == "a"

    def test_whoever_also_reproduces_other_checks_wins(self) -> None:
        records = [record("c", 1.0), record("d", 5.0, failed=False)]
        outcomes = {"a": {"c": ok(1.0), "d": ok(0.0)}, "b": {"c": ok(1.0), "d": ok(5.0)}}
        assert explain(records, outcomes, [mistake("a"), mistake("b")])["c"].name == "b"


class TestReproduces:
    @pytest.mark.parametrize(
        ("gave", "results", "does"),
        [
            ([1.0, 2.0], ok(1.0, 2.0), True),
            ([1.0, 2.0], ok(1.0, 3.0), False),
            ([1.0, 2.0], ok(0.0, 2.0), False),
            ([1.0, 2.0], ok(1.0), False),
            ([1.0], ok(1.0, 2.0), False),
            ([1.0], [["error", {"type": "ValueError", "message": ""}]], False),
            ([raised("ValueError", "no")], ok(1.0), False),
            ([raised("ValueError", "no")], [["error", {"type": "ValueError", "message": "no\nmore"}]], True),
            ([raised("ValueError", "no")], [["error", {"type": "TypeError", "message": "no"}]], False),
            ([raised("ValueError", "no")], [["error", {"type": "ValueError", "message": "yes"}]], False),
            ([raised("Refused", "no", refused=True)], [["error", {"type": "Refused", "message": "no"}]], False),
        ],
    )
    def test_step_by_step(self, gave: list[Any], results: list[Any], does: bool) -> None:
        assert reproduces(record("c", *gave), results) is does

    @pytest.mark.parametrize(
        ("deviation", "failed", "does"), [(10.0, True, True), (10.0, False, False), (0.1, True, False)]
    )
    def test_the_slack_grows_with_the_fault_of_a_failed_check(self, deviation: float, failed: bool, does: bool) -> None:
        assert reproduces(record("c", 1.0, 2.0, deviation=deviation, failed=failed), ok(1.0, 2.005)) is does

    def test_long_records_are_cut_on_both_sides(self) -> None:
        long = record("c", *range(MAX_STEPS + 5))
        assert len(replay_steps(long)) == MAX_STEPS
        assert reproduces(long, ok(*range(MAX_STEPS)))

    @pytest.mark.parametrize(
        ("values", "can"),
        [([], False), ([1.0], True), ([raised("E", "")], True), ([1.0, ChildEnded(Reason.CPU)], False)],
    )
    def test_replayable(self, values: list[Any], can: bool) -> None:
        assert replayable(record("c", *values)) is can


class TestSameValue:
    @pytest.mark.parametrize(
        ("a", "b", "same"),
        [
            (1.0, 1.0, True),
            (1.0, 1.0 + 1e-7, True),
            (1.0, 1.001, False),
            (1e6, 1e6 + 1, True),
            (1, 1.0, True),
            (NAN, NAN, True),
            (NAN, 1.0, False),
            (INF, INF, True),
            (INF, -INF, False),
            (INF, NAN, False),
            (None, None, True),
            (None, 0.0, False),
            (0.0, None, False),
            ("a", "a", True),
            ("a", "b", False),
            ("1", 1.0, False),
            (np.ones(2), np.ones(2), True),
            (np.ones(2), np.ones((2, 1)), False),
            (np.ones(2), np.ones(3), False),
            (Tensor("tensorflow", np.ones(2)), np.ones(2), True),
            (Tensor("tensorflow", np.ones(2)), Tensor("tensorflow", np.zeros(2)), False),
            (Handle(1, "A"), Handle(2, "B"), True),
            (Handle(1, "A"), 1.0, False),
            (1.0, Handle(1, "A"), False),
            ([1.0, np.ones(2)], (1.0, np.ones(2)), True),
            ([1.0], [1.0, 2.0], False),
            ([1.0], 1.0, False),
            ({"a": 1.0}, {"a": 1.0}, True),
            ({"a": 1.0}, {"b": 1.0}, False),
            ({"a": 1.0}, {"a": 2.0}, False),
            ({"a": 1.0}, 1.0, False),
        ],
        ids=str,
    )
    def test_without_deviation(self, a: Any, b: Any, same: bool) -> None:
        assert same_value(a, b) is same

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (np.ones((1, 2)), (np.ones((1, 2)), np.ones((2, 2)))),
            (np.ones(2), {"a": 1}),
            (1.0, [np.ones(2), np.ones(3)]),
            (np.ones(2), [1.0, 1.0]),
        ],
        ids=["array, ragged tuple", "array, dict", "number, ragged list", "array, list"],
    )
    def test_different_forms_are_different_whichever_comes_first(self, a: Any, b: Any) -> None:
        assert same_value(b, a) is False
        assert same_value(a, b) is False

    @pytest.mark.parametrize(
        ("deviation", "off", "same"),
        [(1.0, 9e-4, True), (1.0, 2e-3, False), (100.0, 0.09, True), (100.0, 0.2, False), (INF, 1e-3, False),
         (NAN, 1e-3, False), (0.0, 1e-3, False)],
    )  # fmt: skip
    def test_a_thousandth_of_the_deviation_is_rounding(self, deviation: float, off: float, same: bool) -> None:
        assert same_value(np.array([5.0]), np.array([5.0 + off]), deviation) is same


B = np.array([[1.0, -2.0], [3.0, 0.5]])


class TestRelation:
    @pytest.mark.parametrize(
        ("got", "expected", "words"),
        [
            (-B, B, "opposite sign"),
            (10 * B, B, "10 times the expected ones: a sum"),
            (B / 4, B, "divided by 4"),
            (B.T, B, "transpose"),
            (0 * B, B, "All your values are 0"),
            (1.37 * B, B, "1.37 times the expected ones, everywhere"),
            (np.array(12.0), np.array(3.0), "4 times"),
            (3 * np.array([0.0, 1.0]), np.array([0.0, 1.0]), "3 times"),
        ],
    )
    def test_is_said(self, got: Any, expected: Any, words: str) -> None:
        text = relation(got, expected)
        assert text is not None
        assert words in text.en
        assert any("\u4e00" <= c <= "\u9fff" for c in text.zh)

    @pytest.mark.parametrize(
        ("got", "expected"),
        [
            (B + 1, B),
            (np.array([1.0, 3.0]), np.array([0.0, 1.0])),
            (B * np.array([1.0, 2.0]), B),
            (np.array(1.37), np.array(1.0)),
            (B[:1], B),
            (np.full((2, 2), NAN), B),
            (B, np.full((2, 2), INF)),
            (B + 0j, B),
            (B > 0, B),
            (None, B),
            (2.0, 1.0),
            (np.zeros((0, 2)), np.zeros((0, 2))),
            (B, 0 * B),
        ],
    )
    def test_nothing_is_said(self, got: Any, expected: Any) -> None:
        assert relation(got, expected) is None

    def test_values_that_are_almost_right_are_not_a_factor(self) -> None:
        assert relation(B * (1 + 1e-7), B) is None

    def test_real_values_where_complex_ones_are_asked_for(self) -> None:
        assert relation(B, B * 1j) is None
