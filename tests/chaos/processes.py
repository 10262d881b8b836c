"""Our processes as /proc shows them, and a supervisor that starts again what has ended, as systemd does.

The harness is the subreaper of everything below it: whatever loses its parent by a kill becomes a child of the harness,
so nothing that we started can get out of sight, and nothing else is ever touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_RESTART_S = 0.1  # systemd's RestartSec
_SOON_S, _AGAIN_S = 1.0, 0.5  # what ends within a second waits longer before the next try
_LOOK_S = 0.02


def adopt_orphans() -> None:
    """From now on processes below this one whose parent dies are its children."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def parents() -> dict[int, tuple[int, str]]:
    """{process: (its parent, its state)} of everything that runs here."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = (int(fields[1]), fields[0])
    return found


def below(pid: int, *, known: dict[int, tuple[int, str]] | None = None) -> set[int]:
    """All living descendants of a process."""
    table = parents() if known is None else known
    found: set[int] = set()
    edge = {pid}
    while edge:
        edge = {child for child, (parent, _) in table.items() if parent in edge} - found
        found |= edge
    return {child for child in found if table[child][1] not in "ZX"}


def children(pid: int) -> list[int]:
    return sorted(child for child, (parent, state) in parents().items() if parent == pid and state not in "ZX")


def words(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def descriptors(pid: int, leave_out: str = "") -> list[str]:
    """What the open descriptors of a process are, without those whose path contains a word."""
    found = []
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = os.readlink(entry)
                if not leave_out or leave_out not in target:
                    found.append(target)
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Supervised:
    """A process that is started again whenever it ends, until `stop`. pids: of every start."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name, self._command, self._env, self._log = name, list(command), dict(env), log
        self.pids: list[int] = []
        self.paused = False
        self._wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._wanted = True
        self._spawn()
        self._thread = threading.Thread(target=self._watch, name=f"supervise {self.name}", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> int | None:
        """SIGTERM, and its exit code; none when it had to be killed."""
        self._wanted = False
        if self._thread is not None:
            self._thread.join()
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None

    def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        self.pids.append(self._process.pid)
        self._since = time.monotonic()

    def _watch(self) -> None:
        while self._wanted:
            assert self._process is not None
            if self._process.poll() is None:
                time.sleep(_LOOK_S)
                continue
            soon = time.monotonic() - self._since < _SOON_S
            time.sleep(_AGAIN_S if soon else _RESTART_S)
            if self._wanted:
                self._spawn()


def bury(ours: Sequence[int]) -> None:
    """Reaps orphans that have ended. ours: children that somebody else waits for."""
    for pid, (parent, state) in parents().items():
        if parent == os.getpid() and state == "Z" and pid not in ours:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
