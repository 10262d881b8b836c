"""Zygotes and parked children: the trusted side of the sandbox's process tree.

A zygote is started once a runtime; children are forked ahead of need, warmed, and parked. `Sandbox.take` hands out one
that has never been used and a background thread forks its successor, so a student waits for the checks only.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grader.errors import RuntimeMissing, SandboxError, SandboxUnavailable
from grader.sandbox.cgroups import Cgroups, open_cgroups
from grader.sandbox.child import CallError, Child, ChildEnded, Exit
from grader.sandbox.limits import CheckLimits, Mode

_MODULES = ("wire", "seccomp", "landlock", "jail", "driver", "launcher", "zygote")
# What launcher and zygote start with: an importer for the modules of the bundle on descriptor 4, then the entry.
_BOOT = """
import json, os, sys
from importlib.machinery import ModuleSpec
os.lseek(4, 0, os.SEEK_SET)
with open(4, "rb", closefd=False) as file:
    bundle = json.loads(file.read())
class Bundle:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("grader", "grader.sandbox") or name in bundle["modules"]:
            return ModuleSpec(name, Bundle, is_package=name not in bundle["modules"])
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        text = bundle["modules"].get(module.__name__)
        if text is not None:
            exec(compile(text, "<" + module.__name__ + ">", "exec"), module.__dict__)
