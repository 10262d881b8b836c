"""C6, C30-C32: forged frames. The child writes to its answer pipe itself; the grader takes plain values or ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grader.checks import Rng
from grader.sandbox import wire
from grader.sandbox.child import CallError, Child, ChildEnded, Reason
from grader.sandbox.limits import CheckLimits
from grader.subjects import Conversation, Subject

from .arena import PRELUDE, QUICK, Arena

pytestmark = pytest.mark.sandbox
LIMITS = CheckLimits(cpu_s=2.0, wall_s=2.0, memory_mib=256, output_kib=64)
SOON_S = 10  # on a machine that is busy with other things; who waits to the end of its limit also has another reason

FORGE = """
import struct
HEAD = struct.Struct("<IBBHII")
def head(length, question, magic=0x31445247, kind=17, flags=0, reserved=0):
    return HEAD.pack(magic, kind, flags, reserved, question & 0xffffffff, length)
U = lambda n: struct.pack("<I", n)
NONE, FALSE, TRUE, INT, BIG, FLOAT, STR = (bytes([n]) for n in range(7))
BYTES, LIST, TUPLE, DICT, ARRAY, TENSOR, HANDLE = (bytes([n]) for n in range(7, 14))
def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return STR + U(len(s)) + s
def integer(n): return INT + struct.pack("<q", n)
def array(code, shape, data=b""):
    return ARRAY + bytes([code, len(shape)]) + struct.pack(f"<{len(shape)}Q", *shape) + data
def answer(*values, used=LIST + bytes(4)):
    return DICT + U(2) + text("values") + LIST + U(len(values)) + b"".join(values) + text("used") + used
def send(payload, question=None, **fields):
    fd, mine, _ = forge()
    write(fd, head(len(payload), mine if question is None else question, **fields) + payload)
def write(fd, data):
    while data: data = data[os.write(fd, data):]
