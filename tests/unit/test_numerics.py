"""Comparison in its defined order, tolerances by dtype, and derivatives of functions whose derivatives are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from grader.numerics import (
    Flaw,
    Tolerance,
    central_gradient,
    compare,
    directional_derivatives,
    near_kink,
    step_of,
    taylor_rate,
)
from grader.sandbox.wire import Handle, Tensor

NAN, INF = math.nan, math.inf


def flaw(got: Any, expected: Any, **options: Any) -> Flaw | None:
    difference = compare(got, expected, Tolerance(), **options)
    return None if difference is None else difference.flaw


class TestOrder:
    @pytest.mark.parametrize(
        ("got", "expected"),
        [
            (None, Flaw.NOTHING),
            ("1", Flaw.NOT_ARRAY),
            (b"1", Flaw.NOT_ARRAY),
            ([1.0, 2.0], Flaw.NOT_ARRAY),
            ((1.0, 2.0), Flaw.NOT_ARRAY),
            ({"a": 1}, Flaw.NOT_ARRAY),
            (Handle(1, "generator"), Flaw.NOT_ARRAY),
            (Tensor("torch", np.ones(2)), Flaw.NOT_ARRAY),  # unwrapped by checks.close, never here
            (np.array([[True, False]]), Flaw.SHAPE),  # also of a wrong kind and a wrong value
            (np.array([NAN]), Flaw.SHAPE),
            (np.array([True, False]), Flaw.DTYPE),  # also of a wrong value
            (np.array([1j, NAN]), Flaw.DTYPE),
            (np.array([1.0, NAN]), Flaw.FINITE),
            (np.array([5.0, -INF]), Flaw.FINITE),
            (np.array([1.0, 3.0]), Flaw.VALUE),
            (np.array([1.0, 2.0]), None),
        ],
        ids=str,
    )
    def test_the_first_thing_that_is_wrong(self, got: Any, expected: Flaw | None) -> None:
        assert flaw(got, np.array([1.0, 2.0])) is expected

    def test_no_worst_place_unless_shapes_agree(self) -> None:
        for got in (None, "x", np.ones(3), np.array([True, True])):
            found = compare(got, np.ones(2), Tolerance())
            assert found is not None
            assert found.worst is None

    def test_the_worst_place_is_the_one_furthest_beyond_its_tolerance(self) -> None:
        found = compare(np.array([[1.0, 2.0], [3.0, 14.0]]), np.array([[1.0, 2.5], [3.0, 4.0]]), Tolerance())
        assert found is not None
        assert found.worst is not None
        assert found.worst.index == (1, 1)
        assert found.worst.difference == 10.0
        assert found.tolerance == pytest.approx(1e-6 + 4e-9)


class TestShapes:
    @pytest.mark.parametrize(
        ("got", "expected", "agrees"),
        [
            ((1,), (), False),
            ((), (1,), False),
            ((), (), True),
            ((2, 3), (3, 2), False),
            ((1, 3), (3,), False),
            ((0,), (0,), True),
            ((0,), (3,), False),
            ((3,), (0,), False),
            ((0, 3), (3, 0), False),
            ((2, 0), (2, 0), True),
        ],
    )
    def test_are_exact_and_empty_never_passes_by_accident(self, got: Any, expected: Any, agrees: bool) -> None:
        assert flaw(np.ones(got), np.ones(expected)) is (None if agrees else Flaw.SHAPE)

    def test_python_numbers_are_arrays_without_axes(self) -> None:
        assert flaw(2.0, np.array(2.0)) is None
        assert flaw(2, 2.0) is None
        assert flaw(2.0, np.array([2.0])) is Flaw.SHAPE


class TestKinds:
    @pytest.mark.parametrize(
        ("got", "expected", "verdict"),
        [
            (np.int64(2), 2.0, None),
            (np.uint8(2), 2.0, None),
            (True, 1.0, Flaw.DTYPE),
            (True, 1, Flaw.DTYPE),
            (1, True, Flaw.DTYPE),
            (True, True, None),
            (True, False, Flaw.VALUE),
            (2.0, np.int64(2), Flaw.DTYPE),
            (np.int32(2), np.int64(2), None),
            (np.uint8(2), np.int64(2), None),
            (np.complex128(2), 2.0, Flaw.DTYPE),
            (2.0, np.complex128(2), Flaw.DTYPE),
            (np.complex64(2), np.complex128(2), None),
            (np.complex128(2 + 1j), np.complex128(2), Flaw.VALUE),
            (2**70, 2.0**70, None),
        ],
        ids=str,
    )
    def test_kind_of_got_against_kind_of_expected(self, got: Any, expected: Any, verdict: Flaw | None) -> None:
        assert flaw(got, expected) is verdict

    @pytest.mark.parametrize(("got", "agrees"), [(2, False), (np.float32(2), True), (2.0, True), (True, False)])
    def test_exact_kind(self, got: Any, agrees: bool) -> None:
        assert flaw(got, 2.0, exact_kind=True) is (None if agrees else Flaw.DTYPE)

    def test_an_integer_beyond_every_float_is_a_wrong_value(self) -> None:
        assert flaw(2**2000, 1.0) is not None

    def test_integers_are_compared_exactly(self) -> None:
        assert flaw(np.array([10**10 + 1]), np.array([10**10])) is Flaw.VALUE


class TestValues:
    @pytest.mark.parametrize(
        ("got", "expected", "verdict"),
        [
            (NAN, 1.0, Flaw.FINITE),
            (1.0, NAN, Flaw.FINITE),
            (NAN, NAN, None),
            (INF, INF, None),
            (-INF, INF, Flaw.VALUE),
            (INF, 1e308, Flaw.FINITE),
            (1e308, INF, Flaw.FINITE),
            (NAN, INF, Flaw.VALUE),
            (1e308, -1e308, Flaw.VALUE),  # the difference overflows
        ],
        ids=str,
    )
    def test_what_is_not_finite(self, got: float, expected: float, verdict: Flaw | None) -> None:
        assert flaw(np.array([0.0, got]), np.array([0.0, expected])) is verdict

    def test_a_wrong_nan_is_infinitely_wrong(self) -> None:
        found = compare(np.array([0.0, NAN]), np.array([5.0, 1.0]), Tolerance())
        assert found is not None
        assert found.worst is not None
        assert (found.worst.index, found.worst.difference) == ((1,), INF)

    @pytest.mark.parametrize(
        ("dtype", "fits", "breaks"),
        [("f8", 9e-7, 2e-6), ("f4", 9e-6, 3e-5), ("f2", 0.0, 1e-3), ("i8", 0, 1)],
    )
    def test_tolerance_by_the_dtype_of_what_was_got(self, dtype: str, fits: float, breaks: float) -> None:
        assert flaw(np.array([fits], dtype=dtype), np.array([0.0])) is None
        assert flaw(np.array([breaks], dtype=dtype), np.array([0.0])) is Flaw.VALUE

    def test_float16_is_held_to_single_precision(self) -> None:
        assert flaw(np.array([0.1], dtype="f2"), np.array([0.1])) is Flaw.VALUE
        assert flaw(np.array([0.1], dtype="f4"), np.array([0.1])) is None

    @pytest.mark.parametrize(("rtol", "agrees"), [(1e-3, True), (1e-5, False)])
    def test_relative_tolerance(self, rtol: float, agrees: bool) -> None:
        assert (compare(np.array(1000.1), np.array(1000.0), Tolerance(atol=0, rtol=rtol)) is None) is agrees

    @pytest.mark.parametrize("size", [1, 1000, 1_000_000])
    def test_tolerance_is_not_scaled_by_size(self, size: int) -> None:
        got = np.zeros(size)
        got[size // 2] = 1e-5
        found = compare(got, np.zeros(size), Tolerance())
        assert found is not None
        assert found.worst is not None
        assert found.worst.index == (size // 2,)

    @given(hnp.arrays(np.float64, hnp.array_shapes(max_side=4), elements=st.floats(allow_nan=False)), st.data())
    @settings(deadline=None)
    def test_equal_agrees_and_one_changed_element_does_not(
        self, array: np.ndarray[Any, Any], data: st.DataObject
    ) -> None:
        assert compare(array.copy(), array, Tolerance(atol=0.0, rtol=0.0)) is None
        at = data.draw(st.integers(0, array.size - 1))
        changed = array.copy()
        changed.flat[at] = 1.0 if array.flat[at] <= 0 else -1.0
        found = compare(changed, array, Tolerance(atol=0.0, rtol=0.0))
        assert found is not None
        assert found.worst is not None
        assert found.worst.index == tuple(int(i) for i in np.unravel_index(at, array.shape))


class TestOrBetween:
    @pytest.mark.parametrize(
        ("got", "agrees"),
        [(0.0, True), (1.0, True), (0.5, True), (-5e-7, True), (1 + 5e-7, True), (-1e-3, False), (1.1, False),
         (NAN, False), (INF, False)],
    )  # fmt: skip
    def test_the_hull_widened_by_the_tolerance(self, got: float, agrees: bool) -> None:
        assert (flaw(np.array([got]), np.array([0.0]), also=[np.array([1.0])]) is None) is agrees
        assert (flaw(np.array([got]), np.array([1.0]), also=[np.array([0.0])]) is None) is agrees

    def test_is_element_by_element(self) -> None:
        assert flaw(np.array([0.5, 0.5]), np.array([0.0, 0.0]), also=[np.array([1.0, 0.0])]) is Flaw.VALUE

    def test_the_difference_is_the_distance_to_the_hull(self) -> None:
        found = compare(np.array([3.0]), np.array([0.0]), Tolerance(), also=[np.array([1.0])])
        assert found is not None
        assert found.worst is not None
        assert found.worst.difference == 2.0


Function = Callable[[np.ndarray[Any, Any]], Any]


def each(function: Function) -> Callable[[Sequence[np.ndarray[Any, Any]]], list[Any]]:
    return lambda xs: [function(x) for x in xs]


KNOWN: list[tuple[str, Function, Function]] = [
    ("exp", np.exp, np.exp),
    ("square", lambda x: x**2, lambda x: 2 * x),
    ("sin", np.sin, np.cos),
    ("logistic", lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    ("linear", lambda x: 3 * x + 1, lambda x: 3 * np.ones_like(x)),
]


@pytest.mark.parametrize(("name", "function", "derivative"), KNOWN, ids=[k[0] for k in KNOWN])
class TestDerivatives:
    x = np.array([[0.3, -1.2, 2.0], [-0.7, 0.0, 1.1]])
    upstream = np.array([[1.0, -2.0, 0.5], [3.0, 1.0, -1.0]])

    def test_central_gradient(self, name: str, function: Function, derivative: Function) -> None:
        found = central_gradient(each(function), self.x, self.upstream)
        assert found.shape == self.x.shape
        np.testing.assert_allclose(found, self.upstream * derivative(self.x), rtol=0, atol=1e-8)

    def test_directional_derivatives(self, name: str, function: Function, derivative: Function) -> None:
        directions = [np.ones((2, 3)), np.eye(2, 3), -np.arange(6.0).reshape(2, 3)]
        found = directional_derivatives(each(function), self.x, self.upstream, directions)
        true = [float(np.sum(self.upstream * derivative(self.x) * v)) for v in directions]
        np.testing.assert_allclose(found, true, rtol=1e-7, atol=1e-7)

    def test_taylor_rate(self, name: str, function: Function, derivative: Function) -> None:
        gradient, direction = self.upstream * derivative(self.x), np.array([[1.0, 0.5, -1.0], [0.3, 1.0, 2.0]])
        true = taylor_rate(each(function), self.x, self.upstream, gradient, direction)
        wrong = taylor_rate(each(function), self.x, self.upstream, gradient + 5.0, direction)
        assert true == math.inf if name == "linear" else true == pytest.approx(2.0, abs=0.3)
        assert wrong == pytest.approx(1.0, abs=0.1)


def test_a_function_that_is_not_finite_has_no_rate() -> None:
    nothing = each(lambda x: x * NAN)
    assert math.isnan(taylor_rate(nothing, np.ones(2), np.ones(2), np.ones(2), np.ones(2)))


def test_a_scalar_function_of_a_matrix() -> None:
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(central_gradient(each(lambda x: np.sum(x**2)), x, np.array(1.0)), 2 * x, atol=1e-7)


def test_every_coordinate_is_differentiated_separately() -> None:
    seen: list[np.ndarray[Any, Any]] = []

    def function(xs: Sequence[np.ndarray[Any, Any]]) -> list[Any]:
        seen.extend(xs)
        return list(xs)

    central_gradient(function, np.zeros((2, 2)), np.ones((2, 2)))
    assert len(seen) == 8
    assert all(np.count_nonzero(x) == 1 for x in seen)


@pytest.mark.parametrize(("x", "factor"), [(0.0, 1.0), (0.5, 1.0), (-100.0, 100.0), (1e6, 1e6)])
def test_step(x: float, factor: float) -> None:
    assert step_of(np.array(x)) == pytest.approx(np.cbrt(np.finfo(float).eps) * factor)


@pytest.mark.parametrize(
    ("values", "near"), [([0.5, -0.5], False), ([0.5, 0.009], True), ([-0.009], True), ([], False)]
)
def test_near_kink(values: list[float], near: bool) -> None:
    assert near_kink(np.array(values)) is near
