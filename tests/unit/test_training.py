"""Trajectories over the real driver, without a sandbox: where two runs part, what never moved, what was too slow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from grader.checks import CheckFailed
from grader.running import slow
from grader.sandbox.child import CallError, Reason
from grader.sandbox.limits import CheckLimits
from grader.subjects import Subject
from grader.training import (
    all_moved,
    paced,
    parameters,
    same_losses,
    same_trajectory,
    set_parameters,
    train,
)

MakeSubject = Callable[..., tuple[Subject, Any]]
X = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 1.0]])
Y = np.array([[1.0], [0.0], [2.0]])
W = np.array([[0.5], [-1.0]])
B = np.array([0.25])


class Line:
    """y = x W + b, moved in place down the gradient of the mean squared error."""

    step = 0.1

    def __init__(self) -> None:
        self.W = np.random.normal(size=(2, 1))
        self.b = np.zeros(1)
        self.name = "a line"


def gradients(model: Line, x: Any, y: Any) -> tuple[float, Any, Any]:
    error = x @ model.W + model.b - y
    return float(np.mean(error**2)), 2 / len(x) * x.T @ error, 2 / len(x) * error.sum(0)


def right_step(model: Line, x: Any, y: Any) -> tuple[float, float]:
    loss, grad_W, grad_b = gradients(model, x, y)
    model.W -= model.step * grad_W
    model.b -= model.step * grad_b
    return loss, 0.5


def run(
    subject_of: MakeSubject, step: Callable[..., Any], steps: int = 4, watch: tuple[str, ...] = ("W", "b")
) -> tuple[Any, Any, Any]:
    """The trajectory of `step` and that of the right one, from the same weights; and the student's model."""
    runs = []
    models = []
    for function in (step, right_step):
        subject, _ = subject_of(Line=Line, step=function)
        model = subject.Line()
        set_parameters(model, W=W, b=B)
        runs.append(train(subject, partial(subject.step, model, X, Y), steps, model=model, watch=watch))
        models.append(model)
    return runs[0], runs[1], models[0]


def failure(subject_of: MakeSubject, step: Callable[..., Any]) -> str:
    mine, right, _ = run(subject_of, step)
    with pytest.raises(CheckFailed) as caught:
        same_trajectory(mine, right)
    assert caught.value.message.zh
    return caught.value.message.en


class TestSameTrajectory:
    def test_the_same_steps_pass(self, subject_of: MakeSubject) -> None:
        mine, right, _ = run(subject_of, right_step)
        same_trajectory(mine, right)
        assert mine.steps == 4
        assert len(mine.parameters["W"]) == 5

    def test_values_are_those_of_their_step_although_they_change_in_place(self, subject_of: MakeSubject) -> None:
        mine, _, _ = run(subject_of, right_step)
        W_after = [np.asarray(value) for value in mine.parameters["W"]]
        assert np.array_equal(W_after[0], W)
        assert len({value.tobytes() for value in W_after}) == 5

    def test_all_travels_in_one_frame(self, subject_of: MakeSubject) -> None:
        subject, channel = subject_of(Line=Line, step=right_step)
        model = subject.Line()
        set_parameters(model, W=W, b=B)
        mine = train(subject, lambda: subject.step(model, X, Y), 4, model=model, watch=("W", "b"))
        assert channel.frames == []
        mine.losses()
        assert len(channel.frames) == 1

    def test_uphill_is_said(self, subject_of: MakeSubject) -> None:
        def step(model: Line, x: Any, y: Any) -> None:
            _, grad_W, grad_b = gradients(model, x, y)
            model.W, model.b = model.W + 0.1 * grad_W, model.b + 0.1 * grad_b

        said = failure(subject_of, step)
        assert "your W leaves the reference's at step 1 of 4" in said
        assert "uphill" in said

    def test_another_length_is_said_with_its_factor(self, subject_of: MakeSubject) -> None:
        def step(model: Line, x: Any, y: Any) -> None:
            _, grad_W, grad_b = gradients(model, x, y)
            model.W, model.b = model.W - 0.3 * grad_W, model.b - 0.3 * grad_b

        assert "3 times as long as" in failure(subject_of, step)

    def test_a_parameter_that_stays_is_named(self, subject_of: MakeSubject) -> None:
        def step(model: Line, x: Any, y: Any) -> None:
            _, grad_W, _ = gradients(model, x, y)
            model.W = model.W - 0.1 * grad_W

        said = failure(subject_of, step)
        assert "your b leaves the reference's at step 1" in said
        assert "never changes b" in said

    def test_the_step_at_which_they_part_is_the_first(self, subject_of: MakeSubject) -> None:
        class Counting:
            count = 0

        def step(model: Line, x: Any, y: Any) -> None:
            Counting.count += 1
            right_step(model, x, y)
            if Counting.count == 3:
                model.W = model.W + 0.01

        said = failure(subject_of, step)
        assert "your W leaves the reference's at step 3 of 4" in said

    def test_a_parameter_that_becomes_nan_is_said(self, subject_of: MakeSubject) -> None:
        def step(model: Line, x: Any, y: Any) -> None:
            model.W = model.W * np.nan

        assert "W" in failure(subject_of, step)

    def test_what_the_step_raises_is_the_students(self, subject_of: MakeSubject) -> None:
        mine, right, _ = run(subject_of, lambda model, x: None)
        with pytest.raises(CallError, match="positional argument"):
            same_trajectory(mine, right)


