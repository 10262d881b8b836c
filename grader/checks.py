"""The author's API: what reference/<assignment>/checks.py imports.

    from grader.checks import check, close, small_first

    @check(part="softmax", points=6)
    def matches_tensorflow(student, reference, rng):
        \"\"\"softmax agrees with tf.nn.softmax on random logits

        zh: softmax 在随机 logits 上与 tf.nn.softmax 一致
        \"\"\"
        for shape in small_first((1, 2), (2, 3), (10, 5)):
            x = rng.normal(size=shape)
            close(student.softmax(x), reference.softmax(x))

A check runs in the trusted process; `student` and `reference` are remote (see subjects.py). It passes when it returns.
The docstring is the title: a plain sentence, and after `zh:` the Chinese one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grader import wording
from grader.numerics import (
    SMALL,
    Array,
    Difference,
    Differences,
    EachFunction,
    Tolerance,
    compare,
    near_kink,
    step_of,
    taylor_rate,
)
from grader.reports import Text, Worst
from grader.sandbox.child import CallError, ChildEnded
from grader.sandbox.limits import CheckLimits
from grader.sandbox.wire import Tensor
from grader.subjects import Answer, RemoteObject, Subject, settle, split, tensor

__all__ = [
    "CallError",
    "Check",
    "CheckFailed",
    "CheckLimits",
    "Gradient",
    "Rng",
    "Subject",
    "Tensor",
    "Text",
    "check",
    "close",
    "expect",
    "finite",
    "gradients",
    "near_kink",
    "settle",
    "small_first",
    "step_of",
    "takes",
    "tensor",
    "tiny",
    "unchanged",
    "unpack",
    "with_example",
]

CheckFunction = Callable[[Any, Any, "Rng"], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check of an assignment. id: the function's name. requires: ids of checks that must have passed.

    replay: whether a failure is replayed on the known mistakes, which a long training run is too dear for.
    """

    id: str
    part: str
    points: float
    title: Text
    function: CheckFunction
    requires: tuple[str, ...] = ()
    visible: bool = True
    replay: bool = True
    limits: CheckLimits = field(default_factory=CheckLimits)


def check(
    *,
    part: str,
    points: float,
    requires: Sequence[str] = (),
    visible: bool = True,
    replay: bool = True,
    limits: CheckLimits | None = None,
) -> Callable[[CheckFunction], Check]:
    """Makes a check of a function (student, reference, rng). Raises ValueError for a missing title or bad points."""
    if not points >= 0 or points == float("inf"):
        raise ValueError(f"points must be a number of at least 0, got {points}")

    def make(function: CheckFunction) -> Check:
        return Check(
            id=function.__name__,
            part=part,
            points=points,
            title=two_languages(function.__doc__ or "", f"the docstring of {function.__name__}"),
            function=function,
            requires=tuple(requires),
            visible=visible,
            replay=replay,
            limits=limits or CheckLimits(),
        )

    return make


def two_languages(text: str, where: str) -> Text:
    """English first, then a paragraph that starts with "zh:". Raises ValueError naming `where` when one is missing."""
    english, mark, chinese = text.partition("zh:")
    en, zh = " ".join(english.split()), "".join(line.strip() for line in chinese.splitlines())
    if not en or not mark or not zh:
        raise ValueError(f'{where} needs an English sentence, and a Chinese one after "zh:"')
    return Text(en=en, zh=zh)


# Inputs ---------------------------------------------------------------------------------------------------------


class Tiny(tuple[int, ...]):
    """A shape so small that its inputs should be whole numbers that a person can follow by hand."""