sys.meta_path.insert(0, Bundle)
import importlib
module, _, entry = "{entry}".partition(".")
getattr(importlib.import_module("grader.sandbox." + module), entry)(bundle["config"])
"""
_FORKS_A_ZYGOTE = 1000
_READY_S = {"numpy": 30.0, "tensorflow": 120.0, "torch": 60.0}
_PARKED_READY_S = 30.0
_RESERVE_MIB = 256  # above a check's memory, for the runtime's own pages in a control group


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """How to start the sandbox.

    runner_python: the interpreter of `.venv-runner`. runner_uid: who children are when the grader is root. mode: the
    best mode to use; a weaker one is only used as far as allow_degraded (C) and unsafe_own_code (D) permit.
    parked: children kept ready a runtime. memory_mib, cpu_s: budget of a child over its life.
    """

    runner_python: Path
    runner_uid: int = 64873
    mode: Mode = Mode.A
    allow_degraded: bool = False
    unsafe_own_code: bool = False
    landlock: bool = True
    parked: int = 2
    memory_mib: int = 1024
    cpu_s: int = 60
    debug: bool = False  # let launcher and zygote write to our standard error


@dataclass
class _Waiting:
    """A reply or exit that somebody waits for."""

    done: threading.Event = field(default_factory=threading.Event)
    message: dict[str, Any] = field(default_factory=dict)
    fds: list[int] = field(default_factory=list)


class Zygote:
    """The grader's end of one zygote process. Thread-safe."""

    def __init__(self, config: SandboxConfig, runtime: str, mode: Mode, cgroups: Cgroups | None) -> None:
        self.config, self.runtime, self.mode, self.cgroups = config, runtime, mode, cgroups
        self.forks = 0
        self.versions: dict[str, str] = {}
        self.landlock_abi = 0
        self.uid = -1
        self.pid = -1
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._replies: dict[int, _Waiting] = {}
        self._exits: dict[int, _Waiting] = {}
        self._dead: str | None = None
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = _start(config, runtime, mode, theirs)
        except BaseException:
            self._control.close()
            raise
        self._hello()
        self._reader = threading.Thread(target=self._read, name=f"zygote-{runtime}", daemon=True)
        self._reader.start()

    def _hello(self) -> None:
        self._control.settimeout(_READY_S[self.runtime])
        try:
            data = self._control.recv(65536)
        except TimeoutError:
            self.close()
            raise SandboxError(f"the {self.runtime} runtime did not start in {_READY_S[self.runtime]:.0f} s") from None
        self._control.settimeout(None)
        message: dict[str, Any] = (
            json.loads(data) if data else {"op": "failed", "step": "start of the interpreter", "errno": 0}
        )
        if message["op"] == "missing":
            self.close()
            raise RuntimeMissing(missing_runtime(self.runtime, message["module"]))
        if message["op"] != "ready":
            self.close()
            raise LayerMissing(message["step"], message["errno"])
        self.versions, self.landlock_abi, self.uid = message["versions"], message["landlock"], message["uid"]
        if message["threads"] != 1:
            self.close()
            raise SandboxError(
                f"the {self.runtime} zygote has {message['threads']} threads after its imports; 1 is required"
            )

    def _read(self) -> None:
        """Hands each message to whoever waits for it; runs until the zygote closes its socket."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._control, 65536, 1)
            except OSError:
                data, fds = b"", []
            if not data:
                break
            message = json.loads(data)
            with self._lock:
                table = self._exits if message["op"] == "exited" else self._replies
                waiting = table.get(message["id"])
                if waiting is None:
                    continue
                waiting.message, waiting.fds = message, list(fds)
            waiting.done.set()
        with self._lock:
            self._dead = "the zygote ended"
            pending = [*self._replies.values(), *self._exits.values()]
        for waiting in pending:
            waiting.done.set()

    @property
    def alive(self) -> bool:
        return self._dead is None

    def spawn(self, *, cpu_s: int | None = None) -> Child:
        """A fresh child, locked down, warm, parked. cpu_s: CPU over its life, 0 for no limit. Raises SandboxError."""
        with contextlib.ExitStack() as undo:
            slot = None
            if self.cgroups is not None:
                slot = self.cgroups.take()
                undo.callback(self.cgroups.give_back, slot)
            try:
                child = self._fork(self.config.cpu_s if cpu_s is None else cpu_s)
                undo.callback(child.close)
                if slot is not None:
                    slot.limit(self.config.memory_mib + _RESERVE_MIB)
                    slot.add(child.pid)
                    child.memory_exceeded = slot.exceeded
                child.go()
                child.wait_ready(_PARKED_READY_S)
            except OSError as error:
                raise SandboxError(f"a child of the {self.runtime} zygote could not be made: {error}") from error
            undo.pop_all()  # from here on closing the child gives everything back
        if self.cgroups is not None and slot is not None:
            child.closers.append(functools.partial(self.cgroups.give_back, slot))
        child.origin = self
        return child

    def _fork(self, cpu_s: int) -> Child:
        """Asks for a fork and takes the grader's ends of its pipes. What fails here leaves nothing open."""
        identity = next(self._ids)
        gone = _Waiting()
        with self._lock:
            self._exits[identity] = gone
            self.forks += 1
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            ours.callback(self._exits.pop, identity, None)
            pipes = []
            for _ in range(3):
                read, write = os.pipe2(os.O_CLOEXEC)
                pipes.append((read, write))
                mine, its = (write, read) if len(pipes) == 1 else (read, write)
                ours.callback(os.close, mine)
                theirs.callback(os.close, its)
            (job_read, our_write), (our_read, job_write), (our_out, out) = pipes
            fds = [job_read, job_write, out]
            reply = self._ask(fds, op="spawn", id=identity, memory_mib=self.config.memory_mib, cpu_s=cpu_s)
            if not reply.fds:
                raise SandboxError(f"the {self.runtime} zygote could not fork: {reply.message}")
            ours.callback(os.close, reply.fds[0])
            child = Child(
                pidfd=reply.fds[0],
                job_write=our_write,
                job_read=our_read,
                out=our_out,
                wait_exit=lambda: self._wait_exit(identity, gone),
                set_memory=lambda memory_mib: self._set_memory(identity, memory_mib),
                budget_mib=self.config.memory_mib,
            )
            ours.pop_all()
            return child

    def _ask(self, fds: list[int], **request: Any) -> _Waiting:
        """One question about one child, and the zygote's reply. Raises SandboxError when there is none."""
        reply = _Waiting()
        with self._lock:
            if self._dead:
                raise SandboxError(self._dead)
            self._replies[request["id"]] = reply
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], fds)
            except OSError as error:
                del self._replies[request["id"]]
                raise SandboxError(f"the {self.runtime} zygote does not listen: {error.strerror}") from None
        answered = reply.done.wait(10.0)
        with self._lock:
            self._replies.pop(request["id"], None)
        if not answered or not reply.message:
            raise SandboxError(f"the {self.runtime} zygote did not answer: {self._dead or 'it took over 10 s'}")
        return reply

    def _set_memory(self, identity: int, memory_mib: int) -> None:
        self._ask([], op="limit", id=identity, memory_mib=memory_mib)

    def _wait_exit(self, identity: int, gone: _Waiting) -> Exit:
        gone.done.wait(5.0)
        with self._lock:
            self._exits.pop(identity, None)
        message = gone.message
        if not message:  # the zygote died first; the kernel has killed its children
            return Exit(-9, 0.0, 0, orphaned=True)
        return Exit(message["status"], message["cpu_s"], message["peak_mib"])

    def retire(self) -> None:
        """Ends the zygote when its last child has gone."""
        while self.alive and self._exits:
            time.sleep(0.2)
        self.close()

    def close(self) -> None:
        """Ends the zygote, and with it every child it has."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class LayerMissing(SandboxError):
    """A step of building the jail was refused by the kernel; step and errno say which and how."""

    def __init__(self, step: str, errno: int) -> None:
        super().__init__(f"{step}: {os.strerror(errno) if errno else 'failed'}")
        self.step, self.errno = step, errno


def missing_runtime(runtime: str, module: str) -> str:
    command = "make setup TORCH=1" if runtime == "torch" else "make setup"
    return f"the runner environment has no {module}, which runtime {runtime} needs; run: {command}"


def _start(config: SandboxConfig, runtime: str, mode: Mode, control: socket.socket) -> subprocess.Popen[bytes]:
    """Executes the launcher with an empty environment and two descriptors: the socket (3) and the bundle (4)."""
    if not config.runner_python.exists():
        raise SandboxUnavailable(f"there is no interpreter at {config.runner_python}; run: make setup")
    folder = Path(__file__).parent
    bundle = {
        "modules": {f"grader.sandbox.{name}": (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES},
        "config": {
            "boot": _BOOT,
            "mode": str(mode),
            "runtime": runtime,
            "runner_uid": config.runner_uid,
            "landlock": config.landlock,
            "process_limit": _kernel_version() >= (5, 14),
        },
    }
    memory = os.memfd_create("bundle")
    try:
        os.write(memory, json.dumps(bundle).encode())
        # subprocess offers no way to place descriptors; the launcher's first line does.
        place = "import os, sys; a, b = map(int, sys.argv[1:3]); " + (
            "c = os.dup(a), os.dup(b); os.dup2(os.dup(c[0]), 203); os.dup2(os.dup(c[1]), 204); "
            "os.dup2(203, 3); os.dup2(204, 4); os.closerange(5, 1024)\n"
        )
        return subprocess.Popen(
            [
                config.runner_python.absolute(),
                "-I",
                "-c",
                place + _BOOT.format(entry="launcher.launch"),
                str(control.fileno()),
                str(memory),
            ],
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if config.debug else subprocess.DEVNULL,
            pass_fds=(control.fileno(), memory),
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SandboxUnavailable(
            f"the interpreter {config.runner_python} cannot be started ({error.strerror}); run: make setup"
        ) from None
    finally:
        os.close(memory)


def _kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or 0)


class Sandbox:
    """The entrance: isolation of the best mode this machine gives, children on request. Thread-safe.

    Raises SandboxUnavailable from `start` when the mode would be weaker than the configuration permits.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.mode: Mode | None = None
        self.missing: list[str] = []  # layers that are not there, in words
        self._cgroups: Cgroups | None = None
        self._lanes: dict[str, _Lane] = {}
        self._preparations: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, runtime: str, *, parked: int | None = None) -> None:
        """Starts the zygote of a runtime and begins to park children. Does nothing when it runs already."""
        with self._lock:
            if runtime in self._lanes:
                return
            if self.mode is None:
                self._choose_mode()
            assert self.mode is not None
            mode, cgroups = self.mode, self._cgroups
            count = self.config.parked if parked is None else parked
            preparations = self._preparations.setdefault(runtime, [])
            self._lanes[runtime] = _Lane(lambda: Zygote(self.config, runtime, mode, cgroups), count, preparations)

    def prepare(self, runtime: str, **arguments: Any) -> None:
        """What the driver's operation `prepare` should be asked in every child parked from now on."""
        with self._lock:
            preparations = self._preparations.setdefault(runtime, [])
            if arguments not in preparations:
                preparations.append(arguments)

    def _choose_mode(self) -> None:
        """Fails closed: a weaker mode than A or B needs explicit consent, D only ever runs an author's own code."""
        if sys.platform != "linux":
            raise SandboxUnavailable("Grader needs a Linux kernel; on other systems run it in a Linux virtual machine")
        mode, why = probe(self.config)
        self.missing = list(why)
        if mode is Mode.C and not self.config.allow_degraded and not self.config.unsafe_own_code:
            raise SandboxUnavailable(refusal(mode, why))
        if mode is Mode.D and not self.config.unsafe_own_code:
            raise SandboxUnavailable(refusal(mode, why))
        cgroups = open_cgroups()
        if isinstance(cgroups, str):
            self.missing.append(cgroups)
            mode = Mode.B if mode is Mode.A else mode
        else:
            self._cgroups = cgroups
        self.mode = mode

    @property
    def grouped(self) -> bool:
        """Whether children run in control groups with limits."""
        return self._cgroups is not None

    def take(self, runtime: str) -> Child:
        """A parked child that nobody has used. Raises SandboxError."""
        self.start(runtime)
        return self._lanes[runtime].take()

    def spawn(self, runtime: str) -> Child:
        """A child beside the parked ones, for a reference that lives long."""
        self.start(runtime)
        return self._lanes[runtime].zygote().spawn(cpu_s=0)

    def wait_parked(self, runtime: str) -> None:
        """Until the full number of children is parked; for measurements."""
        self._lanes[runtime].wait_parked()

    def versions(self, runtime: str) -> dict[str, str]:
        self.start(runtime)
        return self._lanes[runtime].zygote().versions

    def zygote(self, runtime: str) -> Zygote:
        self.start(runtime)
        return self._lanes[runtime].zygote()

    def close(self) -> None:
        with self._lock:
            lanes, self._lanes = list(self._lanes.values()), {}
        for lane in lanes:
            lane.close()
        if self._cgroups is not None:
            self._cgroups.close()
            self._cgroups = None


