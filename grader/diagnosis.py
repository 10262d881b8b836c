"""Naming the mistake: the calls of a check are replayed on each known mistake, and outputs that match name it.

A mistake explains a failed check when every recorded step gives there what the student's code gave here, the failing
step included; where none does, when every value that the check looked at is the same. Among several the one that also
reproduces the most other checks of the part wins, then the first by name, so the answer does not depend on the order of
events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.assignments import Mistake
from grader.numerics import as_float
from grader.reports import Text
from grader.sandbox.child import CallError
from grader.sandbox.values import condensed
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import Step

MAX_STEPS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What one check did to the student's program.

    deviation: how far the failing value was from the right one. seed: of the student's random numbers.
    """

    check: str
    failed: bool
    steps: tuple[Step, ...]
    deviation: float = 0.0
    seed: int = 0


def replay_steps(record: Record) -> list[list[Any]]:
    """A record as the driver's script."""
    return [step.request for step in record.steps[:MAX_STEPS]]


def replayable(record: Record) -> bool:
    """Whether there is an outcome to compare: a check whose process was ended has none."""
    return bool(record.steps) and all(step.error is None or isinstance(step.error, CallError) for step in record.steps)


def explain(
    records: Sequence[Record],
    outcomes: Mapping[str, Mapping[str, Sequence[Any]]],
    mistakes: Sequence[Mistake],
    *,
    exactly: bool = True,
) -> dict[str, Mistake]:
    """{check id: mistake} for the failed checks that a mistake reproduces.

    outcomes: {mistake name: {check id: results of its steps}}, the solution's under "". exactly: every value must
    agree; else only those that the check looked at.
    """

    def reproduced(name: str) -> set[str]:
        return {r.check for r in records if reproduces(r, outcomes.get(name, {}).get(r.check, ()), exactly=exactly)}

    right = reproduced("")  # whatever made such a check fail, no mistake explains it
    matches = {mistake.name: reproduced(mistake.name) for mistake in mistakes}
    named: dict[str, Mistake] = {}
    for record in records:
        able = [m for m in mistakes if record.check in matches[m.name]]
        if not record.failed or record.check in right:
            continue
        if able:
            named[record.check] = min(able, key=lambda m: (-len(matches[m.name]), m.name))
    return named


def reproduces(record: Record, results: Sequence[Any], *, exactly: bool = True) -> bool:
    """Whether replayed results equal what the student's program gave, step by step.

    Not exactly: what the check never looked at may differ where it was returned by the way, such as a loss.
    """
    steps = record.steps[:MAX_STEPS]
    if len(results) != len(steps):
        return False
    scale = record.deviation if record.failed else 0.0
    for step, result in zip(steps, results, strict=True):
        kind, value = result
        if step.error is not None:
            if kind != "error" or not _same_error(step.error, value):
                return False
            continue
        may_differ = not (exactly or step.looked) and (_by_the_way(step.value) or _by_the_way(value))
        if kind != "ok" or not (may_differ or _same_result(step, value, scale)):
            return False
    return True


def _by_the_way(value: Any) -> bool:
    """Nothing, a number, or a few of them: what a training step or a forward returns beside what it does."""
    value = _bare(value)
    if isinstance(value, (list, tuple)):
        return all(_by_the_way(item) for item in value)
    return value is None or isinstance(value, (bool, int, float)) or (isinstance(value, np.ndarray) and value.ndim == 0)


def _same_result(step: Step, value: Any, scale: float) -> bool:
    """The parameters that a model starts with are drawn at random, so of these only the names can agree.

    value: as the replay gives it, large arrays condensed.
    """
    if step.operation == "parameters" and isinstance(step.value, dict) and isinstance(value, dict):
        return step.value.keys() == value.keys()
    return same_value(condensed(step.value), value, scale)


def _same_error(error: Exception, failure: Mapping[str, Any]) -> bool:
    return (
        isinstance(error, CallError)
        and not error.refused
        and error.type == failure["type"]
        and error.text.split("\n")[0] == str(failure["message"]).split("\n")[0][:2048]
    )


