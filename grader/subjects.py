"""Remote subjects: a student's or a reference's program that reads like a Python object.

    student.softmax(x)                 a call; its answer behaves like the value and is plain where it is used
    layer = student.Matmul()           a class makes a remote object
    layer.forward(x, W)                methods of it; an answer may be an argument of the next call
    model.W1 = w; model.W1             setting and getting attributes
    student.softmax.each([x1, x2])     many calls in one step
    student.hold(x)                    an array that stays over there, to look at again: held.value()

Theory of operation. A round trip costs more than a small computation, so steps are queued and travel together: when
the value of an answer is first looked at (by `close`, by NumPy, by arithmetic), everything queued is sent as one frame
and every value comes back at once. An answer that is passed to another call of the same subject stays over there, as it
would in a notebook.
Every step is recorded, so that a failed check can be replayed on the known mistakes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from grader.reports import Text
from grader.sandbox.wire import Handle, Tensor, Value

MOST_QUEUED = 64


class Channel(Protocol):
    """What a subject talks through: frames of steps out, one reply each back."""

    def send(self, steps: list[list[Any]]) -> None: ...

    def receive(self) -> tuple[list[Value], frozenset[str]]:
        """Values of the steps sent, and the watched names used. A CallError has the values of the steps before."""
        ...


@dataclass(slots=True, eq=False)
class Step:
    """One request and what came back. call: "softmax" or "Matmul.forward", for people. args: as the author gave."""

    request: list[Any]  # [operation, slot, on, name, args, kwargs]
    call: str
    args: tuple[Any, ...] = ()
    value: Value = None
    error: Exception | None = None
    done: bool = False
    looked: bool = False  # whether the check has looked at its value
    items: Sequence[Any] = ()  # results of an `each`, one by one
    whole: Step | None = None  # for a part of a tuple: the call that gave the tuple

    @property
    def operation(self) -> str:
        return str(self.request[0])

    @property
    def slot(self) -> int:
        return int(self.request[1])


@dataclass(slots=True, eq=False)
class Run:
    """How far a training run has come: its calls, in order, how many there will be, and what one is called."""

    planned: int
    unit: Text
    calls: list[Step] = field(default_factory=list)
    rate: float = 0.0  # units a second, where that was measured before

    def done(self) -> int:
        """Calls that ended. One that killed its process, or was never made, did not."""
        failed = next((at for at, step in enumerate(self.calls) if step.error is not None), len(self.calls))
        return failed


@dataclass(slots=True, eq=False)
class Conversation:
    """The steps of one check with one subject, in order; how many were sent and answered."""

    channel: Channel
    steps: list[Step] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    sent: int = 0
    answered: int = 0
    failure: Exception | None = None
    most_queued: int = MOST_QUEUED
    peer: Conversation | None = None  # the other subject of the check: both should compute at the same time
    figures: list[Any] = field(default_factory=list)  # charts that the check attached
    run: Run | None = None  # a training run, while it goes on
    slots: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add(self, operation: str, on: Handle | None, name: str, args: Any, kwargs: Any, call: str, shown: Any) -> Step:
        if self.failure is not None:
            raise self.failure
        step = Step([operation, next(self.slots), on, name, args, kwargs], call=call, args=shown)
        self.steps.append(step)
        if len(self.steps) - self.sent >= self.most_queued:
            self.finish()
        return step

    def start(self) -> None:
        """Sends what is queued here and at the peer's, unless an answer is still to come."""
        self._send()
        if self.peer is not None and self.peer.failure is None:
            self.peer._send()

    def _send(self) -> None:
        if self.sent == self.answered and self.sent < len(self.steps):
            queued = self.steps[self.sent :]
            self.sent = len(self.steps)
            self.channel.send([step.request for step in queued])

    def finish(self) -> None:
        """Until every queued step is answered. Raises CallError or ChildEnded, now and for every later step."""
        if self.failure is not None:
            raise self.failure
        while self.answered < len(self.steps):
            self.start()
            waiting = self.steps[self.answered : self.sent]
            try:
                values, used = self.channel.receive()
            except Exception as error:
                known: list[Value] | None = getattr(error, "values", None)
                if known is None:  # the process is gone: at the step that it announced, or else at the first call
                    first = next((i for i, step in enumerate(waiting) if step.call), len(waiting) - 1)
                    said: int | None = getattr(error, "step", None)
                    at = said if said is not None and first <= said < len(waiting) else first
                else:
                    at = min(len(known), len(waiting) - 1)
                    self._fill(waiting[:at], known)
                waiting[at].error, waiting[at].done = error, True
                self.failure = error
                self.used |= getattr(error, "used", frozenset())
                del self.steps[self.answered + at + 1 :]
                self.answered = self.sent = len(self.steps)
                raise
            self._fill(waiting, values)
            self.used |= used
            self.answered = self.sent

    def release(self) -> None:
        """Lets go of every value: answers, steps and the peer know each other, so nothing would go by itself."""
        for step in self.steps:
            step.value, step.args, step.request, step.items = None, (), [], ()
            if step.error is not None:
                step.error.__traceback__ = None
        self.steps, self.peer, self.run, self.figures = [], None, None, []

    def forget(self) -> None:
        """Takes back the call that raised, so that the check can go on without it."""
        if self.failure is not None and self.steps:
            self.failure = None
            self.steps.pop()
            self.answered = self.sent = len(self.steps)

    def _fill(self, waiting: list[Step], values: list[Value]) -> None:
        for step, value in zip(waiting, values, strict=False):
            step.value, step.done = value, True


