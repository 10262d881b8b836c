"""The sandbox's own side under attack or bad luck: dead zygotes, failing forks, leaks, and what is left at the end.

Each test has a sandbox of its own, because it breaks it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.assignments import load
from grader.errors import SandboxError
from grader.grading import Engine
from grader.reports import Report, ReportStatus
from grader.sandbox import zygotes
from grader.sandbox.child import Child
from grader.sandbox.limits import CheckLimits, Mode, SandboxConfig
from grader.sandbox.pool import Sandbox

from .arena import PROJECT, RUNNER, SECRET, Arena, children_of

pytestmark = pytest.mark.sandbox


State = tuple[int, int, list[int], str, list[str]]


@contextlib.contextmanager
def own_sandbox(parked: int = 1) -> Iterator[Sandbox]:
    """Mode B: no control groups, which another sandbox of this process might share."""
    with Sandbox(SandboxConfig(runner_python=RUNNER, parked=parked, mode=Mode.B)) as sandbox:
        sandbox.start("numpy")
        sandbox.wait_parked("numpy")
        yield sandbox


@contextlib.contextmanager
def own_engine(arena: Arena) -> Iterator[Engine]:
    with own_sandbox() as sandbox:
        engine = Engine(sandbox, SECRET)
        engine.warm_up(arena.assignment)
        sandbox.wait_parked("numpy")
        try:
            yield engine
        finally:
            engine.close()


def grade(engine: Engine, arena: Arena, code: str = "") -> Report:
    report = engine.grade(arena.assignment, "solution.py", arena.submission(code).encode())
    engine.settle()
    return report


def zygote_of(sandbox: Sandbox) -> int:
    return children_of(sandbox.zygote("numpy")._process.pid)[0]


def test_nothing_is_left_at_the_end(arena: Arena) -> None:
    """I4 for a whole life: descriptors, threads, processes, mounts, control groups."""

    def state() -> State:
        groups = [str(p) for p in Path("/sys/fs/cgroup").glob(f"*/**/grader-{os.getpid()}/*") if p.is_dir()]
        return (
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            sorted(children_of(os.getpid())),
            Path("/proc/self/mountinfo").read_text(),
            sorted(groups),
        )

    def within(now: State, then: State) -> bool:
        return now[0] <= then[0] and now[1] <= then[1] and now[2:] == then[2:]

    before = state()
    with own_engine(arena) as engine:
        assert grade(engine, arena).score == 100
        grade(engine, arena, "import os\nclass Relu(HonestRelu):\n    def forward(self, x): os._exit(0)\n")
    deadline = time.monotonic() + 3.0
    while not within(state(), before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert within(state(), before), (state(), before)


# Was a flaw (pool.py, _Lane/Sandbox.spawn):
# the refill thread notices a dead zygote only when a parked child is taken, but a
# grading borrows a reference first: spawn on the dead zygote is SandboxError for ever.
def test_a_dead_zygote_is_replaced(arena: Arena) -> None:
    with own_engine(arena) as engine:
        os.kill(zygote_of(engine.sandbox), signal.SIGKILL)
        time.sleep(0.3)
        reports = []
        for _ in range(3):
            reports.append(grade(engine, arena))
            time.sleep(0.5)
        assert reports[-1].score == 100, [str(r.status) for r in reports]


# Was a flaw (pool.py, Zygote._wait_exit / child.py, _ended_by_itself):
# a child that goes with its zygote counts as killed by
# SIGKILL, a fault of the student. Our own fault is no verdict: raise SandboxError when the zygote is gone.
def test_a_zygote_that_dies_meanwhile_costs_no_points(arena: Arena) -> None:
    checks = tuple(c for c in arena.assignment.checks if c.id == "relu_forward")
    slow = (
        "import time\nclass Relu(HonestRelu):\n    def forward(self, x):\n"
        "        time.sleep(1); return super().forward(x)\n"
    )
    with own_engine(arena) as engine:
        pid = zygote_of(engine.sandbox)
        timer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
        timer.start()
        report = engine.grade(replace(arena.assignment, checks=checks), "solution.py", arena.submission(slow).encode())
        timer.join()
        engine.settle()
        assert report.status is ReportStatus.GRADER_ERROR or report.score == 7, report


# A SIGKILL that no limit explains comes from outside (the kernel short of memory, an administrator), for process 1 of a
# pid namespace cannot kill itself. It is no fault of the student's.
def test_a_child_killed_from_outside_costs_no_points(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = tuple(c for c in arena.assignment.checks if c.id == "relu_forward")
    slow = (
        "import time\nclass Relu(HonestRelu):\n    def forward(self, x):\n"
        "        time.sleep(0.3); return super().forward(x)\n"
    )
    with own_engine(arena) as engine:
        take = engine.sandbox.take
        killed: list[int] = []

        def taken(*arguments: Any, **named: Any) -> Child:
            child = take(*arguments, **named)
            if not killed:
                killed.append(child.pid)
                threading.Timer(0.2, os.kill, (child.pid, signal.SIGKILL)).start()
            return child

        monkeypatch.setattr(engine.sandbox, "take", taken)
        shorter = replace(arena.assignment, checks=checks)
        report = engine.grade(shorter, "solution.py", arena.submission(slow).encode())
        engine.settle()
        assert report.status is ReportStatus.GRADER_ERROR or report.score == 7, report


# Was a flaw (pool.py, Zygote._spawn):
# between the fork and `wait_ready` an error is an OSError, not a SandboxError, and the
# descriptors stay open; the refill thread catches SandboxError only and ends, and every later take waits 30 s and
# fails.
@pytest.mark.parametrize("step", ["child", "go"])
def test_a_failed_spawn_leaks_nothing_and_is_tried_again(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)  # a thread that dies is seen below
    with own_sandbox() as sandbox:
        before = len(os.listdir("/proc/self/fd"))
        failed: list[str] = []
        refill: Any = sandbox._lanes["numpy"]
        make, write = Child, os.write

        def once(**arguments: Any) -> Child:
            if step == "child" and not failed and threading.current_thread() is refill._thread:
                failed.append(step)
                raise OSError(3, "No such process")
            return make(**arguments)

        def go(fd: int, data: bytes) -> int:
            if step == "go" and not failed and data == b"G" and threading.current_thread() is refill._thread:
                failed.append(step)
                raise BrokenPipeError
            return write(fd, data)

        monkeypatch.setattr(zygotes, "Child", once)
        monkeypatch.setattr(os, "write", go)
        _take_and_close(sandbox)  # its successor fails
        _until(lambda: bool(failed))
        assert _alive(sandbox)
        for _ in range(3):
            with contextlib.suppress(SandboxError):
                _take_and_close(sandbox)
        sandbox.wait_parked("numpy")
        assert len(os.listdir("/proc/self/fd")) <= before


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2.0
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


# Was a flaw (pool.py, Zygote._spawn):
# os.pipe2 stands outside of the try; EMFILE leaves pipes open and ends the refill
# thread.
def test_short_of_descriptors_is_an_error_that_passes(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)  # a thread that dies is seen below
    with own_sandbox() as sandbox:
        before = len(os.listdir("/proc/self/fd"))
        original, count = os.pipe2, [0]

        def pipe2(flags: int) -> tuple[int, int]:
            count[0] += 1
            if count[0] == 2:
                raise OSError(24, "Too many open files")
            return original(flags)

        monkeypatch.setattr(os, "pipe2", pipe2)
        _take_and_close(sandbox)
        _until(lambda: count[0] >= 2)
        assert _alive(sandbox)
        for _ in range(2):
            with contextlib.suppress(SandboxError):
                _take_and_close(sandbox)
        sandbox.wait_parked("numpy")
        assert len(os.listdir("/proc/self/fd")) <= before


def _alive(sandbox: Sandbox) -> bool:
    time.sleep(0.2)
    lane: Any = sandbox._lanes["numpy"]
    return bool(lane._thread.is_alive())


def _take_and_close(sandbox: Sandbox) -> None:
    child = sandbox.take("numpy")
    child.close()


# Was a flaw (zygote.py, Zygote.spawn):
# after a failed fork the zygote does not return to its own pid namespace for children;
# every later unshare(NEWPID) is EINVAL, while the zygote lives and is never replaced. Put setns into a finally.
def test_a_fork_that_fails_once_is_not_the_end(arena: Arena) -> None:
    cgroups = arena.sandbox._cgroups
    if cgroups is None:
        pytest.skip("only where there are control groups")
    with own_sandbox() as sandbox:
        pid = zygote_of(sandbox)
        parent = cgroups.parents.get("pids") or cgroups.parents["unified"]
        tight = parent / f"tight-{pid}"
        tight.mkdir()
        (tight / "cgroup.procs").write_text(str(pid))
        (tight / "pids.max").write_text("1")
        with pytest.raises(SandboxError):
            sandbox.zygote("numpy").spawn()
        (tight / "pids.max").write_text("max")
        try:
            sandbox.zygote("numpy").spawn().close()
        finally:
            os.kill(pid, signal.SIGKILL)
            for _ in range(100):
                with contextlib.suppress(OSError):
                    tight.rmdir()
                    break
                time.sleep(0.02)


# Was a flaw (child.py, Child.dead and _ended_by_itself):
# select() takes no descriptor above 1023; a service with that many
# open gets ValueError. Use poll.
def test_many_open_descriptors_are_no_trouble(arena: Arena) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the limit of descriptors is too low here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        with own_sandbox() as sandbox:
            child = sandbox.zygote("numpy").spawn()
            try:
                assert child.pidfd > 1023
                assert not child.dead()
            finally:
                child.close()
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Was a flaw (cgroups.py, _open_v1/_open_v2):
# the parent group is named after the process only, so two sandboxes of one
# process share slots: one memory limit for two children, and the first to close removes groups of the other, whose
# next spawn raises FileNotFoundError and ends its refill thread. Put a counter or random part into the name.
def test_two_sandboxes_of_one_process_do_not_disturb_each_other(arena: Arena) -> None:
    if arena.sandbox.mode is not Mode.A:
        pytest.skip("only where there are control groups")
    script = f"""
