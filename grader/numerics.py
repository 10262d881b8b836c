"""Comparing numbers and differentiating them: strict, cheap, by name.

Everything here works on plain NumPy arrays in the trusted process. A comparison says what is wrong first, in the order
defined, array, shape, dtype kind, finite mask, value. `error <= tolerance` is the form of every test, so NaN fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from grader.reports import Worst

Array = np.ndarray[Any, Any]
EachFunction = Callable[[Sequence[Array]], Sequence[Array]]

# Absolute and relative tolerance by the dtype of what was got; never scaled by the number of elements.
# float16 is held to float32's tolerance on purpose: rounding to it must not pass as agreement.
ATOL = {"f8": 1e-6, "f4": 1e-5, "f2": 1e-5, "c16": 1e-6, "c8": 1e-5}
RTOL = {"f8": 1e-9, "f4": 1e-5, "f2": 1e-5, "c16": 1e-9, "c8": 1e-5}
SMALL = 64  # arrays up to this many elements are differentiated in every coordinate


class Flaw(StrEnum):
    """What the first failing test of a comparison was."""

    NOTHING = "nothing"  # None where a value was asked for
    NOT_ARRAY = "not_array"
    SHAPE = "shape"
    DTYPE = "dtype"
    FINITE = "finite"
    VALUE = "value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A failed comparison. worst: None unless shapes agree. tolerance: what was allowed at the worst place."""

    flaw: Flaw
    got: Any
    expected: Any
    worst: Worst | None = None
    tolerance: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """Absolute and relative tolerance; None takes the default for the dtype of what was got."""

    atol: float | None = None
    rtol: float | None = None

    def of(self, got: Array, expected: Array) -> Array:
        """Allowed absolute error for every element, float64, of the shape of `expected`."""
        code = got.dtype.kind + str(got.dtype.itemsize)
        atol = ATOL.get(code, ATOL["f8"]) if self.atol is None else self.atol
        rtol = RTOL.get(code, RTOL["f8"]) if self.rtol is None else self.rtol
        with np.errstate(all="ignore"):
            return np.asarray(atol + rtol * np.abs(expected))


def compare(
    got: Any, expected: Any, tolerance: Tolerance, *, also: Sequence[Array] = (), exact_kind: bool = False
) -> Difference | None:
    """None when got agrees with expected, else the first thing that is wrong.

    got: any value of the protocol. expected: array or number. also: further arrays of expected's shape; what lies
    between the smallest and the largest of all of them, element by element and widened by the tolerance, agrees.
    Integers are accepted where floats are expected (their values are compared), truth values and complex numbers
    are not; exact_kind asks for the same kind.
    """
    want = np.asarray(expected)
    if got is None:
        return Difference(flaw=Flaw.NOTHING, got=None, expected=want)
    if not isinstance(got, (np.ndarray, np.generic, bool, int, float)):
        return Difference(flaw=Flaw.NOT_ARRAY, got=got, expected=want)
    have = np.asarray(got) if not isinstance(got, int) or abs(got) < 2**63 else np.asarray(as_float(got))
    if have.shape != want.shape:
        return Difference(flaw=Flaw.SHAPE, got=have, expected=want)
    if not _kinds_agree(have.dtype.kind, want.dtype.kind, exact_kind):
        return Difference(flaw=Flaw.DTYPE, got=have, expected=want)
    if have.size == 0:
        return None  # the shapes agree, so nothing was asked for and nothing was got
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    a, b = have.astype(wide), want.astype(wide)
    low = high = b
    for other in also:
        low, high = np.minimum(low, other), np.maximum(high, other)
    return _compare_values(have, want, a, low, high, tolerance)