class _Lane:
    """One runtime: its zygote, its parked children, and the thread that replaces those taken."""

    def __init__(self, make: Callable[[], Zygote], count: int, preparations: list[dict[str, Any]]) -> None:
        self._make, self._count, self._preparations = make, count, preparations
        self._zygote = make()
        self._parked: deque[Child] = deque()
        self._changed = threading.Condition()
        self._replacing = threading.RLock()
        self._busy = 0  # children taken and not closed yet
        self._closing = False
        self._error: SandboxError | None = None
        self._thread = threading.Thread(target=self._refill, name="refill", daemon=True)
        self._thread.start()

    def zygote(self) -> Zygote:
        """The living zygote; a new one when the last was killed. Raises SandboxError."""
        with self._replacing:
            if not self._zygote.alive:
                self._replace()
            return self._zygote

    def _refill(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._wanted)
                if self._closing:
                    return
            try:
                with self._replacing:
                    if self._zygote.forks >= _FORKS_A_ZYGOTE:
                        self._replace()
                child = self.zygote().spawn()
                self._prepare(child)
            except (SandboxError, OSError) as error:  # an error of the machine must not end the supply
                with self._changed:
                    self._error = error if isinstance(error, SandboxError) else SandboxError(str(error))
                    self._changed.notify_all()
                continue
            with self._changed:
                self._parked.append(child)
                self._changed.notify_all()

    def _wanted(self) -> bool:
        """Whether to fork now: at once when none is parked, else when no grading would have to share the processor."""
        if self._closing or self._error:
            return self._closing
        return not self._parked or (len(self._parked) < self._count and not self._busy)

    def _less_busy(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def _prepare(self, child: Child) -> None:
        child.begin(CheckLimits(cpu_s=20.0, wall_s=20.0))
        try:
            for arguments in list(self._preparations):
                child.ask("prepare", **arguments)
        except (ChildEnded, CallError) as error:
            child.close()
            raise SandboxError(f"a parked child could not be prepared: {error}") from error

    def _replace(self) -> None:
        """A new zygote for one that is old or dead. Children of the old one that are in use die with it only if it
        is dead already; a living one is retired when its parked children are gone."""
        old, self._zygote = self._zygote, self._make()
        with self._changed:
            stale, self._parked = list(self._parked), deque()
            self._changed.notify_all()
        for child in stale:
            child.close()
        if not old.alive:
            old.close()
        else:
            threading.Thread(target=old.retire, name="retire", daemon=True).start()

    def take(self) -> Child:
        with self._changed:
            if not self._changed.wait_for(lambda: self._parked or self._error or self._closing, _PARKED_READY_S):
                raise SandboxError(f"no parked child within {_PARKED_READY_S:.0f} s")
            if self._parked:
                child = self._parked.popleft()
            else:
                error, self._error = self._error, None  # the next taker tries again
                self._changed.notify_all()
                raise error or SandboxError("the sandbox is closing")
            self._busy += 1
            self._changed.notify_all()
        child.closers.append(self._less_busy)
        if child.dead():  # killed while it was parked, by the kernel or an administrator
            child.close()
            return self.take()
        return child

    def wait_parked(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._parked) >= self._count or self._error, _PARKED_READY_S)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_PARKED_READY_S)
        for child in self._parked:
            child.close()
        self._zygote.close()