def settle(value: Any) -> Value:
    """An answer's plain value; anything else as it is. Raises what the call raised, or what kept it from being made."""
    if not isinstance(value, Answer):
        return value
    step = value._step
    step.looked = True
    if not step.done:
        try:
            value._conversation.finish()
        except Exception:
            if not step.done:  # a later step raised: its own answer will say so
                raise
    if step.error is not None:
        raise step.error
    return step.value


class Subject:
    """A loaded program.

    classes: names that make objects. methods: dotted names ("Matmul.forward") that are methods for certain.
    """

    def __init__(self, channel: Channel, *, classes: frozenset[str], methods: frozenset[str]) -> None:
        self._conversation = Conversation(channel)
        self._classes, self._methods = classes, methods

    def __getattr__(self, name: str) -> RemoteFunction:
        if name.startswith("_"):
            raise AttributeError(name)
        return RemoteFunction(self, None, name, name)

    def hold(self, value: Any) -> RemoteObject:
        """Sends a value and leaves it there as an object: what a call did to it can be read back."""
        step = self._conversation.add("put", None, "", [_local(value)], {}, "hold", (value,))
        return RemoteObject(self, step, "held")

    def get(self, name: str) -> Answer:
        """The value of a top-level name that is neither function nor class."""
        return Answer(self, self._conversation.add("get", None, name, [], {}, name, ()), name)


class RemoteFunction:
    """A function, method or class over there. Calling a class makes a RemoteObject."""

    def __init__(self, subject: Subject, on: Handle | None, name: str, label: str) -> None:
        self._subject, self._on, self._name, self._label = subject, on, name, label

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        makes = self._on is None and self._name in self._subject._classes
        step = self._subject._conversation.add(
            "new" if makes else "call",
            self._on,
            self._name,
            [_local(a) for a in args],
            {key: _local(a) for key, a in kwargs.items()},
            self._label,
            args,
        )
        return (RemoteObject if makes else Answer)(self._subject, step, self._label)

    def each(self, inputs: Sequence[Any]) -> Answers:
        """The results of one call for every element of inputs, a tuple being several arguments."""
        rows = [row if isinstance(row, tuple) else (row,) for row in inputs]
        columns = _columns(rows)
        operation, args = ("map", columns) if columns else ("each", [[_local(a) for a in row] for row in rows])
        step = self._subject._conversation.add(operation, self._on, self._name, args, {}, self._label, tuple(inputs))
        return Answers(Answer(self._subject, step, self._label))