import sys
from pathlib import Path
from grader.sandbox.pool import Sandbox
from grader.sandbox.limits import SandboxConfig
config = SandboxConfig(runner_python=Path({str(RUNNER)!r}), parked=1)
with Sandbox(config) as first:
    first.start("numpy"); first.wait_parked("numpy")
    first.take("numpy").close()
    with Sandbox(config) as second:
        second.start("numpy"); second.wait_parked("numpy")
        shared = [s.folders for s in first._cgroups._all if s.folders in [t.folders for t in second._cgroups._all]]
    print("shared" if shared else "apart", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=90, cwd=PROJECT)
    assert done.stdout.strip() == "apart", done


# Was a flaw (pool.py, Sandbox.spawn):
# a reference gets the 60 s of CPU that a submission's child gets, over its whole life
# of up to 20,000 uses; the kernel then kills it in the middle of somebody's grading, which ends as grader_error.
def test_a_reference_is_not_limited_like_a_submission(arena: Arena) -> None:
    reference = arena.engine.references.borrow(arena.assignment)
    try:
        _, hard = resource.prlimit(reference._child.pid, resource.RLIMIT_CPU)
    except PermissionError:
        text = Path(f"/proc/{reference._child.pid}/limits").read_text()
        line = next(line for line in text.splitlines() if line.startswith("Max cpu time"))
        hard = -1 if "unlimited" in line else int(line.split()[4])
    finally:
        arena.engine.references.give_back(arena.assignment, reference)
    assert hard == resource.RLIM_INFINITY or hard >= 3600