def stay(): time.sleep(60)
"""


def forged(arena: Arena, body: str, limits: CheckLimits = LIMITS) -> tuple[ChildEnded | CallError | None, Any, float]:
    """What the grader makes of a call whose function has this body: an error, or a value; and how long it took."""
    lines = "\n".join("    " + line for line in body.splitlines())
    with arena.program(f"{FORGE}\ndef attack():\n{lines}", limits) as child:
        started = time.monotonic()
        try:
            value = arena.call(child, "attack")
        except (ChildEnded, CallError) as error:
            return error, None, time.monotonic() - started
        return None, value, time.monotonic() - started


BREACHES = {
    "wrong magic": "send(answer(NONE), magic=0x31445248); stay()",
    "flags": "send(answer(NONE), flags=1); stay()",
    "reserved": "send(answer(NONE), reserved=7); stay()",
    "question 0": "send(answer(NONE), question=0); stay()",
    "future question": "send(answer(NONE), question=forge()[1] + 1); stay()",
    "past question": "send(answer(NONE), question=forge()[1] - 1); stay()",
    "a READY": "send(NONE, kind=16); stay()",
    "a REQUEST": "send(NONE, kind=1); stay()",
    "a BYE": "send(NONE, kind=2); stay()",
    "an unknown kind": "send(NONE, kind=255); stay()",
    "length 2^32-1": "fd, q, _ = forge(); write(fd, head(2**32 - 1, q)); stay()",
    "one byte over the limit": "fd, q, _ = forge(); write(fd, head((32 << 20) + 1, q)); stay()",
    "text instead of a frame": 'write(4, b\'{"status": "passed", "score": 100}\' * 10); stay()',
    "HTTP": "write(4, b'HTTP/1.1 200 OK\\r\\n\\r\\n'); stay()",
    "pickle": "import pickle; send(pickle.dumps(1)); stay()",
    "zeros": "write(4, bytes(4096)); stay()",
    "random bytes": "write(4, os.urandom(4096)); stay()",
    "two answers": "fd, q, _ = forge(); p = answer(NONE); os.write(fd, 2 * (head(len(p), q) + p)); stay()",
    "the answer and a byte": "fd, q, _ = forge(); p = answer(NONE); write(fd, head(len(p), q) + p + b'x'); stay()",
    "answered and returned": "send(answer(NONE)); time.sleep(0.1); send(answer(NONE)); stay()",
    "closes the pipe": "os.close(4); stay()",
    "closes the pipe in the middle": "fd, q, _ = forge(); write(fd, head(100, q) + b'x'); os.close(fd); stay()",
    "exits in the middle": "fd, q, _ = forge(); write(fd, head(100, q) + b'x'); os._exit(0)",
    "empty payload": "send(b''); stay()",
    "no values": "send(DICT + U(0)); stay()",
    "a list": "send(LIST + U(0)); stay()",
    "not a dictionary": "send(integer(1)); stay()",
    "values is a number": "send(DICT + U(1) + text('values') + integer(1)); stay()",
    "values is a tuple": "send(DICT + U(1) + text('values') + TUPLE + U(1) + NONE); stay()",
    "no value": "send(answer()); stay()",
    "two values": "send(answer(NONE, NONE)); stay()",
    "a result of kind ERROR": "send(answer(NONE), kind=18); stay()",
    "nested too deep": "send(answer((LIST + U(1)) * 20 + NONE)); stay()",
    "nested a million times": "send((LIST + U(1)) * 1_000_000 + NONE); stay()",
    "too many items": "send(answer(LIST + U(10_001) + NONE * 10_001)); stay()",
    "a count of 2^32-1": "send(answer(LIST + U(2**32 - 1))); stay()",
    "dictionary count of 2^32-1": "send(answer(DICT + U(2**32 - 1))); stay()",
    "an array as key": "send(answer(DICT + U(1) + array(11, (1,), bytes(8)) + NONE)); stay()",
    "a list as key": "send(answer(DICT + U(1) + LIST + U(0) + NONE)); stay()",
    "a handle as key": "send(answer(DICT + U(1) + HANDLE + U(0) + U(1) + NONE)); stay()",
    "repeated keys": "send(answer(DICT + U(2) + text('a') + NONE + text('a') + NONE)); stay()",
    "1 and True": "send(answer(DICT + U(2) + integer(1) + NONE + TRUE + NONE)); stay()",
    "text that is not UTF-8": "send(answer(text(b'\\xff\\xfe'))); stay()",
    "a surrogate in UTF-8": "send(answer(text(b'\\xed\\xa0\\x80'))); stay()",
    "text that is too long": "send(answer(text('x' * (65 << 10)))); stay()",
    "text cut short": "send(answer(STR + U(100) + b'x')); stay()",
    "text of 4 GB": "send(answer(STR + U(2**32 - 1))); stay()",
    "a long integer": "send(answer(BIG + U(513) + bytes(513))); stay()",
    "truth value 2": "send(answer(array(0, (3,), b'\\x00\\x01\\x02'))); stay()",
    "dtype 14": "send(answer(array(14, (1,), bytes(8)))); stay()",
    "dtype 255": "send(answer(array(255, (1,), bytes(8)))); stay()",
    "9 dimensions": "send(answer(array(11, (1,) * 9, bytes(8)))); stay()",
    "255 dimensions": "send(answer(ARRAY + bytes([11, 255]) + bytes(8 * 255))); stay()",
    "dimensions that overflow": "send(answer(array(11, (2**31, 2**31, 2**31), b''))); stay()",
    "dimension 2^64-1": "send(answer(array(11, (2**64 - 1,), b''))); stay()",
    "dimension 2^63": "send(answer(array(11, (2**63, 0), b''))); stay()",
    "array cut short": "send(answer(array(11, (10,), bytes(79)))); stay()",
    "array with bytes behind": "send(answer(array(11, (1,), bytes(9)))); stay()",
    "unknown framework": "send(answer(TENSOR + bytes([2]) + array(11, (1,), bytes(8))[1:])); stay()",
    "unknown tag": "send(answer(bytes([14]))); stay()",
    "tag 255": "send(answer(bytes([255]))); stay()",
    # Was a flaw (wire.py, _Reader.array):
    # NumPy's own ValueError leaves decode when a dimension is 0 and the others overflow.
    "dimensions that overflow beside a 0": "send(answer(array(11, (2**31, 2**31, 2**31, 0)))); stay()",
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_ends_the_child(arena: Arena, name: str) -> None:
    error, value, seconds = forged(arena, BREACHES[name])
    if name == "answered and returned":  # the first valid frame counts; the next question finds the breach
        assert (error, value) == (None, None)
        return
    assert isinstance(error, ChildEnded), (error, value)
    assert error.reason in (Reason.PROTOCOL, Reason.EXITED), error
    assert seconds < SOON_S


def test_a_valid_answer_that_was_forged_is_an_answer(arena: Arena) -> None:
    """C6: it is judged like any other value; the next question then finds the second answer and ends the child."""
    with arena.program(
        f"{FORGE}\ndef attack():\n    send(answer(integer(7)))\n    time.sleep(0.1)\n    return 8", LIMITS
    ) as child:
        assert arena.call(child, "attack") == 7
        time.sleep(0.3)
        with pytest.raises(ChildEnded) as caught:
            arena.call(child, "attack")
        assert caught.value.reason is Reason.PROTOCOL


def test_one_byte_at_a_time_is_an_answer(arena: Arena) -> None:
    error, value, seconds = forged(
        arena,
        "fd, q, _ = forge(); p = answer(integer(7))\nfor b in head(len(p), q) + p: os.write(fd, bytes([b]))\nstay()",
    )
    assert (error, value) == (None, 7)
    assert seconds < SOON_S


ODD_VALUES = {
    "handle with any slot": "send(answer(HANDLE + U(3) + b'abc' + U(2**32 - 1))); stay()",
    "tensor of another framework": "send(answer(TENSOR + bytes([1]) + array(11, (1,), bytes(8))[1:])); stay()",
    "NaN keys": "nan = FLOAT + bytes(6) + b'\\xf8\\x7f'; send(answer(DICT + U(2) + 2 * (nan + NONE))); stay()",
    "empty array": "send(answer(array(11, (0,)))); stay()",
    "long empty array": "send(answer(array(11, (2**31, 0)))); stay()",
    "used is a number": "send(answer(NONE, used=integer(1))); stay()",
    "used is nested": "send(answer(NONE, used=LIST + U(2) + LIST + U(0) + DICT + U(0))); stay()",
    "large integer": "send(answer(BIG + U(512) + b'\\x7f' * 512)); stay()",
}


@pytest.mark.parametrize("name", ODD_VALUES)
def test_odd_values_are_values(arena: Arena, name: str) -> None:
    error, _, seconds = forged(arena, ODD_VALUES[name])
    assert error is None
    assert seconds < SOON_S


def _failure(**fields: str) -> str:
    """The expression of a failure's payload: no values, and these fields."""
    values = fields.pop("values", "LIST + U(0)")
    rest = "".join(f" + text({name!r}) + {value}" for name, value in fields.items())
    return f"DICT + U({len(fields) + 1}) + text('values') + {values}{rest}"