def as_float(number: int) -> float:
    """A whole number beyond NumPy's, as a float; beyond every float it is infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _compare_values(
    have: Array, want: Array, a: Array, low: Array, high: Array, tolerance: Tolerance
) -> Difference | None:
    finite = np.isfinite(low) & np.isfinite(high)
    with np.errstate(all="ignore"):
        # NaN agrees with NaN and an infinity with the same one; anything else that is not finite is infinitely wrong.
        same = (a == low) | (np.isnan(a) & np.isnan(low))
        outside = np.maximum(low - a, a - high) if low is not high else np.abs(a - low)
        error = np.where(finite & np.isfinite(a), np.maximum(outside.real, 0.0), np.where(same, 0.0, np.inf))
        allowed = tolerance.of(have, np.where(finite, np.maximum(np.abs(low), np.abs(high)), 0.0))
        if want.dtype.kind in "biu" and tolerance.atol is None:
            allowed = np.zeros_like(allowed)  # whole numbers and truth values are compared exactly
    if bool(np.all(error <= allowed)):
        return None
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(error - allowed)), error.shape))
    flaw = Flaw.FINITE if not bool(np.all(np.isfinite(a) == finite)) else Flaw.VALUE
    return Difference(
        flaw=flaw,
        got=have,
        expected=want,
        worst=Worst(index=index, difference=float(error[index])),
        tolerance=float(np.broadcast_to(allowed, error.shape)[index]),
    )


def _kinds_agree(have: str, want: str, exact: bool) -> bool:
    if exact or want not in "f":
        return have == want or (not exact and want in "iu" and have in "iu")
    return have in "iuf"


# Gradients ------------------------------------------------------------------------------------------------------


def step_of(x: Array) -> Array:
    """Step of a central difference, cbrt(eps) * max(1, |x|): balances truncation h^2 against rounding eps / h.

    Source: Press et al., Numerical Recipes, section 5.7.
    """
    return np.asarray(np.cbrt(np.finfo(np.float64).eps) * np.maximum(1.0, np.abs(x)))


def _weighted(outputs: Sequence[Array], upstream: Array) -> Array:
    return np.array([float(np.sum(np.asarray(out, dtype=np.float64) * upstream)) for out in outputs])


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """Central differences that have been asked for: values at +h and -h along each direction, in turn.

    complete: the directions are all coordinates of the input, in order.
    """

    values: Sequence[Array]
    steps: Array
    directions: Sequence[Array] = ()
    complete: bool = False

    @classmethod
    def everywhere(cls, each: EachFunction, x: Array) -> Differences:
        """In every coordinate of x. each: evaluates f on a list of inputs of x's shape in one go."""
        steps = step_of(x).ravel()
        points = np.repeat(x.astype(np.float64)[np.newaxis], 2 * x.size, axis=0).reshape(2 * x.size, -1)
        columns = np.arange(x.size)
        points[2 * columns, columns] += steps
        points[2 * columns + 1, columns] -= steps
        return cls(values=each(list(points.reshape(-1, *x.shape))), steps=steps, complete=True)

    @classmethod
    def along(cls, each: EachFunction, x: Array, directions: Sequence[Array]) -> Differences:
        """Along each of the directions, arrays of x's shape."""
        h = float(np.max(step_of(x)))
        points = [x + sign * h * v for v in directions for sign in (1.0, -1.0)]
        return cls(values=each(points), steps=np.full(len(directions), h), directions=directions)

    @property
    def noisy(self) -> bool:
        """Whether the function computes in less than double precision, so that small steps drown in rounding."""
        return any(np.asarray(value).dtype.itemsize < 8 for value in self.values)

    def slopes(self, upstream: Array) -> Array:
        """Derivatives of sum(upstream * f): one a direction, float64."""
        values = _weighted(self.values, upstream)
        return np.asarray((values[0::2] - values[1::2]) / (2.0 * self.steps))


def central_gradient(each: EachFunction, x: Array, upstream: Array) -> Array:
    """Gradient of sum(upstream * f(x)) in every coordinate of x, by central differences. Returns x's shape."""
    return Differences.everywhere(each, x).slopes(upstream).reshape(x.shape)


def directional_derivatives(each: EachFunction, x: Array, upstream: Array, directions: Sequence[Array]) -> Array:
    """Derivative of sum(upstream * f) at x along each direction, by central differences. Returns (len(directions),)."""
    return Differences.along(each, x, directions).slopes(upstream)


def taylor_rate(each: EachFunction, x: Array, upstream: Array, gradient: Array, direction: Array) -> float:
    """Rate at which |f(x + h v) - f(x) - h <g, v>| falls as h is halved: 2 for the true gradient, 1 for a wrong one.

    Infinite when the remainder is at rounding level already (f is linear along v and g is right).
    Source: the Taylor remainder test, e.g. Farrell, Ham, Funke and Rognes, SIAM J. Sci. Comput. 35 (2013).
    """
    steps = 1e-2 * 0.5 ** np.arange(4)
    values = _weighted(each([x, *(x + h * direction for h in steps)]), upstream)
    slope = float(np.sum(gradient * direction))
    remainders = np.abs(values[1:] - values[0] - steps * slope)
    floor = 1e-11 * max(1.0, float(np.max(np.abs(values))))
    if not np.all(np.isfinite(remainders)):
        return math.nan
    if bool(np.all(remainders <= floor)):
        return math.inf
    logs = np.log2(np.maximum(remainders, floor * 1e-3))
    return float(np.mean(logs[:-1] - logs[1:]))


def near_kink(pre_activation: Array, margin: float = 1e-2) -> bool:
    """Whether a ReLU input is so close to 0 that a finite difference would step over the kink."""
    return bool(np.any(np.abs(pre_activation) < margin))
