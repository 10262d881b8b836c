"""Grading a training run by its trajectory: same weights, same data, and then step by step beside the reference.

    model, own = student.myModel(), reference.myModel()
    set_parameters(model, W1=W1, W2=W2)
    set_parameters(own, W1=W1, W2=W2)
    mine = train(student, lambda: student.train_one_step(model, x, y), 5, model=model, watch=("W1", "W2"))
    right = train(reference, lambda: reference.train_one_step(own, x, y), 5, model=own, watch=("W1", "W2"))
    same_trajectory(mine, right)

Nothing is fetched until it is compared, so a run of fifty steps is one frame each way. A run that its time ends is told
how many steps it made and how fast.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grader.checks import CheckFailed, close, failed
from grader.numerics import Array, Tolerance, compare
from grader.reports import Text
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import Answer, RemoteObject, Run, Subject, settle

__all__ = [
    "STEPS",
    "Trajectory",
    "all_moved",
    "optimizer",
    "paced",
    "parameters",
    "same_losses",
    "same_trajectory",
    "set_parameters",
    "train",
]

STEPS = Text(en="training steps", zh="步训练")
EPOCHS = Text(en="epochs", zh="轮训练")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """A training run. returned: what each of k steps gave. parameters: {name: k + 1 values, one before any step}."""

    returned: tuple[Any, ...]
    parameters: Mapping[str, tuple[Any, ...]]

    @property
    def steps(self) -> int:
        return len(self.returned)

    def losses(self) -> list[Any]:
        """Of each step the number that it returned: the first part of a tuple, else the value; may be None."""
        return [_loss(value) for value in self.returned]


def _loss(value: Any) -> Any:
    value = settle(value)
    if isinstance(value, (tuple, list)) and value:
        value = value[0]
    return value.array if isinstance(value, Tensor) else value


def set_parameters(model: RemoteObject, **values: Array) -> None:
    """Gives a model its weights, in place where they are variables: set_parameters(model, W1=w). Keeps their dtype.

    A dotted name goes through **{"layer1.weight": w}. Another shape than the model's is the student's failure.
    """
    for name, value in values.items():
        _ask(model, "assign", name, [np.asarray(value).copy()], {})


def parameters(model: RemoteObject) -> Any:
    """{dotted name: array} of everything in a model that can learn, as it is now (at most 60)."""
    return _ask(model, "parameters", "", [], {})


def optimizer(model: RemoteObject, name: str, **settings: float) -> RemoteObject:
    """An optimiser of the runtime on the parameters of a model: optimizer(model, "SGD", learning_rate=0.1)."""
    step = _ask(model, "optimizer", name, [], settings)._step
    return RemoteObject(model._subject, step, name)


def _ask(model: RemoteObject, operation: str, name: str, args: list[Any], settings: dict[str, Any]) -> Answer:
    talk = model._subject._conversation
    label = f"{model._label}.{name}" if operation == "assign" else model._label
    step = talk.add(operation, Handle(model._step.slot), name, args, settings, label, tuple(args))
    return Answer(model._subject, step, label)


def train(
    subject: Subject,
    step: Callable[[], Any],
    count: int,
    *,
    model: RemoteObject,
    watch: Sequence[str] = (),
    unit: Text = STEPS,
    every: int = 1,
) -> Trajectory:
    """Calls step() count times; reads the watched parameters (dotted names) before, and after each `every` steps.

    step makes one call and returns its answer. Raises nothing itself: the calls are only queued.
    """
    talk = subject._conversation
    talk.run = run = Run(planned=count, unit=unit)
    read: dict[str, list[Any]] = {name: [_read(model, name)] for name in watch}
    returned = []
    for number in range(1, count + 1):
        answer = step()
        if isinstance(answer, Answer):
            run.calls.append(answer._step)
        returned.append(answer)
        if number % every == 0 or number == count:
            for name in watch:
                read[name].append(_read(model, name))
    return Trajectory(returned=tuple(returned), parameters={name: tuple(values) for name, values in read.items()})


def _read(model: RemoteObject, name: str) -> Any:
    return getattr(model, name)  # a dotted name is one that `parameters` gave


def paced(subject: Subject, answer: Any, count: int, unit: Text = EPOCHS) -> Any:
    """The answer of a call that trains count units by itself, timed: what comes after may be told its rate."""
    talk = subject._conversation
    started = time.perf_counter()
    settle(answer)
    talk.run = Run(planned=count, unit=unit, rate=count / max(time.perf_counter() - started, 1e-6))
    return answer


# Verdicts -------------------------------------------------------------------------------------------------------


def same_trajectory(
    mine: Trajectory, right: Trajectory, *, atol: float | None = None, rtol: float | None = None
) -> None:
    """Fails at the first step after which a watched parameter is not the reference's, and says which and how.

    The first step tells most: whether the parameter moved at all, the other way, or by another length.
    """
    tolerance = Tolerance(atol=atol, rtol=rtol)
    for at in range(min(len(values) for values in right.parameters.values())):
        for name, values in right.parameters.items():
            got, expected = _plain(mine.parameters[name][at]), _plain(values[at])
            difference = compare(got, expected, tolerance)
            if difference is None:
                continue
            failure = failed(difference, mine.parameters[name][at], name)
            if at and difference.worst is not None:
                before = [_plain(run.parameters[name][at - 1]) for run in (mine, right)]
                failure.message = _parted(name, at, mine.steps) + (
                    _moved(name, got - before[0], expected - before[1]) or failure.message
                )
            raise failure


def _parted(name: str, at: int, steps: int) -> Text:
    return Text(
        en=f"From the same weights and data, your {name} leaves the reference's at step {at} of {steps}.",
        zh=f"从相同的权重和数据出发，你的 {name} 在第 {at} 步（共 {steps} 步）偏离了参考结果。",
    )


def _moved(name: str, got: Array, expected: Array) -> Text | None:
    """How a parameter moved in one step, where that is simply related to how it should have."""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    if not np.all(np.isfinite(got)) or not np.any(expected):
        return None
    if not np.any(got):
        return _still((name,))
    factor = float(np.sum(got * expected) / np.sum(expected * expected))
    if abs(factor) < 1e-12 or not np.allclose(got, factor * expected, rtol=1e-3, atol=1e-3 * np.abs(got).max()):
        return None
    if abs(factor - 1) < 1e-2:
        return None  # nearly as it should: the difference is not one of length
    if abs(factor + 1) < 1e-2:
        return Text(
            en="It moves exactly the other way: uphill, so the loss grows. Subtract the gradient.",
            zh="它的移动方向正好相反：沿梯度上升，损失会越来越大。应当减去梯度。",
        )
    way = Text(en=" and the other way", zh="，而且方向相反") if factor < 0 else Text(en="", zh="")
    size = abs(factor)
    times = f"{size:.4g} times as long as" if size > 1 else f"1/{1 / size:.4g} as long as"
    zh_times = f"{size:.4g} 倍" if size > 1 else f"1/{1 / size:.4g}"
    return Text(
        en=f"Its direction is right, but the step is {times} the reference's{way.en}: another step size, or a sum "
        "where a mean belongs.",
        zh=f"方向是对的，但步子是参考的 {zh_times}{way.zh}：学习率不同，或者求和与求平均弄混了。",
    )


def _still(names: Sequence[str]) -> Text:
    listed = ", ".join(names)
    return Text(
        en=f"Your training step never changes {listed}: every parameter that the model uses must be updated.",
        zh=f"你的训练步骤从来没有更新 {'、'.join(names)}：模型用到的每个参数都要更新。",
    )


def all_moved(before: Any, after: Any) -> None:
    """Fails naming the parameters that are the same in both: `parameters(model)` before and after some steps."""
    first, last = settle(before), settle(after)
    if not isinstance(first, dict) or not isinstance(last, dict):
        return
    still = [
        str(name)
        for name, value in first.items()
        if name in last and np.array_equal(np.asarray(_plain(value)), np.asarray(_plain(last[name])))
    ]
    if still:
        raise CheckFailed(message=_still(still), value=after)


def same_losses(mine: Trajectory, *series: Sequence[float], rtol: float = 1e-4, what: str = "loss") -> None:
    """Fails unless the losses that the steps returned are those of one of the series (before or after the update)."""
    losses = mine.losses()
    if all(loss is None for loss in losses):
        return  # a step need not return its loss
    failures = []
    for right in series:
        try:
            for at, (loss, expected) in enumerate(zip(losses, right, strict=True)):
                where = f"{what} of step {at + 1}"
                close(loss, np.float64(expected), atol=rtol * max(1.0, abs(expected)), what=where)
        except CheckFailed as failure:
            failure.value = mine.returned[at]
            failures.append((at, failure))
        else:
            return
    raise max(failures, key=lambda pair: pair[0])[1]


def _plain(value: Any) -> Any:
    value = settle(value)
    return value.array if isinstance(value, Tensor) else value