class TestParameters:
    def test_all_that_can_learn_is_found_by_name(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line)
        model = subject.Line()
        set_parameters(model, W=W)
        found = parameters(model)
        assert set(found) == {"W", "b"}
        assert np.array_equal(found["W"], W)

    def test_another_shape_is_refused_in_words(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line)
        model = subject.Line()
        set_parameters(model, W=np.ones((3, 1)))
        with pytest.raises(CallError, match=r"shape \(2, 1\), where \(3, 1\) is needed") as caught:
            float(model.b)
        assert caught.value.refused

    def test_the_dtype_is_the_students(self, subject_of: MakeSubject) -> None:
        class Single(Line):
            def __init__(self) -> None:
                self.W = np.ones((2, 1), dtype=np.float32)

        subject, _ = subject_of(Line=Single)
        model = subject.Line()
        set_parameters(model, W=W)
        assert np.asarray(model.W).dtype == np.float32

    def test_what_holds_the_same_array_sees_the_new_weights(self, subject_of: MakeSubject) -> None:
        class Listed(Line):
            def __init__(self) -> None:
                super().__init__()
                self.all = [self.W, self.b]

        subject, _ = subject_of(Line=Listed, first=lambda model: model.all[0])
        model = subject.Line()
        set_parameters(model, W=W)
        assert np.array_equal(np.asarray(subject.first(model)), W)

    def test_a_missing_name_is_the_students_error(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line)
        model = subject.Line()
        set_parameters(model, W3=W)
        with pytest.raises(CallError, match="W3"):
            float(model.b)

    def test_those_that_stay_are_named(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line, step=lambda model: setattr(model, "W", model.W + 1))
        model = subject.Line()
        before = parameters(model)
        subject.step(model)
        with pytest.raises(CheckFailed, match="never changes b"):
            all_moved(before, parameters(model))

    def test_none_is_named_when_all_move(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line, step=right_step)
        model = subject.Line()
        before = parameters(model)
        subject.step(model, X, Y)
        all_moved(before, parameters(model))


class TestLosses:
    SERIES = (1.0, 0.5, 0.25)

    def trajectory(self, subject_of: MakeSubject, returned: list[Any]) -> Any:
        subject, _ = subject_of(Line=Line, step=lambda: returned.pop(0))
        return train(subject, subject.step, 3, model=subject.Line())

    @pytest.mark.parametrize(
        "returned", [[1.0, 0.5, 0.25], [(1.0, 0.1), (0.5, 0.2), (0.25, 0.3)], [0.5, 0.25, 0.125], [None] * 3]
    )
    def test_before_or_after_the_update_or_none(self, subject_of: MakeSubject, returned: list[Any]) -> None:
        same_losses(self.trajectory(subject_of, returned), self.SERIES, (0.5, 0.25, 0.125))

    def test_another_loss_fails_with_its_step(self, subject_of: MakeSubject) -> None:
        with pytest.raises(CheckFailed) as caught:
            same_losses(self.trajectory(subject_of, [1.0, 0.5, 0.3]), self.SERIES, (0.5, 0.25, 0.125))
        assert "loss of step 3" in caught.value.message.en


class TestSlow:
    LIMITS = CheckLimits(cpu_s=10.0)

    def test_a_run_that_was_stopped_is_told_how_far_it_came(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line, step=right_step)
        model = subject.Line()
        train(subject, lambda: subject.step(model, X, Y), 50, model=model)
        talk = subject._conversation
        talk.run.calls[31].error = RuntimeError("killed")  # type: ignore[union-attr]
        said = slow(talk, "step", Reason.CPU, self.LIMITS)
        assert said is not None
        assert "stopped after 10 s after 31 of 50 training steps: it makes 3.1 training steps a second" in said.en

    def test_a_run_that_trains_by_itself_is_told_the_rate_measured_before(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line, train=lambda epochs: epochs)
        paced(subject, subject.train(5), 5)
        said = slow(subject._conversation, "train", Reason.CPU, self.LIMITS)
        assert said is not None
        assert "epochs a second" in said.en

    def test_without_a_measurement_nothing_is_said(self, subject_of: MakeSubject) -> None:
        subject, _ = subject_of(Line=Line, step=right_step)
        assert slow(subject._conversation, "step", Reason.CPU, self.LIMITS) is None
        model = subject.Line()
        train(subject, lambda: subject.step(model, X, Y), 5, model=model)
        assert slow(subject._conversation, "step", Reason.CPU, self.LIMITS) is None
        assert slow(subject._conversation, "step", Reason.MEMORY, self.LIMITS) is None