class Answer(NDArrayOperatorsMixin):
    """What a call gives: used like its value, which travels here when it is first looked at."""

    def __init__(self, subject: Subject, step: Step, label: str) -> None:
        self._subject, self._step, self._label = subject, step, label
        self._conversation = subject._conversation

    def _value(self) -> Any:
        value = settle(self)
        return value.array if isinstance(value, Tensor) else value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self._value(), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        plain = [x._value() if isinstance(x, Answer) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = settle(self)
        if isinstance(value, Handle):
            return RemoteObject(self._subject, self._step, self._label).__getattr__(name)
        if isinstance(value, Tensor) and not hasattr(value, name):
            return getattr(value.array, name)
        return getattr(value, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return RemoteFunction(self._subject, Handle(self._step.slot), "", self._label)(*args, **kwargs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._value())

    def __len__(self) -> int:
        return len(self._value())

    def __getitem__(self, index: Any) -> Any:
        return self._value()[index]

    def __float__(self) -> float:
        return float(self._value())

    def __bool__(self) -> bool:
        return bool(self._value())

    def __repr__(self) -> str:
        return f"<answer of {self._label}>"


class Answers(Sequence[Any]):
    """What `each` gives: one value for every input, here when it is first looked at."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def _items(self) -> Sequence[Any]:
        step = self._answer._step
        if not step.items:
            value = settle(self._answer)
            step.items = list(value) if isinstance(value, (list, np.ndarray)) else []
        return step.items

    def __getitem__(self, index: Any) -> Any:
        return self._items()[index]

    def __len__(self) -> int:
        return len(self._items())


def split(answer: Answer, names: Sequence[str]) -> tuple[Answer, ...]:
    """The parts of a tuple that an answer is asked to be; they stay over there like the answer itself."""
    talk, whole = answer._conversation, answer._step
    parts = []
    for index in range(len(names)):
        step = talk.add("item", Handle(whole.slot), "", [index, len(names)], {}, whole.call, tuple(names))
        step.whole = whole
        parts.append(Answer(answer._subject, step, answer._label))
    return tuple(parts)


class RemoteObject:
    """An object over there: methods are called, other attributes are fetched and set."""

    _subject: Subject
    _step: Step
    _label: str

    def __init__(self, subject: Subject, step: Step, label: str) -> None:
        object.__setattr__(self, "_subject", subject)
        object.__setattr__(self, "_step", step)
        object.__setattr__(self, "_label", label)

    def value(self) -> Answer:
        """The object as a plain value, as it is now."""
        handle = Handle(self._step.slot)
        step = self._subject._conversation.add("value", handle, "", [], {}, self._label, ())
        return Answer(self._subject, step, self._label)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return RemoteFunction(self._subject, Handle(self._step.slot), "", self._label)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        label = f"{self._label}.{name}"
        handle = Handle(self._step.slot)
        if label in self._subject._methods:
            return RemoteFunction(self._subject, handle, name, label)
        return Answer(self._subject, self._subject._conversation.add("get", handle, name, [], {}, label, ()), label)

    def __setattr__(self, name: str, value: Any) -> None:
        handle = Handle(self._step.slot)
        label = f"{self._label}.{name}"
        self._subject._conversation.add("set", handle, name, [_local(value)], {}, label, (value,))


def _local(value: Any) -> Value:
    """An argument as a value of the protocol; a copy of an array, because the frame is sent later."""
    if isinstance(value, Answer) or type(value) is RemoteObject:
        return Handle(value._step.slot)
    if type(value) is np.ndarray:
        return value.copy()
    if isinstance(value, (np.generic, np.ndarray)):
        return np.array(value)
    if isinstance(value, list):
        return [_local(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_local(item) for item in value)
    if isinstance(value, dict):
        return {key: _local(item) for key, item in value.items()}
    return value


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[np.ndarray[Any, Any]]:
    """One array an argument, rows stacked, which travels faster than many; empty when the rows are not alike."""
    if not rows or not rows[0]:
        return []
    forms = [[(type(a), a.shape, a.dtype) for a in row if type(a) is np.ndarray] for row in rows]
    if len(forms[0]) != len(rows[0]) or any(form != forms[0] for form in forms):
        return []
    return [np.stack(column) for column in zip(*rows, strict=True)]


def tensor(array: Any, framework: str = "tensorflow") -> Tensor:
    """An argument that the student's function should see as a framework tensor. array: anything NumPy takes."""
    if isinstance(settled := settle(array), Tensor):
        return settled
    return Tensor(framework, np.asarray(array))
