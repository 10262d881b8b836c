"""The grader's end of one zygote: forks on request, exits as they happen, the end of all its children."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import json
import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from grader.errors import RuntimeMissing, SandboxError
from grader.sandbox.cgroups import Cgroups
from grader.sandbox.child import Child, Exit
from grader.sandbox.limits import Mode, SandboxConfig
from grader.sandbox.starting import LayerMissing, missing_runtime, start

_READY_S = {"numpy": 30.0, "tensorflow": 120.0, "torch": 60.0}
PARKED_READY_S = 30.0
_PIPE_BYTES = 1 << 20  # weights of a small network pass in one piece; the kernel takes memory only for what is in it
_RESERVE_MIB = 256  # above a check's memory, for the runtime's own pages in a control group


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
                self._process = start(config, runtime, mode, theirs)
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
                child.wait_ready(PARKED_READY_S)
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
                with contextlib.suppress(OSError):  # a user's pipes may be limited together; then it stays small
                    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
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
