"""The names of workers: a worker is a process, so that others on its machine can tell whether it still lives."""

from __future__ import annotations

import os
from pathlib import Path


def worker_name() -> str:
    """This process: host:pid:start. The host of a container has the number of its process namespace behind it, since
    several containers may carry the name of one host."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(worker: str | None) -> bool:
    """Whether a worker was a process of this machine that has ended; False when that cannot be known."""
    host, _, pid = (worker or "").rpartition(":")[0].rpartition(":")
    started = (worker or "").rpartition(":")[2]
    if host != _host() or not pid.isdigit():
        return False
    now = _started(int(pid))
    return now != started if now else not _is_there(int(pid))


def _is_there(pid: int) -> bool:
    """Whether there is a process of this number, though /proc may hide it, as in a unit with ProtectProc."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _host() -> str:
    namespace = os.stat("/proc/self/ns/pid").st_ino if os.path.exists("/proc/self/ns/pid") else 0
    boot = Path("/proc/sys/kernel/random/boot_id")  # tells machines apart that were cloned with their names
    return f"{os.uname().nodename[:50]}/{namespace:x}/{boot.read_text()[:8] if boot.exists() else ''}"


def _started(pid: int) -> str:
    """When a process began, in the kernel's clock ticks; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