def small_first(*shapes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The shapes, smallest first; `rng` fills those of up to six elements with small whole numbers."""
    for shape in sorted(shapes, key=lambda s: (int(np.prod(s)), s)):
        yield tiny(shape)


def tiny(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, marked for small whole numbers when it has up to six elements."""
    return Tiny(shape) if int(np.prod(shape)) <= 6 else shape


class Rng(np.random.Generator):
    """NumPy's generator, seeded from a secret and the file's content; whole numbers for the shapes of `small_first`."""

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        if not isinstance(size, Tiny):
            return super().normal(loc, scale, size)
        # Distinct non-zero whole numbers: no two cells look alike, and none sits on the kink of a ReLU.
        # Two of them already have both signs.
        sign = 1.0 if self.random() < 0.5 else -1.0
        values = self.permutation(sign * np.array([1.0, -2.0, 3.0, -1.0, 2.0, -3.0])[: int(np.prod(size))])
        return np.asarray(loc + values).reshape(tuple(size))

    def one_hot(self, batch: int, classes: int) -> Array:
        """(batch, classes) float64 rows with a single 1; the first rows cover different classes."""
        hot = np.zeros((batch, classes))
        hot[np.arange(batch), (self.integers(classes) + np.arange(batch)) % classes] = 1.0
        return self.permutation(hot, axis=0)

    def binary(self, batch: int) -> Array:
        """(batch,) float64 of 0 and 1, both of them present when there is room."""
        values = (np.arange(batch) + self.integers(2)) % 2
        return self.permutation(values.astype(np.float64))

    def away_from_zero(self, size: tuple[int, ...], margin: float = 0.05) -> Array:
        """Standard normal numbers, redrawn where they are closer to 0 than margin: no difference crosses a kink."""
        x = np.asarray(self.normal(size=size))
        while np.any(near := np.abs(x) < margin):
            x = np.where(near, super().normal(size=size), x)
        return x


# Verdicts -------------------------------------------------------------------------------------------------------


@dataclass
class CheckFailed(Exception):
    """The student's answer is wrong. Data, not an error: it becomes the failed check of the report."""

    message: Text
    got: Any = None
    expected: Any = None
    worst: Worst | None = None
    value: Any = None  # the student's value as it was returned; finds the call that made it
    detail: Text | None = None  # one more sentence, for failures whose cause is not known

    def __str__(self) -> str:
        return self.message.en


def close(
    got: Any,
    expected: Any,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    or_between: Sequence[Any] = (),
    what: str = "",
) -> None:
    """Fails unless got agrees with expected: defined, array, shape, dtype kind, finite mask, value.

    or_between: further expected values; everything between the smallest and the largest agrees too, element by
    element. what: name of the value for the message ("grad_W"). Default tolerances depend on the dtype of got.
    """
    also = [np.asarray(_plain(other)) for other in or_between]
    difference = compare(_plain(got), _plain(expected), Tolerance(atol=atol, rtol=rtol), also=also)
    if difference is not None:
        raise failed(difference, got, what)


def failed(difference: Difference, got: Any, what: str) -> CheckFailed:
    return CheckFailed(
        message=wording.difference(difference, what),
        got=difference.got,
        expected=difference.expected,
        worst=difference.worst,
        value=got,
    )


def _plain(value: Any) -> Any:
    value = settle(value)
    return value.array if isinstance(value, Tensor) else value


def expect(condition: bool, en: str, zh: str, *, got: Any = None, expected: Any = None) -> None:
    """Fails with a sentence of the author's own."""
    if not condition:
        raise CheckFailed(message=Text(en=en, zh=zh), got=_plain(got), expected=_plain(expected), value=got)


def takes(student: Subject, call: Callable[[], Any]) -> bool:
    """Whether the student's code takes a call. One that raises is forgotten, so that the check can go on without it."""
    student._conversation.finish()  # what came before must not be taken for this call
    try:
        settle(call())
    except CallError:
        student._conversation.forget()
        return False
    return True


def with_example(verdict: Callable[[], None], example: Callable[[], None]) -> None:
    """Fails when `verdict` does, and then shows the failure of `example` if that fails too.

    The verdict is about inputs of the sheet's own size, because some code is written for these only; the example is
    one that a person can follow by hand.
    """
    try:
        verdict()
    except CheckFailed as failure:
        try:
            example()
        except (CallError, ChildEnded):
            raise failure from None
        raise


def finite(got: Any, what: str = "") -> None:
    """Fails when a value has a NaN or an infinity in it."""
    plain = _plain(got)
    if not isinstance(plain, (np.ndarray, float, int)):
        close(got, 0.0, what=what)
    array = np.asarray(plain)
    if not bool(np.all(np.isfinite(array))):
        raise CheckFailed(message=wording.not_finite(array, what), got=plain, value=got)


def unpack(value: Any, *names: str) -> tuple[Any, ...]:
    """The parts of a tuple or list that a function was asked to return. Fails unless there are exactly as many."""
    if isinstance(value, Answer):
        return split(value, names)
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        raise CheckFailed(message=wording.wrong_count(value, names), got=_plain(value), value=value)
    return tuple(value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gradient:
    """One gradient to be proved: got is that of sum(upstream * function(at)) with respect to `at`.

    function evaluates a forward on a list of inputs of at's shape. got: at's shape.
    """

    got: Any
    function: EachFunction
    at: Array
    what: str = "the gradient"


def gradients(*claims: Gradient, upstream: Array, rng: Rng, atol: float = 1e-5) -> None:
    """Fails unless every claim is true, by central differences of its function.

    Small inputs are differentiated in every coordinate, larger ones along 8 random directions. Differences of a
    function that computes in single precision are noisy: there a Taylor remainder that falls at rate 2 proves a
    gradient with which they disagree (a wrong one gives rate 1). In double precision the differences decide. All
    functions are asked before the first value is looked at, so that the calls travel together.
    """
    asked = [_ask(claim, rng) for claim in claims]
    for claim, difference in zip(claims, asked, strict=True):
        _prove(claim, difference, upstream, rng, atol)


def _ask(claim: Gradient, rng: Rng) -> Differences:
    if claim.at.size <= SMALL:
        return Differences.everywhere(claim.function, claim.at)
    return Differences.along(claim.function, claim.at, [rng.normal(size=claim.at.shape) for _ in range(8)])


def _prove(claim: Gradient, differences: Differences, upstream: Array, rng: Rng, atol: float) -> None:
    plain = _plain(claim.got)
    form = compare(plain, np.zeros_like(claim.at), Tolerance(atol=float("inf")))
    if form is not None and form.worst is None:
        raise failed(form, claim.got, claim.what)
    array = np.asarray(plain, dtype=np.float64)
    slopes = differences.slopes(upstream)
    if differences.complete:
        found = compare(plain, slopes.reshape(claim.at.shape), Tolerance(atol=atol, rtol=1e-6))
    else:
        along = np.array([float(np.sum(array * v)) for v in differences.directions])
        found = compare(along, slopes, Tolerance(atol=atol * claim.at.size**0.5, rtol=1e-6))
    if found is None:
        return
    direction = np.asarray(rng.normal(size=claim.at.shape))
    finite_numbers = bool(np.all(np.isfinite(array)))
    rate = taylor_rate(claim.function, claim.at, upstream, array, direction) if finite_numbers else 0.0
    if rate > 1.7 and differences.noisy:
        return
    error = failed(found, claim.got, claim.what)
    error.detail = wording.taylor(rate)
    raise error


def unchanged(**inputs: tuple[RemoteObject, Array]) -> None:
    """Fails when a held input is no longer what was sent: unchanged(x=(held_x, x), W=(held_W, W))."""
    values = {what: held.value() for what, (held, _) in inputs.items()}
    for what, (_, original) in inputs.items():
        now = _plain(values[what])
        if compare(now, original, Tolerance(atol=0.0, rtol=0.0)) is not None:
            raise CheckFailed(message=wording.modified(what), got=now, expected=original, value=values[what])
