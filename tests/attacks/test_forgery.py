"""Section C: whole submissions that want points without the right answer.

Every attack sits in Relu, whose honest parent is at hand, and is graded through the engine. What must hold: Relu gets
no point more than its outputs deserve, Matmul keeps all of its own, the report is a verdict and nothing leaks.
"""

from __future__ import annotations

import json
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grader.diagnosis import same_value
from grader.reports import ReportStatus, Status
from grader.sandbox.limits import CheckLimits

from .arena import PROJECT, SECRET, Arena, Graded, found_in_memory

pytestmark = pytest.mark.sandbox
LIMITS = CheckLimits(cpu_s=2.0, wall_s=2.0, memory_mib=512, output_kib=64)


def relu(body: str, backward: str = "return grad_y", before: str = "") -> str:
    """A Relu with this body of forward; before: helpers in front of it."""
    lines = "\n".join("        " + line for line in body.splitlines())
    behind = "\n".join("        " + line for line in backward.splitlines())
    return (
        f"import sys, os, gc, ctypes, builtins, math, struct, inspect, threading, time\n{before}\n"
        f"class Relu(HonestRelu):\n    def forward(self, x):\n{lines}\n    def backward(self, grad_y):\n{behind}\n"
    )


LIAR = """
class Liar:
    def __eq__(self, other): return True
    def __le__(self, other): return True
    def __lt__(self, other): return True
    def __bool__(self): return True
    def __len__(self): return 1
    def __float__(self): return 0.0
    def __array__(self, *args, **kwargs): return np.zeros((1, 3))
    def __array_function__(self, *args, **kwargs): return True
    def __array_ufunc__(self, *args, **kwargs): return True
    def __getattr__(self, name): return self
    def __call__(self, *args, **kwargs): return self
    def __iter__(self): return iter(())
    def __hash__(self): return 0
    __array_priority__ = 1e9
"""
ARRAY_LIAR = """
class ArrayLiar(np.ndarray):
    def __eq__(self, other): return True
    def __array_finalize__(self, obj): pass
    def __array_ufunc__(self, *args, **kwargs): return np.True_
    def __array_function__(self, *args, **kwargs): return True
    def view(self, *args): return self
    def tobytes(self, *args): return b""
    @property
    def shape(self): return (1, 3)
"""
SUBCLASSES = """
class IntLiar(int):
    def __index__(self): return 7
    def __eq__(self, other): return True
    __hash__ = int.__hash__
class ListLiar(list):
    def __len__(self): return 1
    def __iter__(self): return iter([1.0] * 10**5)
class DictLiar(dict):
    def items(self): return [(1, 2)]
    def __len__(self): return 0
class StrLiar(str):
    def encode(self, *args): return b"x" * 10
    def __getitem__(self, at): return self
"""
# Each gives a value that is not the right one: no point of Relu's is theirs.
WRONG = {
    "C1 lying object": relu("return Liar()", "return Liar()", LIAR),
    "C1 array of liars": relu("return np.array([[Liar()] * 3], dtype=object)", "return Liar()", LIAR),
    "C2 lying subclass": relu(
        "return np.zeros(x.shape).view(ArrayLiar)", "return np.zeros(grad_y.shape).view(ArrayLiar)", ARRAY_LIAR
    ),
    "C1 lying int": relu("return IntLiar(3)", "return IntLiar(3)", SUBCLASSES),
    "C1 lying list": relu("return ListLiar([0.0])", "return ListLiar([0.0])", SUBCLASSES),
    "C1 lying dictionary": relu("return DictLiar({1: 2})", "return DictLiar({1: 2})", SUBCLASSES),
    "C1 lying text": relu("return StrLiar('x' * 10**6)", "return StrLiar('x')", SUBCLASSES),
    "C2 masked everywhere": relu(
        "return np.ma.masked_all(x.shape)", "return np.ma.masked_array(-grad_y - 1, mask=True)"
    ),
    "C2 record array": relu("return np.zeros(x.shape, dtype=[('a', 'f8')])", "return np.zeros(3, dtype='M8[s]')"),
    "C2 text array": relu("return x.astype(str)", "return grad_y.astype('S10')"),
    "C2 object array": relu("return np.maximum(x, 0).astype(object)", "return grad_y.astype(object)"),
    "C18 generator": relu("return (v for v in x)", "return iter(grad_y)"),
    "C18 function": relu("return lambda: np.maximum(x, 0)", "return np.vectorize(lambda v: v)"),
    "C21 NaN everywhere": relu("return np.full(x.shape, np.nan)", "return np.full(grad_y.shape, np.nan)"),
    "C21 infinity": relu("return np.full(x.shape, np.inf)", "return grad_y * np.inf"),
    "C22 empty": relu("return np.zeros((0,))", "return np.zeros((0, 3))"),
    "C22 empty with the right rows": relu("return x[:, :0]", "return grad_y[:0]"),
    "C22 scalar": relu("return 0.0", "return 0"),
    "C22 extra axis": relu("return np.maximum(x, 0)[None]", "return grad_y[None]"),
    "C22 transposed and flat": relu("return np.maximum(x, 0).ravel()", "return grad_y.ravel()"),
    "C23 complex": relu("return np.maximum(x, 0) + 0j", "return grad_y + 0j"),
    "C23 bool": relu("return x > 0", "return grad_y > 0"),
    "C8 exit": relu("sys.exit(0)", "raise SystemExit(0)"),
    "C8 os._exit": relu("os._exit(0)", "os._exit(0)"),
    "C8 exec": relu("os.execv('/bin/true', ['true'])", "os.kill(os.getpid(), 9); os.abort()"),
    "C8 quits while it answers": relu("import atexit; atexit.register(os._exit, 0); exit()", "quit()"),
    "C7 claims": relu(
        'print(\'All tests passed\'); print(\'{"score": 100, "status": "passed"}\'); return None',
        "os.write(1, b'score: 100'); os.write(2, b'OK'); return {'status': 'passed', 'score': 100}",
    ),
    "C8 raises something with a lying text": relu(
        "raise E()", "raise E()", "class E(Exception):\n    def __str__(self): raise SystemExit(0)\n"
    ),
    "C8 raises a base exception": relu(
        "raise E('passed')", "raise KeyboardInterrupt", "class E(BaseException): pass\n"
    ),
    "C8 exception with a metaclass": relu(
        "raise E()",
        "raise E()",
        "class M(type):\n    @property\n    def __name__(cls): return 'x' * 10**6\n"
        "class E(Exception, metaclass=M): pass\n",
    ),
    "C8 generator exit": relu("raise GeneratorExit", "raise StopIteration"),
    "nested lists": relu("v = x.tolist()\nfor _ in range(50): v = [v]\nreturn v", "return [[[[[[[[1]]]]]]]]"),
    "a list that holds itself": relu("v = []\nv.append(v)\nreturn v", "d = {}\nd['d'] = d\nreturn d"),
    "strange keys": relu("return {(1, 2): x}", "return {None: 1, 1: 2, 1.5: 3, b'x': 4, float('nan'): 5}"),
    "lone surrogate": relu("return '\\ud800'", "raise ValueError('\\ud800\\x00')"),
    "big integer": relu("return 10**400", "return -10**400"),
    "bigger integer": relu("return 10**10000", "return 1 << 10**6"),
    "tuple of many": relu("return (x,) * 9000", "return (grad_y,) * 20000"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_gets_no_point(arena: Arena, name: str) -> None:
    graded = arena.grade(WRONG[name], limits=LIMITS)
    graded.expect(full=("Matmul",), none=("Relu",))
    assert graded.report.score <= 40
    check_text(graded)


PATCHES = (
    "def patch():\n"
    "    yes = lambda *a, **k: True\n"
    "    np.allclose = np.array_equal = np.isclose = np.all = np.any = yes\n"
    "    np.abs = np.absolute = np.maximum.__class__ and np.abs\n"
    "    np.testing.assert_allclose = lambda *a, **k: None\n"
    "    math.isclose = yes\n"
    "    builtins.all = builtins.any = builtins.isinstance = yes\n"
    "    np.ndarray.__class__ = type\n"
)
# Each works on the process it is in; its outputs are wrong, whatever else it does.
TAMPERING = {
    "C4 patches comparisons": (PATCHES, "patch(); return np.zeros_like(x) - 1"),
    "C5 patches the codec": (
        "def patch():\n"
        "    for thing in gc.get_objects():\n"
        "        if getattr(thing, '__name__', '') == 'grader.sandbox.wire' and hasattr(thing, 'encode'):\n"
        "            thing.encode = lambda value: b''\n",
        "patch(); return np.zeros_like(x)",
    ),
    "C5 patches the driver": (
        "def patch():\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        driver = frame.f_locals.get('driver')\n"
        "        if driver is not None:\n"
        "            type(driver).plain = lambda self, *a: True\n"
        "            type(driver).failure = lambda self, e: {'passed': True, 'score': 100}\n"
        "        frame = frame.f_back\n",
        "patch(); return np.zeros_like(x)",
    ),
    "C5 traces the driver": (
        "def patch():\n"
        "    def tracer(frame, event, arg):\n"
        "        for name in ('values', 'expected', 'passed'):\n"
        "            if name in frame.f_locals: frame.f_locals[name] = True\n"
        "        return tracer\n"
        "    sys.settrace(tracer); threading.settrace(tracer); sys.setprofile(tracer)\n",
        "patch(); return np.zeros_like(x)",
    ),
    "C10 searches the stack": (
        "def patch():\n"
        "    frame, found = sys._getframe(), None\n"
        "    while frame:\n"
        "        for name, value in list(frame.f_locals.items()):\n"
        "            if name in ('expected', 'reference', 'solution', 'tolerance', 'checks'): found = value\n"
        "        frame = frame.f_back\n"
        "    return found\n",
        "found = patch(); return np.zeros_like(x) if found is None else found",
    ),
    "C10 searches the heap": (
        "def patch(x):\n"
        "    best = None\n"
        "    for thing in gc.get_objects():\n"
        "        for value in gc.get_referents(thing)[:50] if isinstance(thing, (list, tuple, dict)) else ():\n"
        "            if isinstance(value, np.ndarray) and value.shape == x.shape and value is not x: best = value\n"
        "    return best\n",
        "found = patch(x); return np.zeros_like(x) if found is None else found",
    ),
    "C11 imports the reference": (
        "def patch():\n"
        "    for name in ('grader', 'reference', 'solution', 'grader.checks', 'numpy_autodiff.solution'):\n"
        "        try: return __import__(name).Relu\n"
        "        except (ImportError, AttributeError): pass\n",
        "found = patch(); return np.zeros_like(x) if found is None else found().forward(x)",
    ),
    "C20 changes its input": ("", "x[...] = 0; return x"),
    "C38 floating-point state": (
        "def patch():\n    np.seterr(all='raise'); np.set_printoptions(precision=0)\n"
        "    ctypes.CDLL(None).fesetround(0x400)\n",
        "patch(); return np.zeros_like(x)",
    ),
    "C14 behaves only outside of the grader": ("", "return np.zeros_like(x) if os.getpid() == 1 else np.maximum(x, 0)"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_changes_only_ones_own_answers(arena: Arena, name: str) -> None:
    before, body = TAMPERING[name]
    graded = arena.grade(relu(body, "return np.zeros_like(grad_y)", before), limits=LIMITS)
    graded.expect(full=("Matmul",))
    assert graded.points["Relu"] <= 4, graded.report  # relu_keeps_its_inputs may hold
    assert graded.status("relu_forward") is Status.FAILED
    check_text(graded)


def test_c12_remembered_answers_do_not_fit_the_next_input(arena: Arena) -> None:
    code = relu(
        "return KNOWN.setdefault(x.shape, np.maximum(x, 0))",
        "return KNOWN.setdefault((grad_y.shape, 'b'), np.where(grad_y > 0, grad_y, 0))",
        "KNOWN = {}",
    )
    graded = arena.grade(code)
    graded.expect(full=("Matmul",))
    assert graded.status("relu_backward_masks") is Status.FAILED


def test_c5_a_patched_driver_cannot_pass_a_wrong_answer_by_an_error(arena: Arena) -> None:
    """Raising instead of answering, with every field of the failure filled in."""
    graded = arena.grade(relu("raise AssertionError('status: passed, points: 7')"), limits=LIMITS)
    assert graded.status("relu_forward") is Status.FAILED


RIGHT = {
    "masked without a mask": relu(
        "super().forward(x)\nreturn np.ma.array(np.maximum(x, 0))", "return super().backward(grad_y)"
    ),
    "matrix": relu("super().forward(x)\nreturn np.asmatrix(np.maximum(x, 0))", "return super().backward(grad_y)"),
    "big-endian": relu("super().forward(x)\nreturn np.maximum(x, 0).astype('>f8')", "return super().backward(grad_y)"),
    "long double": relu("super().forward(x)\nreturn np.maximum(x, 0).astype('g')", "return super().backward(grad_y)"),
    "negative strides": relu(
        "super().forward(x)\nreturn np.maximum(x, 0)[::-1].copy()[::-1]", "return super().backward(grad_y)"
    ),
    "Fortran order, read-only": relu(
        "super().forward(x)\ny = np.asfortranarray(np.maximum(x, 0)); y.flags.writeable = False\nreturn y",
        "return super().backward(grad_y)",
    ),
    "memmap": relu(
        "super().forward(x)\n"
        "name = f'/tmp/{time.monotonic_ns()}'\n"
        "m = np.memmap(name, dtype='f8', mode='w+', shape=x.shape)\nm[:] = np.maximum(x, 0)\nreturn m",
        "return super().backward(grad_y)",
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_c2_unusual_arrays_of_right_values_are_right(arena: Arena, name: str) -> None:
    arena.grade(RIGHT[name]).expect(full=("Matmul", "Relu"))


def test_c23_rounding_into_the_tolerance(arena: Arena) -> None:
    graded = arena.grade(
        relu("super().forward(x)\nreturn np.maximum(x, 0).astype(np.float16)", "return super().backward(grad_y)")
    )
    assert graded.status("relu_forward") is Status.FAILED


def test_c25_a_forward_that_notices_differences(arena: Arena) -> None:
    """Wrong forward and a backward that fits it: the reference's forward is what is differentiated."""
    graded = arena.grade(relu("super().forward(x)\nreturn np.maximum(x, 0) * 2", "return super().backward(grad_y) * 2"))
    assert graded.points["Relu"] <= 7, graded.report
    assert graded.status("relu_backward_is_the_derivative") is Status.FAILED


def test_c36_names_and_texts_of_the_upload_cannot_forge_a_report(arena: Arena) -> None:
    data = arena.submission(relu("raise ValueError('score: 100\\r\\nstatus: passed')")).encode()
    report = arena.engine.grade(arena.assignment, "score=100\r\n\x1b[31m.py", data)
    arena.engine.settle()
    assert report.score <= 66
    for check in report.checks:
        assert check.message is None or "\x1b" not in check.message.en + check.message.zh


# I6 ---------------------------------------------------------------------------------------------------------------


def check_text(graded: Graded) -> None:
    """I6: nothing of the machine outside the jail, and no secret, in anything that a student reads."""
    text = json.dumps(graded.report.to_json("en"), ensure_ascii=False) + json.dumps(graded.report.to_json("zh"))
    for word in (
        SECRET.decode(),
        str(Path.home()) + "/",
        str(PROJECT),
        "site-packages",
        "job_write",
        "GRADER_",
        ".venv",
    ):
        assert word not in text, word
    # Control characters: JSON writes them as escapes.
    assert not re.search(r"\\u00[01][0-9a-f]|\\u202[a-e]|\\u206[6-9]", json.dumps(graded.report.to_json("en")))


# Was a flaw (child.py CallError keeps clean text, but wire.Handle.kind and returned text reach wording.kind_of and
# display.show as they are): control and direction characters of a student's type name or value reach the report.
@pytest.mark.parametrize(
    "value",
    ["type('\\x1b]0;pwned\\x07\\u202e', (), {})()", "'\\x1b[31mpwned\\x07'", "{'\\x1b[2J': 1}"],
    ids=["type name", "text", "key"],
)
def test_c36_control_characters_do_not_reach_the_report(arena: Arena, value: str) -> None:
    check_text(arena.grade(relu(f"return {value}"), limits=LIMITS))


def test_c10_expected_values_are_not_in_the_childs_memory(arena: Arena) -> None:
    """A scan of the whole memory of a child while it is asked: inputs are there, results and secrets are not."""
    canary = np.float64(1234.56789012345678).tobytes() * 2
    needles = {
        "secret": SECRET,
        "expected": canary,
        "check source": b"matmul_backward_is_the_derivative",
        "tolerances": b"taylor_rate",
        "seed of the grading": b"hmac_" + b"derive",
    }
    expected = np.frombuffer(canary * 4)  # what the trusted side holds while the child lives
    with arena.program("def attack(x): return x * 2") as child:
        marker = np.array([9876.54321012345] * 3)
        assert np.all(arena.call(child, "attack", marker) == marker * 2)
        found = found_in_memory(child.pid, {**needles, "marker": marker.tobytes()})
    assert expected.size
    assert found == {"marker"}


def hidden(arena: Arena, code: str) -> Graded:
    """Grades with every check hidden."""
    checks = tuple(replace(c, visible=False) for c in arena.assignment.checks)
    return arena.grade(code, assignment=replace(arena.assignment, checks=checks))


EXFILTRATE = "v = f'LEAK{float(np.ravel(x)[0])!r}KAEL'\n"


@pytest.mark.parametrize(
    "how",
    [
        "raise ValueError(v)",
        "return v",
        "return type(v, (), {})()",
        # Was a flaw (grading.py, notes):
        # the error of several hidden checks is told in a note on the whole file.
        "raise type(v, (Exception,), {})()",
        "return {v: 1}",
        "print(v); return np.zeros_like(x)",
    ],
)
def test_c13_hidden_inputs_do_not_come_back(arena: Arena, how: str) -> None:
    graded = hidden(arena, relu(EXFILTRATE + how))
    text = json.dumps(graded.report.to_json())
    assert graded.status("relu_forward") is Status.FAILED
    assert "LEAK" not in text


def test_c34_hidden_checks_tell_no_time(arena: Arena) -> None:
    graded = hidden(arena, relu("time.sleep(0.1)\nreturn np.zeros_like(x)"))
    times = [c.wall_ms for c in graded.report.checks if c.part == "Relu"]
    assert all(ms % 50 == 0 for ms in times), times


def test_same_file_same_verdict_and_other_file_other_inputs(arena: Arena) -> None:
    """C12: the seed is a function of the file's content and the secret."""
    one, again, other = arena.grade(""), arena.grade(""), arena.grade("# another\n")
    assert one.report.seed == again.report.seed != other.report.seed


# What a student's value does to the trusted side --------------------------------------------------------------------


def test_grading_stays_a_verdict(arena: Arena) -> None:
    """Values at the edge of every type: whatever they are, the report is a verdict."""
    values = (
        "np.float16('nan')", "np.uint64(2**64-1)", "2**64", "-2**63-1", "np.zeros((1,)*8)", "np.int8(1)", "True",
        "b'x'*1000",
        "[]", "()", "{}", "[[1, 2], [3]]", "[None, 1.0]", "np.zeros((3, 0, 2))", "np.array(5)", "np.array(1j)",
        "1e-310 * x",
        "x * 1e300 * 1e300", "-x", "x * 2", "x.T", "np.array([np.nan, np.inf, -np.inf])", "'x' * 10**5", "float('nan')",
        "{'a': {'b': {'c': {'d': 1}}}}", "(x, x)", "object", "np", "lambda: 1", "type", "...", "NotImplemented", "1j",
        "range(10)", "bytearray(9)", "memoryview(b'x')", "set([1])", "np.random.default_rng()", "np.dtype('f8')",
    )  # fmt: skip
    faults = []
    for value in values:
        graded = None
        try:
            graded = arena.grade(relu(f"self.mem = dict(x=x)\nreturn {value}", f"x = grad_y\nreturn {value}"))
        except Exception as error:
            faults.append((value, repr(error)))
        if graded is not None and graded.report.status is not ReportStatus.GRADED:
            faults.append((value, str(graded.report.notes)))
    assert faults == []


# Was a flaw (diagnosis.py, _factor):
# 1 / factor is infinite for a denormal factor and round(inf) raises OverflowError, which
# leaves Engine.grade. Engine.grade should turn *any* exception into grader_error as well.
def test_a_denormal_factor_is_a_verdict(arena: Arena) -> None:
    arena.grade(
        relu("super().forward(x)\nreturn np.maximum(x, 0) * 1e-310", "return super().backward(grad_y) * 1e-310")
    ).expect(full=("Matmul",))


# Was a flaw (display.py, _array):
# size 0 counts as small, whatever the other dimensions: tolist() makes 2**31 lists, and the
# grader dies of memory. Test `array.size <= WHOLE and max(shape) <= WHOLE`; refuse such shapes in wire.decode too.
def test_an_empty_array_with_a_huge_dimension_is_cheap(arena: Arena) -> None:
    graded = arena.grade(relu("return np.zeros((10**6, 0))"), limits=LIMITS)
    assert len(json.dumps(graded.report.to_json())) < 1_000_000
    assert graded.seconds < 2.0


# The outputs of a student's forward are multiplied with the upstream gradient before their shape is compared: one byte
# becomes 48. The limit of one answer keeps that below 100 MiB.
def test_outputs_of_another_shape_are_not_broadcast(arena: Arena) -> None:
    code = (
        "class Matmul(HonestMatmul):\n"
        "    calls = {}\n"
        "    def forward(self, x, W):\n"
        "        out = super().forward(x, W)\n"
        "        self.n = getattr(self, 'n', 0) + 1\n"
        "        return out if self.n == 1 else np.zeros((100_000, *out.shape), dtype=bool)\n"
    )
    checks = tuple(c for c in arena.assignment.checks if c.id == "matmul_backward_fits_its_forward")
    assert checks
    tracemalloc.start()
    try:
        graded = arena.grade(code, assignment=replace(arena.assignment, checks=checks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert graded.report.score == 0
    assert peak < 100 << 20, f"{peak >> 20} MiB"


# Arguments that a student's code returned are replayed in the reference child; large ones must not break it, for that
# would be a grader_error that a student can cause.
@pytest.mark.parametrize("count", [200_000, 1_500_000])
def test_replaying_a_students_values_cannot_break_the_reference(arena: Arena, count: int) -> None:
    code = (
        "class Matmul(HonestMatmul):\n"
        "    def backward(self, grad_y):\n"
        "        grad_x, grad_W = super().backward(grad_y)\n"
        f"        return np.zeros(({count}, 1, 1), dtype=bool), np.zeros(1)\n"
    )
    graded = arena.grade(code)
    assert graded.report.status is ReportStatus.GRADED
    assert graded.seconds < 20.0


# Was a flaw (diagnosis.py, same_value):
# np.asarray(10**400) is an array of objects, and its astype(complex) raises
# OverflowError out of Engine.grade.
def test_integers_beyond_float_are_compared(arena: Arena) -> None:
    assert not same_value(10**400, np.float64(1.0))
    assert not same_value(np.float64(1.0), 10**400)