def probe(config: SandboxConfig) -> tuple[Mode, list[str]]:
    """The best mode that the kernel gives here (A stands for A or B: cgroups are looked at later), and what is missing.

    Starts a NumPy zygote and one child for real: what counts is what works, not what /proc/sys says.
    """
    why: list[str] = []
    wanted = [mode for mode in (Mode.A, Mode.C) if mode >= config.mode or (config.mode is Mode.B and mode is Mode.A)]
    for mode in wanted:
        try:
            zygote = Zygote(config, "numpy", mode, None)
        except LayerMissing as error:
            why.append(str(error))
            continue
        try:
            zygote.spawn().close()
        except SandboxError as error:
            why.append(str(error))
            continue
        finally:
            zygote.close()
        if mode is Mode.C and zygote.uid == 0:
            why.append("students' code keeps root's user number, because only root can reach the interpreter")
        if zygote.landlock_abi == 0:
            why.append("Landlock is not available")
            if mode is Mode.C:
                continue
            return Mode.B, why
        return (Mode.B if config.mode is Mode.B else mode), why
    return Mode.D, why


def refusal(mode: Mode, why: Iterable[str]) -> str:
    """Why this machine may not grade, and the command that helps."""
    reasons = "; ".join(why) or "no isolation was asked for"
    advice = advise(reasons)
    if mode is Mode.C:
        return (
            f"namespaces are refused here ({reasons}), so the sandbox would be mode C. {advice} "
            "In a dedicated container without secrets and network you may accept it: GRADER_ALLOW_DEGRADED=1"
        )
    return (
        f"this machine isolates nothing ({reasons}), so other people's code is not run. {advice} "
        "For your own code only: --unsafe-own-code"
    )


def advise(reasons: str) -> str:
    """The exact command for the most common causes."""
    restrict = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if restrict.exists() and restrict.read_text().strip() == "1":
        return "Run: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    userns = Path("/proc/sys/kernel/unprivileged_userns_clone")
    if userns.exists() and userns.read_text().strip() == "0":
        return "Run: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    most = Path("/proc/sys/user/max_user_namespaces")
    if most.exists() and most.read_text().strip() == "0":
        return "Run: sudo sysctl -w user.max_user_namespaces=15000"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return "Start the container with: --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    return "Grader needs Linux 5.13 or newer with user namespaces, seccomp and Landlock; see: grader doctor"
