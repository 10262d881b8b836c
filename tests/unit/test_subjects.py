"""Remote subjects over the real driver, without a sandbox: what travels when, and what an answer can do."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grader.sandbox.child import CallError
from grader.sandbox.wire import Handle, Tensor
from grader.subjects import MOST_QUEUED, Answer, RemoteObject, Subject, settle, tensor

MakeSubject = Callable[..., tuple[Subject, Any]]


class Counter:
    """A program's class with state."""

    def __init__(self, start: int = 0) -> None:
        self.count = start

    def add(self, by: Any) -> Any:
        self.count = self.count + by
        return self.count

    def itself(self) -> Counter:
        return self


def boom(x: Any) -> Any:
    raise ValueError(f"no {x}")


def in_place(x: Any) -> None:
    x += 1


@pytest.fixture
def program(subject_of: MakeSubject) -> tuple[Subject, Any]:
    return subject_of(
        double=lambda x: 2 * x,
        plus=lambda x, y=0: x + y,
        pair=lambda x: (x, 2 * x),
        make=lambda: Counter(5),
        boom=boom,
        in_place=in_place,
        Counter=Counter,
        table={"a": 1},
    )


class TestQueueing:
    def test_nothing_is_sent_until_a_value_is_looked_at(self, program: tuple[Subject, Any]) -> None:
        student, channel = program
        answers = [student.double(x) for x in range(5)]
        assert channel.frames == []
        assert [settle(a) for a in answers] == [0, 2, 4, 6, 8]
        assert len(channel.frames) == 1

    def test_the_oldest_is_sent_when_many_are_queued(self, program: tuple[Subject, Any]) -> None:
        student, channel = program
        for x in range(MOST_QUEUED - 1):
            student.double(x)
        assert channel.frames == []
        student.double(0)
        assert [len(frame) for frame in channel.frames] == [MOST_QUEUED]

    def test_a_peer_is_sent_its_queue_too(self, subject_of: MakeSubject) -> None:
        (one, first), (two, second) = subject_of(f=abs), subject_of(f=abs)
        one._conversation.peer, two._conversation.peer = two._conversation, one._conversation
        a, b = one.f(-1), two.f(-2)
        assert (settle(a), settle(b)) == (1, 2)
        assert len(first.frames) == len(second.frames) == 1

    def test_each_is_one_step(self, program: tuple[Subject, Any]) -> None:
        student, channel = program
        assert list(student.double.each([1, 2, 3])) == [2, 4, 6]
        assert list(student.plus.each([(1, 2), (3, 4)])) == [3, 7]
        assert [len(frame) for frame in channel.frames] == [1, 1]

    def test_each_of_nothing(self, program: tuple[Subject, Any]) -> None:
        assert len(program[0].double.each([])) == 0

    def test_an_argument_is_copied_when_the_call_is_written(self, program: tuple[Subject, Any]) -> None:
        x = np.ones(2)
        answer = program[0].double(x)
        x[:] = 100
        assert np.array_equal(answer, [2, 2])


class TestErrors:
    def test_a_later_error_does_not_hide_an_earlier_answer(self, program: tuple[Subject, Any]) -> None:
        student, _ = program
        good, bad, never = student.double(1), student.boom(2), student.double(3)
        assert settle(good) == 2
        with pytest.raises(CallError, match="no 2"):
            settle(bad)
        with pytest.raises(CallError, match="no 2"):
            settle(never)

    def test_a_failure_stays(self, program: tuple[Subject, Any]) -> None:
        student, channel = program
        with pytest.raises(CallError):
            settle(student.boom(0))
        with pytest.raises(CallError):
            student.double(1)
        assert len(channel.frames) == 1

    def test_steps_after_the_failure_are_not_recorded(self, program: tuple[Subject, Any]) -> None:
        student, _ = program
        answers = [student.double(1), student.boom(2), student.double(3)]
        with pytest.raises(CallError):
            settle(answers[2])
        assert [step.call for step in student._conversation.steps] == ["double", "boom"]
        assert all(step.done for step in student._conversation.steps)

    def test_an_error_in_each_says_which_call(self, program: tuple[Subject, Any]) -> None:
        with pytest.raises(CallError) as caught:
            list(program[0].plus.each([(1, 2), (1, "a"), (3, 4)]))
        assert caught.value.index == 1

    @pytest.mark.parametrize("name", ["_private", "__len__x"])
    def test_private_names_are_attribute_errors(self, program: tuple[Subject, Any], name: str) -> None:
        with pytest.raises(AttributeError):
            getattr(program[0], name)