_PAIR = "LIST + U(2) + text('main') + "
FAILURES = {
    "nothing in it": _failure(),
    "numbers for texts": _failure(type="integer(1)", message="NONE", lines="integer(3)"),
    "strange lines": _failure(
        lines=f"LIST + U(3) + NONE + {_PAIR} integer(-2**63) + {_PAIR} BIG + U(100) + b'\\x7f' * 100"
    ),
    "many values": _failure(values="LIST + U(5) + NONE * 5"),
    "strange index": _failure(index="integer(-5)"),
    "huge index": _failure(index="BIG + U(50) + b'\\x7f' * 50"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_forged_failures_are_failures(arena: Arena, name: str) -> None:
    error, _, seconds = forged(arena, f"send({FAILURES[name]}, kind=18); stay()")
    assert isinstance(error, CallError)
    assert seconds < SOON_S


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("where", ["forward", "import"])
def test_forged_failures_in_a_submission_are_verdicts(arena: Arena, name: str, where: str) -> None:
    """The same in a whole grading: while a check runs, and while the file is loaded."""
    send = f"send({FAILURES[name]}, kind=18); os._exit(0)"
    forge = PRELUDE + FORGE
    if where == "forward":
        code = f"{forge}\nclass Relu(HonestRelu):\n    def forward(self, x):\n        {send}\n"
    else:
        code = f"{forge}\ndef now():\n    {send}\nclass Relu(HonestRelu):\n    now()\n"
    graded = arena.grade(code, limits=LIMITS)
    assert str(graded.report.status) == "graded"
    assert graded.report.score <= 74


_ODD = "text('line') + integer(-2**63) + text('binds') + LIST + U(1) + LIST + U(0) + text('message') + LIST + U(0)"
_FAR = "text('line') + BIG + U(99) + b'\\x7f' * 99 + text('type') + text('\\x1b[31m')"
LOADS = {
    "not a dictionary": "integer(1)",
    "odd entries": "DICT + U(1) + text('failed') + LIST + U(4) + NONE + integer(1) + DICT + U(0) + DICT + U(3) + "
    + _ODD,
    "line far away": f"DICT + U(1) + text('failed') + LIST + U(1) + DICT + U(2) + {_FAR}",
    # Was a flaw (wire.py, _Reader.array):
    # here NumPy's ValueError leaves Engine.grade.
    "overflow beside a 0": "array(11, (2**31, 2**31, 2**31, 0))",
}


@pytest.mark.parametrize("name", LOADS)
def test_forged_answers_to_load_are_verdicts(arena: Arena, name: str) -> None:
    code = (
        f"{PRELUDE}{FORGE}\ndef now():\n    send(answer({LOADS[name]})); os._exit(0)\n"
        "class Relu(HonestRelu):\n    now()\n"
    )
    graded = arena.grade(code, limits=LIMITS)
    assert str(graded.report.status) == "graded"
    assert graded.report.score < 100


# Was a flaw (child.py, CallError and names):
# str() of whatever the child sent. An array of eight dimensions of 7 is 1.6
# million numbers to print: 2 s of the grader's time each, five of them in one frame, after every deadline. Take texts
# only.
@pytest.mark.parametrize("field", ["type", "message", "used"])
def test_arrays_where_texts_belong_cost_no_time(arena: Arena, field: str) -> None:
    value = "array(0, (7,) * 8, bytes(7**8))"
    value = f"LIST + U(1) + {value}" if field == "used" else value
    body = f"send(DICT + U(2) + text('values') + LIST + U(0) + text({field!r}) + {value}, kind=18); stay()"
    with arena.program(f"{FORGE}\ndef attack():\n    {body}", LIMITS) as child:
        started = time.process_time()
        with pytest.raises((CallError, ChildEnded)):
            arena.call(child, "attack")
        assert time.process_time() - started < 0.5


# Was a flaw (wire.py, _Reader.container):
# integers that are multiples of 2^61-1 have one hash; 4,900 of them as keys take
# 0.3 s to decode instead of 5 ms. Allow text keys of any number and at most some hundred others.
def test_colliding_keys_cost_no_time() -> None:
    prime, count = 2**61 - 1, 4_900
    keys = b"".join(
        bytes([4]) + struct.pack("<I", 80) + (n * prime).to_bytes(80, "little") + bytes([0])
        for n in range(2, count + 2)
    )
    started = time.process_time()
    decoded(bytes([10]) + struct.pack("<I", count) + keys)
    assert time.process_time() - started < 0.1


# Was a flaw (child.py, Child._send):
# while a long question is being sent, an early answer leaves the pipe readable and the
# grader spins until the wall limit.
def test_an_early_answer_does_not_make_the_grader_spin(arena: Arena) -> None:
    source = f"{FORGE}\nimport threading\ndef later():\n    time.sleep(0.2); write(4, b'x' * 100)\ndef attack():\n" + (
        "    threading.Thread(target=later, daemon=True).start(); return 1\ndef slow(x):\n    time.sleep(60)\n"
    )
    with arena.program(source, LIMITS) as child:
        assert arena.call(child, "attack") == 1
        child.send([["call", 1, None, "slow", [1], {}]])
        started = time.thread_time()
        with pytest.raises(ChildEnded):
            child.receive()
        assert time.thread_time() - started < 0.5


def test_both_pipes_full_is_no_deadlock(arena: Arena) -> None:
    """The child floods its answer pipe and reads nothing, while the grader sends more than a pipe holds."""
    source = (
        f"{FORGE}\nimport threading\n"
        "def flood():\n    while True: os.write(4, bytes(65536))\n"
        "def attack():\n"
        "    fd, question, frame = forge()\n"
        "    p = answer(integer(1)); write(fd, head(len(p), question) + p)\n"
        "    time.sleep(0.5); flood()\n"
    )
    with arena.program(source, LIMITS) as child:
        assert arena.call(child, "attack") == 1
        started, cpu = time.monotonic(), time.thread_time()
        with pytest.raises(ChildEnded):
            arena.call(child, "attack", np.zeros(1 << 20))
        assert time.monotonic() - started < LIMITS.wall_s + 10  # and not for ever
        assert time.thread_time() - cpu < 0.7  # once a flaw, as above


# The decoder alone ------------------------------------------------------------------------------------------------


def decoded(data: bytes) -> None:
    with contextlib.suppress(wire.WireError):
        wire.decode(data)


@settings(max_examples=600, deadline=500)
@given(st.binary(max_size=300))
@example(bytes([11, 11, 4]) + struct.pack("<4Q", 2**31, 2**31, 2**31, 0))  # once a flaw, as above
@example(bytes([8]) + struct.pack("<I", 2**32 - 1))
def test_any_bytes_are_a_value_or_a_wire_error(data: bytes) -> None:
    decoded(data)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9) | st.binary(max_size=9)
    | st.builds(wire.Handle, st.integers(0, 2**32 - 1), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=500)
@given(_VALUES, st.data())
def test_a_damaged_value_is_a_value_or_a_wire_error(value: Any, data: st.DataObject) -> None:
    text = bytearray(wire.encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    decoded(bytes(text))
    decoded(bytes(text[: data.draw(st.integers(0, len(text)))]))


class Forger:
    """A channel that answers every question with the same values."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.count = 0

    def send(self, steps: list[list[Any]]) -> None:
        self.count = len(steps)

    def receive(self) -> tuple[list[Any], frozenset[str]]:
        return [self.value] * self.count, frozenset()


def test_authors_code_meets_any_value(arena: Arena) -> None:
    """Values of every type, tuples and handles where arrays are expected, in every check: each ends as a failed
    comparison or an ordinary exception, which the engine turns into a verdict; nothing hangs."""
    reference = arena.engine.references.borrow(arena.assignment)
    array = np.ones((2, 3))
    values = [
        None, True, 1, 2**100, 1.5, "x", b"x", [], [array], (array, array), {}, {"a": array}, array, np.array(1.0),
        wire.Handle(0), wire.Handle(2**32 - 1, "x"), wire.Tensor("torch", array),
        (wire.Handle(1), wire.Tensor("torch", array)),
        np.zeros((0, 3)), np.array([1j]), np.array([True]), ((array,), array), [[array, array], array],
    ]  # fmt: skip
    started = time.monotonic()
    passed = []
    try:
        for value in values:
            for check in arena.assignment.checks:
                student = Subject(Forger(value), classes=arena.assignment.classes, methods=arena.assignment.methods)
                assert isinstance(student._conversation, Conversation)
                try:
                    check.function(student, reference.begin(1), Rng(np.random.PCG64(1)))
                except Exception:
                    continue
                passed.append((check.id, repr(value)))
    finally:
        arena.engine.references.give_back(arena.assignment, reference)
    assert passed == []
    assert time.monotonic() - started < 20.0


def test_a_parked_child_that_was_killed_is_replaced(arena: Arena) -> None:
    lane: Any = arena.sandbox._lanes["numpy"]
    for child in list(lane._parked):
        os.kill(child.pid, signal.SIGKILL)
        while not child.dead():
            time.sleep(0.001)
    assert arena.grade("").report.score == 100
    child = arena.sandbox.take("numpy")
    assert isinstance(child, Child)
    child.begin(QUICK)
    child.close()