# Was a flaw (child.py, Child._limit_memory):
# prlimit of another user's process needs CAP_SYS_RESOURCE, which a container does
# not give; PermissionError leaves Engine.grade. Let the child's driver set the soft limit for itself, or go on without.
def test_a_check_may_have_less_memory_than_the_rest(arena: Arena) -> None:
    graded = arena.grade("", limits=CheckLimits(memory_mib=256))
    assert graded.report.score == 100


def test_a_reference_that_dies_is_our_fault_and_is_replaced(arena: Arena) -> None:
    with own_engine(arena) as engine:
        stock = engine.references._free
        for reference in next(iter(stock.values())):
            os.kill(reference._child.pid, signal.SIGKILL)
        time.sleep(0.1)
        assert grade(engine, arena).score == 100


def test_names_in_a_submission_do_not_meet_the_references(arena: Arena) -> None:
    """Student and reference both load as a module of a fixed name, in processes of their own."""
    code = (
        "import sys\nclass Relu(HonestRelu):\n    def forward(self, x):\n"
        "        sys.modules['solution'] = sys.modules['main'] = None\n        return super().forward(x)\n"
    )
    assert arena.grade(code).report.score == 100


def test_a_slot_comes_back_from_every_way_of_ending(arena: Arena) -> None:
    if arena.sandbox.mode is not Mode.A:
        pytest.skip("only where there are control groups")
    cgroups = arena.sandbox._cgroups
    assert cgroups is not None
    for body in ("os._exit(0)", "os.abort()", "os.close(4); time.sleep(9)", "[0] * 10**10", "sys.exit()", "1/0"):
        arena.run(f"def attack(): {body}")
        arena.settled()
        used = len(cgroups._all) - len(cgroups._free)
        assert used == 4, (body, used)  # two parked children and two references


# Was a flaw (grading.py, Engine.grade):
# only GraderError is caught; anything unforeseen must be grader_error, not a crash.
def test_an_unforeseen_exception_is_a_fault_of_ours(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("grader.grading.explain", broken)
    with own_engine(arena) as engine:
        assert grade(engine, arena).status is ReportStatus.GRADER_ERROR


def test_the_assignment_is_the_one_that_was_loaded() -> None:
    """A verdict names the version of what it was formed with: the same folder gives the same version."""
    folder = PROJECT / "reference" / "numpy_autodiff"
    assert load(folder).version == load(folder).version