class TestAnswers:
    @pytest.mark.parametrize(
        "operate",
        [
            operator.add,
            operator.sub,
            operator.mul,
            operator.truediv,
            operator.pow,
            np.maximum,
            operator.lt,
            operator.eq,
        ],
    )
    def test_arithmetic_is_that_of_the_value(self, program: tuple[Subject, Any], operate: Callable[..., Any]) -> None:
        x, y = np.array([1.0, 2.0]), np.array([3.0, 0.5])
        answer, other = program[0].double(x), program[0].double(y)
        for got, expected in (
            (operate(answer, y), operate(2 * x, y)),
            (operate(y, answer), operate(y, 2 * x)),
            (operate(answer, other), operate(2 * x, 2 * y)),
            (operate(answer, 2), operate(2 * x, 2)),
        ):
            assert type(got) is np.ndarray
            assert np.array_equal(got, expected)

    def test_matmul_negative_and_functions(self, program: tuple[Subject, Any]) -> None:
        answer = program[0].double(np.eye(2))
        assert np.array_equal(answer @ np.ones(2), [2, 2])
        assert np.array_equal(-answer, -2 * np.eye(2))
        assert np.sum(answer) == 4
        assert np.array_equal(np.asarray(answer, dtype="f4"), 2 * np.eye(2))

    def test_len_index_iteration_float_bool(self, program: tuple[Subject, Any]) -> None:
        student, _ = program
        assert len(student.pair(3)) == 2
        assert student.pair(3)[1] == 6
        assert list(student.pair(3)) == [3, 6]
        assert float(student.double(1.5)) == 3.0
        assert bool(student.double(0)) is False
        assert "double" in repr(student.double(0))

    def test_attributes_are_those_of_the_value(self, program: tuple[Subject, Any]) -> None:
        assert program[0].double(np.ones((2, 3))).shape == (2, 3)

    def test_a_tensor_answer_has_the_attributes_of_its_array(self, subject_of: MakeSubject) -> None:
        student, channel = subject_of(f=abs)
        channel.receive = lambda: ([Tensor("tensorflow", np.ones((2, 3)))], frozenset())
        answer = student.f(1)
        assert np.sum(answer + 1) == 12
        assert answer.shape == (2, 3)

    def test_changing_a_copy_does_not_change_what_was_recorded(self, program: tuple[Subject, Any]) -> None:
        answer = program[0].double(np.ones(2))
        np.array(answer)[:] = 100
        assert np.array_equal(answer, [2, 2])


class TestObjects:
    def test_construction_methods_and_attributes(self, program: tuple[Subject, Any]) -> None:
        student, channel = program
        counter = student.Counter(10)
        assert isinstance(counter, RemoteObject)
        counter.add(1)
        counter.count = 20
        last = counter.add(5)
        assert settle(last) == 25
        assert settle(counter.count) == 25
        assert len(channel.frames) == 2

    def test_two_objects_are_apart(self, program: tuple[Subject, Any]) -> None:
        first, second = program[0].Counter(1), program[0].Counter(100)
        first.add(1)
        assert (settle(second.count), settle(first.count)) == (100, 2)

    def test_an_answer_that_is_an_object(self, program: tuple[Subject, Any]) -> None:
        made = program[0].make()
        assert isinstance(made, Answer)
        assert isinstance(settle(made), Handle)
        assert settle(made.count) == 5

    def test_an_answer_as_an_argument_stays_there(self, program: tuple[Subject, Any]) -> None:
        student, channel = program
        assert settle(student.double(student.double(np.ones(3))))[0] == 4
        second = channel.frames[0][1]
        assert isinstance(second[4][0], Handle)
        assert len(channel.frames) == 1

    def test_objects_as_arguments_also_in_lists(self, program: tuple[Subject, Any]) -> None:
        student, _ = program
        held = student.hold(np.arange(3.0))
        assert np.array_equal(student.plus(held, y=student.double(held)), [0, 3, 6])

    def test_a_held_array_shows_what_was_done_to_it(self, program: tuple[Subject, Any]) -> None:
        student, _ = program
        held = student.hold(np.zeros(2))
        student.in_place(held)
        assert np.array_equal(held.value(), [1, 1])

    def test_get(self, program: tuple[Subject, Any]) -> None:
        assert settle(program[0].get("table")) == {"a": 1}


class Shape(tuple[int, ...]):
    """A tuple with a name, as small_first yields them."""


@pytest.mark.parametrize(
    "value", [Shape((2, 3)), np.float64(2.0), np.int32(3), [np.float64(1.0)], {"a": (1,)}], ids=repr
)
def test_arguments_of_derived_types_travel(program: tuple[Subject, Any], value: Any) -> None:
    program[0].pair(0)
    settle(program[0].Counter(value).count)


def test_tensor_wraps_once() -> None:
    made = tensor([1.0, 2.0])
    assert isinstance(made, Tensor)
    assert made.framework == "tensorflow"
    assert tensor(made) is made
    assert settle(5) == 5
