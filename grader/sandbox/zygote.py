"""The zygote: a process that has imported a runtime, forks a locked child on request, and does nothing else.

It is process 1 of a pid namespace inside the jail's root, has exactly one thread, and never runs an operation of
the framework: a child forked after that would hang in `tf.function` or in a parallel region of torch. It speaks JSON
over one SOCK_SEQPACKET socket with the grader:

    grader: {"op": "spawn", "id": 7, "memory_mib": 1024, "cpu_s": 60} + three pipe ends
    zygote: {"op": "spawned", "id": 7} + pidfd     {"op": "exited", "id": 7, "status": 9, "cpu_s": ..., "peak_mib": ...}

The end of the grader is the end of the socket is the end of the zygote is, by the kernel, the end of every child.

This text and its neighbours reach the bare interpreter as one bundle over a descriptor (launcher.py), so nothing of
ours lies in the jail's file system.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import resource
import select
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from grader.sandbox import jail, landlock, plotting, seccomp, serving, substitutes
from grader.sandbox.launcher import BUNDLE, CONTROL, PROC, digits, send

# What each runtime imports before the first fork. Lazily imported pieces of NumPy are named because the import
# would otherwise be paid by every child.
IMPORTS: Mapping[str, Sequence[str]] = {
    "numpy": ("numpy", "numpy.random", "numpy.linalg", "numpy.fft", "numpy.ma", "math", "random", "typing"),
    "tensorflow": ("numpy", "numpy.random", "numpy.linalg", "tensorflow", "keras", "math", "random", "typing"),
    # torch imports torch._dynamo at the first step of any optimiser, which takes a second of CPU.
    "torch": (
        "numpy", "numpy.random", "numpy.linalg", "torch", "torch.nn", "torch.optim", "torch._dynamo", "math", "random",
        "typing",
    ),
}  # fmt: skip

# Importing matplotlib takes longer than all the rest of a NumPy zygote. So it is done when nobody has asked for
# anything for a while: a command that grades one file never waits for it, and children of a service have it.
_QUIET_MS = 2000


def serve(config: dict[str, Any]) -> None:
    """Entry of the zygote: imports the runtime, reports ready, forks children until the socket closes."""
    control = socket.socket(fileno=CONTROL)
    if config["mode"] not in "AB":
        substitutes.keep_digits(digits(config))
    os.close(BUNDLE)
    try:
        versions = _import_runtime(config["runtime"])
    except ImportError as error:
        send(control, {"op": "missing", "module": error.name or str(error)[:200]})
        os._exit(1)
    if config["mode"] not in "AB":
        plotting.warm_where_nothing_can_be_written()
    zygote = Zygote(config, control)
    serving.rehearse(30)
    gc.collect()
    gc.freeze()
    send(
        control,
        {
            "op": "ready",
            "uid": os.getuid() if config["mode"] not in "AB" else config["runner_uid"],
            "versions": versions,
            "threads": zygote.threads(),
            "landlock": zygote.abi,
            "vm_mib": zygote.vm_mib(),
        },
    )
    zygote.run()
    os._exit(0)


def _import_runtime(runtime: str) -> dict[str, str]:
    for name in IMPORTS[runtime]:
        __import__(name)
    if runtime == "tensorflow":
        substitutes.give_keras_digits()
    if runtime == "torch":
        torch = sys.modules["torch"]
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
    names = ("numpy", "tensorflow", "keras", "torch")
    found = {name: str(sys.modules[name].__version__) for name in names if name in sys.modules}
    return {"python": platform.python_version(), **found}


class Zygote:
    """The event loop. Single-threaded on purpose: a fork copies one thread only."""

    def __init__(self, config: dict[str, Any], control: socket.socket) -> None:
        self.config, self.control = config, control
        self.mode: str = config["mode"]
        self.abi = landlock.abi_version() if config["landlock"] and self.mode != "D" else 0
        self.filter = b""
        if self.mode != "D":
            inside = self.mode in "AB"
            self.filter = seccomp.build_filter(platform.machine(), namespaces=inside)
        self.children: dict[int, tuple[int, int]] = {}  # pidfd: (pid in this namespace, id)
        self.bases: dict[int, tuple[int, int]] = {}  # id: (pid in this namespace, MiB of address space at its fork)
        self.own_pids = os.open("self/ns/pid", os.O_RDONLY, dir_fd=PROC) if self.mode in "AB" else -1
        self.binds = list(jail.runner_binds().values()) if self.mode not in "AB" else []

    def threads(self) -> int:
        fd = os.open("self/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=PROC)
        try:
            return len(os.listdir(fd))
        finally:
            os.close(fd)

    def vm_mib(self) -> int:
        fd = os.open("self/statm", os.O_RDONLY, dir_fd=PROC)
        try:
            return int(os.read(fd, 200).split()[0]) * os.sysconf("SC_PAGE_SIZE") >> 20
        finally:
            os.close(fd)

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        quiet_ms: int | None = _QUIET_MS if self.mode in "AB" else None
        while True:
            ready = poll.poll(quiet_ms)
            if not ready:
                quiet_ms = None
                plotting.warm()
                gc.collect()
                gc.freeze()
            for fd, _ in ready:
                if fd != self.control.fileno():
                    poll.unregister(fd)
                    self.reap(fd)
                    continue
                data, fds, _, _ = socket.recv_fds(self.control, 65536, 3)
                if not data:
                    return
                request = json.loads(data)
                if request["op"] == "limit":
                    self.limit(request)
                elif (pidfd := self.spawn(request, fds)) >= 0:
                    poll.register(pidfd, select.POLLIN)

    def spawn(self, request: dict[str, Any], fds: list[int]) -> int:
        """Forks one child that owns the three descriptors; returns its pidfd, or -1 after an error reply."""
        try:
            if self.threads() != 1:
                raise OSError(0, "", "the zygote has more than one thread")
            if self.mode in "AB":
                jail.unshare(jail.CLONE_NEWPID, "unshare pid namespace of the child")
            base_mib = self.vm_mib()
            address_space = (base_mib + request["memory_mib"]) << 20
            try:
                pid = os.fork()
                if pid == 0:
                    self.child(request, fds, address_space)
            finally:
                if self.mode in "AB":  # also after a fork that failed, or the next unshare would fail too
                    jail.setns(self.own_pids, jail.CLONE_NEWPID)
            pidfd = os.pidfd_open(pid)
        except OSError as error:
            step = str(error.filename or "fork")
            send(self.control, {"op": "error", "id": request["id"], "step": step, "errno": error.errno or 0})
            return -1
        finally:
            for fd in fds:
                os.close(fd)
        self.children[pidfd] = (pid, request["id"])
        self.bases[request["id"]] = (pid, base_mib)
        socket.send_fds(self.control, [json.dumps({"op": "spawned", "id": request["id"]}).encode()], [pidfd])
        return pidfd

    def limit(self, request: dict[str, Any]) -> None:
        """Sets the soft limit of a child's address space, at most the hard one. A dead child changes nothing."""
        pid, base_mib = self.bases.get(request["id"], (0, 0))
        if pid:
            with contextlib.suppress(ProcessLookupError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_AS)
                soft = min((base_mib + request["memory_mib"]) << 20, hard) if hard >= 0 else -1
                resource.prlimit(pid, resource.RLIMIT_AS, (soft, hard))
        send(self.control, {"op": "limited", "id": request["id"]})

    def reap(self, pidfd: int) -> None:
        pid, identity = self.children.pop(pidfd)
        self.bases.pop(identity, None)
        _, status, usage = os.wait4(pid, 0)
        os.close(pidfd)
        send(
            self.control,
            {
                "op": "exited",
                "id": identity,
                "status": os.waitstatus_to_exitcode(status),
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "peak_mib": usage.ru_maxrss >> 10,
            },
        )

    def child(self, request: dict[str, Any], fds: list[int], address_space: int) -> NoReturn:
        """Becomes the driver. Never returns into the loop: any failure here ends the process."""
        step = "start"
        try:
            proc = jail.settle_descriptors(fds[0], fds[1], fds[2], PROC)
            if os.read(jail.JOB_READ, 1) != b"G":  # the grader has put us into our cgroup, or is gone
                os._exit(0)
            step = "lock down"
            jail.lock_down(
                mode=self.mode,
                proc=proc,
                address_space=address_space,
                cpu_s=request["cpu_s"],
                process_limit=self.config["process_limit"],
                restrict_files=self.landlock(proc) if self.abi else None,
                install_filter=(lambda: seccomp.install_filter(self.filter)) if self.filter else None,
                readable=self.readable(),
            )
            step = "driver"
            forget()
            serving.run(jail.JOB_READ, jail.JOB_WRITE, self.config["runtime"])
        except BaseException as error:
            # Before any student code: our own fault, told over the output pipe, which the grader shows to staff.
            where = getattr(error, "filename", None) or step
            text = f"{where}: {error}\n" + "".join(traceback.format_exception(error)[-3:])
            os.write(2, text.encode("utf-8", "replace")[:4000])
            os._exit(70)
        os._exit(0)

    def readable(self) -> list[str]:
        if self.mode in "AB":
            roots = [
                jail.PYTHON,
                jail.PACKAGES,
                "/usr",
                "/lib",
                "/lib64",
                "/proc",
                "/dev",
                os.path.dirname(jail.DIGITS),
            ]
        else:
            # Started without `site`, the interpreter does not know its packages; PYTHONPATH does.
            roots = [*self.binds, os.environ["PYTHONPATH"], *(f"/dev/{name}" for name in jail.DEVICES), "/proc/cpuinfo"]
        return [path for path in roots if os.path.exists(path)]

    def landlock(self, proc: int) -> Callable[[Sequence[str], Sequence[str]], None]:
        def restrict(read_only: Sequence[str], read_write: Sequence[str]) -> None:
            extra: list[str | int] = []
            if self.mode == "C":  # TensorFlow reads the command line of its own process, and that only
                extra.append(os.open("self/cmdline", os.O_PATH, dir_fd=proc))
            ruleset = landlock.make_ruleset(self.abi, read_only=[*read_only, *extra], read_write=read_write)
            jail.allow_landlock()
            landlock.restrict_self(ruleset)
            os.close(ruleset)
            for fd in extra:
                os.close(int(fd))

        return restrict


def forget() -> None:
    """Takes our modules out of sight: nothing secret is in them, but `import grader` must not find them."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") != "Bundle"]
    for name in [name for name in sys.modules if name == "grader" or name.startswith("grader.")]:
        del sys.modules[name]
    sys.argv = [""]
    sys.orig_argv.clear()
