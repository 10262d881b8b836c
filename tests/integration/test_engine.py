"""Whole gradings in real sandbox children: marks, determinism, failures of every party, and nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader.assignments import Assignment
from grader.checks import Check, check, close
from grader.grading import Engine
from grader.reports import CheckResult, Report, ReportStatus, Status
from grader.sandbox.child import ChildEnded, Reason
from grader.sandbox.limits import CheckLimits, Mode
from grader.sandbox.pool import Sandbox

pytestmark = pytest.mark.sandbox
NAMES = ["numpy_autodiff", pytest.param("tensorflow_basics", marks=pytest.mark.tensorflow)]


@pytest.fixture
def numpy(assignments: dict[str, Assignment]) -> Assignment:
    return assignments["numpy_autodiff"]


@pytest.fixture(params=NAMES)
def assignment(request: pytest.FixtureRequest, assignments: dict[str, Assignment]) -> Assignment:
    if request.param != "numpy_autodiff":
        request.getfixturevalue("need_tensorflow")
    return assignments[request.param]


def changed(assignment: Assignment, old: str, new: str) -> bytes:
    assert old in assignment.solution
    return assignment.solution.replace(old, new, 1).encode()


def find(report: Report, name: str) -> CheckResult:
    return next(c for c in report.checks if c.id == name)


def stable(report: Report) -> dict[str, Any]:
    """The report without its clocks."""
    shown = report.to_json()
    del shown["timings_ms"]
    for line in shown["checks"]:
        del line["wall_ms"]
    json.dumps(shown, allow_nan=False)
    return shown


class TestMarks:
    def test_the_solution_has_full_marks(self, engine: Engine, assignment: Assignment) -> None:
        report = engine.grade(assignment, "solution.py", assignment.solution.encode())
        assert report.status is ReportStatus.GRADED
        assert report.score == assignment.max_score == 100
        assert [c.id for c in report.checks if c.status is not Status.PASSED] == []
        assert sum(part.score for part in report.parts) == 100
        assert report.runtime["python"]
        assert report.mode in "AB"
        assert set(report.timings_ms) >= {"total", "read", "load", "checks"}

    def test_waiting_for_an_assignment_that_gets_warm_counts_as_waiting_for_a_child(
        self, engine: Engine, numpy: Assignment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        borrow = engine.references.borrow

        def slow(assignment: Assignment) -> Any:
            time.sleep(0.1)
            return borrow(assignment)

        monkeypatch.setattr(engine.references, "borrow", slow)
        assert engine.grade(numpy, "solution.py", numpy.solution.encode()).timings_ms["wait_for_child"] >= 100

    def test_the_starter_is_not_gradable(self, engine: Engine, assignment: Assignment) -> None:
        report = engine.grade(assignment, "starter.py", assignment.starter.encode())
        assert (report.status, report.score) == (ReportStatus.NOT_GRADABLE, 0)
        assert report.message is not None

    def test_the_report_is_deterministic(self, engine: Engine, assignment: Assignment) -> None:
        source = assignment.mistaken_solution(assignment.mistakes[0]).encode()
        first, second = (stable(engine.grade(assignment, "hw.py", source)) for _ in range(2))
        assert first == second
        assert first["score"] < 100

    def test_a_mistake_is_named_with_its_hint(self, engine: Engine, numpy: Assignment) -> None:
        wrong = next(m for m in numpy.mistakes if m.name == "matmul_grads_transposed")
        report = engine.grade(numpy, "hw.py", numpy.mistaken_solution(wrong).encode())
        named = [c for c in report.checks if c.mistake == wrong.name]
        assert named
        assert all(c.message is not None and c.message.en.startswith(wrong.hint.en) for c in named)


class TestSeeds:
    def test_a_seed_repeats_the_inputs(self, sandbox: Sandbox, engine: Engine, numpy: Assignment) -> None:
        wrong = changed(numpy, "np.matmul(x, W)", "-np.matmul(x, W)")
        report = engine.grade(numpy, "hw.py", wrong)
        other = Engine(sandbox, b"another secret")
        try:
            assert stable(other.grade(numpy, "hw.py", wrong, seed=report.seed)) == stable(report)
            differs = other.grade(numpy, "hw.py", wrong)
        finally:
            other.close()
        assert differs.seed != report.seed
        assert find(differs, "matmul_forward").input != find(report, "matmul_forward").input

    def test_the_seed_depends_on_the_content_and_not_on_the_name(self, engine: Engine, numpy: Assignment) -> None:
        one, two, three = (
            engine.grade(numpy, name, data).seed
            for name, data in (("a.py", b"x=1"), ("b.py", b"x=1"), ("a.py", b"x=2"))
        )
        assert one == two != three
        assert len(one) == 32


class TestUploads:
    def test_a_zip_and_a_chinese_name(self, engine: Engine, numpy: Assignment) -> None:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("作业/自动求导.py", numpy.solution)
            archive.writestr("__MACOSX/._x", "junk")
        for name, data in (("提交.zip", out.getvalue()), ("自动求导.py", numpy.solution.encode())):
            report = engine.grade(numpy, name, data)
            assert (report.score, report.file) == (100, name)

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("hw.py", b""),
            ("hw.py", b"def f(:"),
            ("hw.ipynb", b"{"),
            ("hw.txt", b"x"),
            ("hw.zip", b"PK\3\4"),
            ("hw.py", b"\xff"),
        ],
    )
    def test_what_cannot_be_read_costs_nothing(self, engine: Engine, numpy: Assignment, name: str, data: bytes) -> None:
        report = engine.grade(numpy, name, data)
        assert (report.status, report.score, report.checks) == (ReportStatus.NOT_GRADABLE, 0, ())
        assert report.message is not None
        assert report.message.zh

    def test_control_characters_of_a_name_do_not_reach_the_report(self, engine: Engine, numpy: Assignment) -> None:
        assert "\x1b" not in engine.grade(numpy, "h\x1b[31mw.py", b"x = 1").file


RELU = "return np.maximum(x, 0.0)"
TWO = "return np.matmul(grad_y, W.T), np.matmul(x.T, grad_y)"


class TestFaultsOfStudents:
    @pytest.mark.parametrize(
        "value",
        [
            "None",
            "'text'",
            "{}",
            "{'a': x}",
            "[]",
            "x.tolist()",
            "(x, x)",
            "object()",
            "x > 0",
            "x.astype(complex)",
            "x[:0]",
            "np.array(['a'])",
            "np.array([None])",
            "np.float64('nan')",
            "x.T",
            "lambda: 0",
            "np",
            "type('A', (), {})",
            "2**2000",
            "np.ma.masked_array(x, x > 0)",
            "(i for i in x)",
            "{1, 2}",
            "np.maximum(x, 0).view(type('L', (np.ndarray,), {'__eq__': lambda *a: True})) + 1",
        ],
    )
    def test_a_value_of_a_wrong_form_fails_the_check(self, engine: Engine, numpy: Assignment, value: str) -> None:
        report = engine.grade(numpy, "hw.py", changed(numpy, RELU, f"return {value}"))
        assert report.status is ReportStatus.GRADED
        assert find(report, "relu_forward").status is Status.FAILED
        assert next(p.score for p in report.parts if p.name == "Matmul") == 40

    @pytest.mark.parametrize(
        "value", ["np.matmul(grad_y, W.T)", "[np.matmul(grad_y, W.T)]", "{'x': 1}", "3.0", "None", "(x, W, x)"]
    )
    def test_one_value_where_two_are_asked_for(self, engine: Engine, numpy: Assignment, value: str) -> None:
        report = engine.grade(numpy, "hw.py", changed(numpy, TWO, f"return {value}"))
        assert report.status is ReportStatus.GRADED
        assert find(report, "matmul_grad_x").status is Status.FAILED
        assert find(report, "matmul_forward").status is Status.PASSED

    @pytest.mark.parametrize(
        ("value", "words"),
        [("2**5000", "integer"), ("'类' * 30000", "text"), ("[[0.0] * 5000] * 3", "items")],
    )
    def test_a_value_that_is_too_large_is_said_to_be(
        self, engine: Engine, numpy: Assignment, value: str, words: str
    ) -> None:
        report = engine.grade(numpy, "hw.py", changed(numpy, RELU, f"return {value}"))
        message = find(report, "relu_forward").message
        assert message is not None
        assert words in message.en
        assert "process" not in message.en

    def test_an_honest_error_has_its_line(self, engine: Engine, numpy: Assignment) -> None:
        report = engine.grade(numpy, "hw.py", changed(numpy, RELU, "return undefined_name"))
        message = find(report, "relu_forward").message
        assert message is not None
        line = numpy.solution.split("\n").index(f"        {RELU}") + 1
        assert f"line {line}" in message.en
        assert "undefined_name" in message.en

    def test_a_death_leaves_the_other_checks_their_points(self, engine: Engine, numpy: Assignment) -> None:
        report = engine.grade(numpy, "hw.py", b"import os\n" + changed(numpy, RELU, "os._exit(0)"))
        assert report.status is ReportStatus.GRADED
        assert next(p.score for p in report.parts if p.name == "Matmul") == 40
        assert next(p.score for p in report.parts if p.name == "Relu") == 0

    def test_a_child_that_closes_its_output_is_still_held_to_its_cpu_limit(self, sandbox: Sandbox) -> None:
        child = sandbox.take("numpy")
        source = "import os\ndef f():\n    os.close(1); os.close(2)\n    while True: pass\n"
        try:
            child.begin(CheckLimits(cpu_s=0.5, wall_s=3.0))
            child.ask("load", source=source, file="main", modules={}, watch=[], ops=[], seed=0)
            child.begin(CheckLimits(cpu_s=0.5, wall_s=3.0))
            started = time.monotonic()
            child.send([["call", 1, None, "f", [], {}]])
            with pytest.raises(ChildEnded) as caught:
                child.receive()
            assert time.monotonic() - started < 10
            assert caught.value.reason is Reason.CPU
        finally:
            child.close()


def own_check(function: Callable[..., None], **options: Any) -> Check:
    function.__doc__ = "A check of this test\n\nzh: 测试用的检查"
    return check(part="Relu", points=10, **options)(function)


def with_checks(assignment: Assignment, *checks: Check) -> Assignment:
    return replace(assignment, checks=checks)


def forward(subject: Any, x: Any) -> Any:
    return subject.Relu().forward(x)


class TestFaultsOfAuthors:
    def test_a_check_that_fails_on_the_reference_is_no_verdict(self, engine: Engine, numpy: Assignment) -> None:
        def crashes(student: Any, reference: Any, rng: Any) -> None:
            forward(student, np.ones(2))["no such key"]

        report = engine.grade(with_checks(numpy, own_check(crashes)), "hw.py", numpy.solution.encode())
        assert report.status is ReportStatus.GRADER_ERROR
        assert (report.score, report.checks) == (0, ())

    def test_an_error_in_the_reference_is_no_verdict(self, engine: Engine, numpy: Assignment) -> None:
        def asks_too_much(student: Any, reference: Any, rng: Any) -> None:
            close(forward(student, np.ones(2)), reference.no_such_function(1))

        assignment = with_checks(numpy, own_check(asks_too_much))
        assert engine.grade(assignment, "hw.py", numpy.solution.encode()).status is ReportStatus.GRADER_ERROR
        assert engine.grade(numpy, "hw.py", numpy.solution.encode()).score == 100

    def test_what_only_the_students_value_breaks_is_a_failed_check(self, engine: Engine, numpy: Assignment) -> None:
        def reads_a_row(student: Any, reference: Any, rng: Any) -> None:
            close(forward(student, np.ones((2, 2)))[1], np.ones(2))

        assignment = with_checks(numpy, own_check(reads_a_row))
        report = engine.grade(assignment, "hw.py", changed(numpy, RELU, "return 1.0"))
        assert report.status is ReportStatus.GRADED
        assert report.checks[0].status is Status.FAILED

    def test_a_call_nobody_looks_at_must_not_raise(self, engine: Engine, numpy: Assignment) -> None:
        def does_not_look(student: Any, reference: Any, rng: Any) -> None:
            forward(student, np.ones(2))

        assignment = with_checks(numpy, own_check(does_not_look))
        report = engine.grade(assignment, "hw.py", changed(numpy, RELU, "raise ValueError('x')"))
        assert report.checks[0].status is Status.FAILED


class TestHiddenChecks:
    @pytest.mark.parametrize(
        "wrong", ["return x + 1", "raise ValueError(str(x))", "return str(x)", "return None", "return np.zeros((7, 7))"]
    )
    def test_reveal_no_values(self, engine: Engine, numpy: Assignment, wrong: str) -> None:
        def hidden(student: Any, reference: Any, rng: Any) -> None:
            close(forward(student, np.array([31337.5])), np.array([31337.5]), what="31337")

        report = engine.grade(
            with_checks(numpy, own_check(hidden, visible=False)), "hw.py", changed(numpy, RELU, wrong)
        )
        (line,) = report.checks
        assert line.status is Status.FAILED
        assert not line.visible
        assert (line.got, line.expected, line.worst, line.input) == (None, None, None, None)
        assert "31337" not in json.dumps(report.to_json())

    def test_what_is_printed_in_a_hidden_check_is_not_shown(self, engine: Engine, numpy: Assignment) -> None:
        def hidden(student: Any, reference: Any, rng: Any) -> None:
            close(forward(student, np.array([31337.5])), np.array([31337.5]))

        source = changed(numpy, RELU, f"print(x)\n        {RELU}")
        report = engine.grade(with_checks(numpy, own_check(hidden, visible=False)), "hw.py", source)
        assert report.score == 10
        assert "31337" not in json.dumps(report.to_json())

    def test_one_that_was_not_reached_says_why(self, engine: Engine, numpy: Assignment) -> None:
        def first(student: Any, reference: Any, rng: Any) -> None:
            close(forward(student, np.ones(2)), np.ones(2))

        def second(student: Any, reference: Any, rng: Any) -> None: ...

        checks = own_check(first), own_check(second, visible=False, requires=["first"])
        report = engine.grade(with_checks(numpy, *checks), "hw.py", changed(numpy, RELU, "return x + 1"))
        assert [c.status for c in report.checks] == [Status.FAILED, Status.NOT_REACHED]
        assert report.checks[1].message is not None
        assert "builds on" in report.checks[1].message.en


class TestTellingWhileGrading:
    def test_every_check_once_and_in_order(self, engine: Engine, assignment: Assignment) -> None:
        told: list[CheckResult] = []
        threads: set[int] = set()

        def on_check(check: CheckResult) -> None:
            told.append(check)
            threads.add(threading.get_ident())

        source = assignment.mistaken_solution(assignment.mistakes[0]).encode()
        report = engine.grade(assignment, "hw.py", source, on_check=on_check)
        assert threads == {threading.get_ident()}
        assert {c.status for c in told} >= {Status.PASSED, Status.FAILED}
        assert told == [
            CheckResult(
                id=c.id,
                part=c.part,
                title=c.title,
                status=c.status,
                points=c.points,
                max_points=c.max_points,
                visible=c.visible,
            )
            for c in report.checks
        ]

    def test_before_the_next_check_and_before_the_explanation(
        self, engine: Engine, numpy: Assignment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[str] = []

        def first(student: Any, reference: Any, rng: Any) -> None:
            events.append("first runs")
            close(forward(student, np.ones(2)), np.zeros(2))

        def second(student: Any, reference: Any, rng: Any) -> None: ...

        def third(student: Any, reference: Any, rng: Any) -> None:
            events.append("third runs")

        def explain(*_: Any) -> dict[str, Any]:
            events.append("explained")
            return {}

        monkeypatch.setattr("grader.grading.explain", explain)
        checks = own_check(first), own_check(second, requires=["first"]), own_check(third, visible=False)
        engine.grade(
            with_checks(numpy, *checks),
            "hw.py",
            numpy.solution.encode(),
            on_check=lambda c: events.append(f"{c.id} {c.status} {c.points}/{c.max_points} {c.visible}"),
        )
        assert events == [
            "first runs", "first failed 0/10 True", "second not_reached 0/10 True",
            "third runs", "third passed 10/10 False", "explained",
        ]  # fmt: skip

    def test_a_fault_of_the_listener_is_logged_and_harms_nothing(
        self, engine: Engine, numpy: Assignment, caplog: pytest.LogCaptureFixture
    ) -> None:
        def on_check(check: CheckResult) -> None:
            raise RuntimeError(f"nobody is there for {check.id}")

        source = numpy.mistaken_solution(numpy.mistakes[0]).encode()
        alone, listened = (engine.grade(numpy, "hw.py", source, on_check=each) for each in (None, on_check))
        assert stable(listened) == stable(alone)
        assert listened.status is ReportStatus.GRADED
        logged = [r for r in caplog.records if r.exc_info is not None and "nobody is there" in str(r.exc_info[1])]
        assert len(logged) == len(listened.checks)

    def test_a_file_without_checks_tells_nothing(self, engine: Engine, numpy: Assignment) -> None:
        told: list[CheckResult] = []
        report = engine.grade(numpy, "hw.py", numpy.starter.encode(), on_check=told.append)
        assert (report.status, told) == (ReportStatus.NOT_GRADABLE, [])


def descendants(pid: int) -> set[int]:
    """Every process below this one."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            below = {int(child) for child in (task / "children").read_text().split()}
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in below:
            found |= {child} | descendants(child)
    return found


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class TestProcesses:
    @pytest.fixture
    def own(self, make_sandbox: Callable[..., Sandbox], numpy: Assignment) -> Iterator[tuple[Sandbox, Engine]]:
        sandbox = make_sandbox(parked=2)
        engine = Engine(sandbox, b"tests")
        engine.warm_up(numpy)
        sandbox.wait_parked("numpy")
        yield sandbox, engine
        engine.close()
        sandbox.close()

    def test_a_killed_zygote_is_replaced(self, own: tuple[Sandbox, Engine], numpy: Assignment) -> None:
        sandbox, engine = own
        old = sandbox.zygote("numpy")
        for pid in descendants(old._process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        assert eventually(lambda: not old.alive)
        reports = [engine.grade(numpy, "hw.py", numpy.solution.encode()) for _ in range(3)]
        assert [report.score for report in reports][-1] == 100
        assert {r.status for r in reports} <= {ReportStatus.GRADED, ReportStatus.GRADER_ERROR}
        assert sandbox.zygote("numpy") is not old

    def test_a_reference_can_be_made_after_the_zygote_died(self, own: tuple[Sandbox, Engine]) -> None:
        sandbox, _ = own
        old = sandbox.zygote("numpy")
        os.kill(old._process.pid, signal.SIGKILL)
        for pid in descendants(old._process.pid):
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: not old.alive)
        sandbox.spawn("numpy").close()

    def test_a_killed_parked_child_is_not_handed_out(self, own: tuple[Sandbox, Engine], numpy: Assignment) -> None:
        sandbox, engine = own
        victim = sandbox._lanes["numpy"]._parked[0]
        os.kill(victim.pid, signal.SIGKILL)
        assert eventually(victim.dead)
        child = sandbox.take("numpy")
        try:
            assert child is not victim
            assert not child.dead()
        finally:
            child.close()
        assert engine.grade(numpy, "hw.py", numpy.solution.encode()).score == 100

    def test_a_used_child_is_never_handed_out_again(self, own: tuple[Sandbox, Engine], numpy: Assignment) -> None:
        spy = changed(numpy, RELU, f"import sys; sys.modules['spied'] = sys.modules.get('spied', 0)\n        {RELU}")
        source = b"import sys\nassert 'spied' not in sys.modules\n" + spy
        assert [own[1].grade(numpy, "hw.py", source).score for _ in range(4)] == [100] * 4

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_an_error_of_the_machine_does_not_end_the_supply(
        self, own: tuple[Sandbox, Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sandbox, _ = own
        pipe2, refill = os.pipe2, sandbox._lanes["numpy"]._thread
        failures = iter([OSError(24, "Too many open files")])

        def sometimes(flags: int) -> tuple[int, int]:
            if threading.current_thread() is refill:
                error = next(failures, None)
                if error is not None:
                    raised.set()
                    raise error
            return pipe2(flags)

        raised = threading.Event()
        taken = [sandbox.take("numpy") for _ in range(2)]
        monkeypatch.setattr(os, "pipe2", sometimes)
        for child in taken:
            child.close()
        assert eventually(raised.is_set, 5)
        time.sleep(0.1)
        assert refill.is_alive()

    def test_nothing_is_left_behind(self, own: tuple[Sandbox, Engine], numpy: Assignment) -> None:
        sandbox, engine = own
        sources = [
            numpy.solution.encode(),
            b"import os\n" + changed(numpy, RELU, "os._exit(3)"),
            changed(numpy, RELU, "raise ValueError"),
            numpy.starter.encode(),
            b"import threading, time\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n"
            + numpy.solution.encode(),
        ]

        def state() -> tuple[int, int, int]:
            mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
            return len(descendants(os.getpid())), len(os.listdir("/proc/self/fd")), mounts

        for source in sources:
            engine.grade(numpy, "hw.py", source)
        engine.settle()
        sandbox.wait_parked("numpy")
        before, slots = state(), len(sandbox._cgroups._all) if sandbox._cgroups else 0
        for _ in range(6):
            for source in sources:
                engine.grade(numpy, "hw.py", source)
        engine.settle()
        sandbox.wait_parked("numpy")
        assert eventually(lambda: state() == before), f"{state()} instead of {before}"
        if sandbox._cgroups is not None:  # groups are reused: one more child may be on its way out, never thirty
            assert len(sandbox._cgroups._all) <= slots + 2

    def test_close_ends_everything(self, make_sandbox: Callable[..., Sandbox], numpy: Assignment) -> None:
        before, files = descendants(os.getpid()), len(os.listdir("/proc/self/fd"))
        sandbox = make_sandbox()
        engine = Engine(sandbox, b"tests")
        engine.grade(numpy, "hw.py", numpy.solution.encode())
        assert descendants(os.getpid()) - before
        engine.close()
        sandbox.close()
        assert eventually(lambda: not descendants(os.getpid()) - before)
        assert eventually(lambda: len(os.listdir("/proc/self/fd")) <= files)

    def test_two_sandboxes_of_one_process_do_not_share_control_groups(
        self, make_sandbox: Callable[..., Sandbox]
    ) -> None:
        both = [make_sandbox(parked=1) for _ in range(2)]
        try:
            if any(sandbox._cgroups is None for sandbox in both):
                pytest.skip("no control groups here")
            for sandbox in both:
                sandbox.wait_parked("numpy")
            folders = [
                {folder for slot in sandbox._cgroups._all for folder in slot.folders.values()}
                for sandbox in both
                if sandbox._cgroups is not None
            ]
            assert not folders[0] & folders[1]
        finally:
            for sandbox in both:
                sandbox.close()

    def test_two_threads_grade_at_once(self, own: tuple[Sandbox, Engine], numpy: Assignment) -> None:
        engine = own[1]
        wrong = changed(numpy, RELU, "return x")
        expected = {source: stable(engine.grade(numpy, "hw.py", source)) for source in (numpy.solution.encode(), wrong)}
        found: list[tuple[bytes, dict[str, Any]]] = []

        def work() -> None:
            for source in list(expected) * 4:
                found.append((source, stable(engine.grade(numpy, "hw.py", source))))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 16
        assert all(shown == expected[source] for source, shown in found)


class TestModes:
    def test_without_landlock_it_is_mode_b(self, make_sandbox: Callable[..., Sandbox], numpy: Assignment) -> None:
        sandbox = make_sandbox(landlock=False)
        engine = Engine(sandbox, b"tests")
        try:
            report = engine.grade(numpy, "hw.py", numpy.solution.encode())
        finally:
            engine.close()
            sandbox.close()
        assert (sandbox.mode, report.mode, report.score) == (Mode.B, "B", 100)
        assert any("Landlock" in layer for layer in sandbox.missing)

    def test_mode_c_by_consent(self, make_sandbox: Callable[..., Sandbox], numpy: Assignment) -> None:
        sandbox = make_sandbox(mode=Mode.C, allow_degraded=True)
        engine = Engine(sandbox, b"tests")
        try:
            report = engine.grade(numpy, "hw.py", numpy.solution.encode())
            wrong = engine.grade(numpy, "hw.py", changed(numpy, RELU, "return open('/etc/passwd').read()"))
        finally:
            engine.close()
            sandbox.close()
        assert (sandbox.mode, report.mode, report.score) == (Mode.C, "C", 100)
        message = find(wrong, "relu_forward").message
        assert message is not None
        assert "PermissionError" in message.en