def same_value(a: Any, b: Any, deviation: float = 0.0) -> bool:
    """Equality up to rounding. deviation: the size of the fault to explain; one thousandth of it is rounding too,
    because students add an epsilon here and there.
    """
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return same_value(_bare(a), _bare(b), deviation)
    if isinstance(a, Handle) or isinstance(b, Handle):
        return isinstance(a, Handle) and isinstance(b, Handle)
    if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
        if not isinstance(a, (list, tuple)) or not isinstance(b, (list, tuple)):
            return False
        return len(a) == len(b) and all(map(same_value, a, b, [deviation] * len(a)))
    if isinstance(a, dict) or isinstance(b, dict):
        return (
            isinstance(a, dict)
            and isinstance(b, dict)
            and a.keys() == b.keys()
            and all(same_value(a[k], b[k], deviation) for k in a)
        )
    if a is None or b is None or isinstance(a, (str, bytes)) or isinstance(b, (str, bytes)):
        return type(a) is type(b) and bool(a == b)
    x, y = (np.asarray(as_float(v) if isinstance(v, int) else v) for v in (a, b))
    if x.shape != y.shape:
        return False
    x, y = x.astype(np.complex128), y.astype(np.complex128)
    finite = np.isfinite(x)
    if not np.array_equal(finite, np.isfinite(y)):
        return False
    slack = 1e-3 * deviation if math.isfinite(deviation) else 0.0
    with np.errstate(all="ignore"):
        near = np.abs(x - y) <= max(1e-6, slack) + 1e-5 * np.abs(y)
        equal = (x == y) | (np.isnan(x) & np.isnan(y))
    return bool(np.all(np.where(finite, near, equal)))


def _bare(value: Any) -> Any:
    return value.array if isinstance(value, Tensor) else value


# When no known mistake fits -------------------------------------------------------------------------------------


def relation(got: Any, expected: Any) -> Text | None:
    """How a wrong value is related to the right one, where that is simple: sign, factor, transposed, zero."""
    if not isinstance(got, np.ndarray) or not isinstance(expected, np.ndarray):
        return None
    a, b = np.asarray(got), np.asarray(expected)
    if (
        a.dtype.kind not in "iuf"
        or b.dtype.kind not in "iuf"
        or not a.size
        or not bool(np.all(np.isfinite(a)))
        or not bool(np.all(np.isfinite(b)))
    ):
        return None
    if a.shape == b.shape and a.ndim == 2 and a.shape[0] == a.shape[1] and _near(a, b.T):
        return Text(en="Your values are the transpose of the expected ones.", zh="你的结果恰好是正确结果的转置。")
    if a.shape != b.shape:
        return None
    if bool(np.any(b)) and not bool(np.any(a)):
        return Text(en="All your values are 0.", zh="你的结果全部是 0。")
    return _factor(a.astype(np.float64), b.astype(np.float64))


def _factor(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> Text | None:
    used = np.abs(b) > 1e-9
    if not bool(np.any(used)) or not _near(a[~used], b[~used]):
        return None
    ratios = a[used] / b[used]
    factor = float(np.median(ratios))
    if not bool(np.all(np.abs(ratios - factor) <= 1e-5 * max(1e-12, abs(factor)))):
        return None
    if abs(factor + 1.0) < 1e-5:
        return Text(en="Your values have the opposite sign.", zh="你的结果符号相反。")
    whole = factor if abs(factor) >= 1 else 1 / factor if factor else 0.0
    if not math.isfinite(whole):  # the reciprocal of a denormal number
        return None
    if abs(whole - round(whole)) < 1e-4 and 2 <= abs(round(whole)) <= 100_000:
        size = f"{round(whole)}"
        if abs(factor) > 1:
            return Text(
                en=f"Your values are {size} times the expected ones: a sum where a mean is asked for?",
                zh=f"你的结果是正确结果的 {size} 倍：是不是该求平均却求了和？",
            )
        return Text(
            en=f"Your values are the expected ones divided by {size}: once too often, by the batch or the classes?",
            zh=f"你的结果是正确结果除以 {size}：是不是多除了一次批大小或类别数？",
        )
    if b.size > 1 and abs(factor - 1.0) > 1e-3:
        return Text(
            en=f"Your values are {factor:.6g} times the expected ones, everywhere.",
            zh=f"你的结果处处是正确结果的 {factor:.6g} 倍。",
        )
    return None


def _near(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(a - b) <= 1e-6 + 1e-5 * np.abs(b)))
