"""What the kernel says about a process, read from outside: the child's own word counts for nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

NAMESPACES = ("user", "pid", "mnt", "net", "ipc", "uts")
UNREADABLE = "not readable"
_FIELDS = ("NoNewPrivs", "Seccomp", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Uid", "Gid", "Groups")


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadPosture:
    """One thread. status: fields of /proc/<pid>/task/<tid>/status. namespaces: {name: "user:[4026532178]"}."""

    tid: int
    status: dict[str, str]
    namespaces: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Posture:
    """One process. descriptors: {number: what it is}. mounts: (mount point, options, type, source)."""

    pid: int
    threads: tuple[ThreadPosture, ...]
    descriptors: dict[int, str]
    mounts: tuple[tuple[str, str, str, str], ...]
    oom_score_adj: int

    def everywhere(self, field: str, value: str) -> bool:
        """Whether a status field has this value in every thread."""
        return bool(self.threads) and all(thread.status.get(field) == value for thread in self.threads)

    def separate(self, namespace: str) -> bool:
        """Whether every thread is in another namespace than this process."""
        own = os.readlink(f"/proc/self/ns/{namespace}")
        seen = {thread.namespaces[namespace] for thread in self.threads}
        return bool(seen) and own not in seen and UNREADABLE not in seen

    @property
    def writable(self) -> tuple[str, ...]:
        """Mount points that can be written, devices aside."""
        return tuple(m[0] for m in self.mounts if "rw" in m[1].split(",") and not m[0].startswith("/dev/"))


def read_posture(pid: int) -> Posture:
    """Reads a living process, as far as it may be looked at. Raises OSError when it is gone."""
    base = Path(f"/proc/{pid}")
    threads = []
    for task in sorted((base / "task").iterdir(), key=lambda path: int(path.name)):
        status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line)
        threads.append(
            ThreadPosture(
                tid=int(task.name),
                status={name: " ".join(status.get(name, "").split()) for name in _FIELDS},
                namespaces={name: _link(task / "ns" / name) for name in NAMESPACES},
            )
        )
    return Posture(
        pid=pid,
        threads=tuple(threads),
        descriptors=_descriptors(base / "fd"),
        mounts=tuple(_mount(line) for line in _lines(base / "mountinfo")),
        oom_score_adj=int((base / "oom_score_adj").read_text()),
    )


# A child that is not dumpable, in the same user namespace and of the same user, shows nobody but root these.


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except PermissionError:
        return UNREADABLE


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except PermissionError:
        return []


def _descriptors(folder: Path) -> dict[int, str]:
    try:
        return {int(path.name): os.readlink(path) for path in folder.iterdir()}
    except PermissionError:
        return {}


def _mount(line: str) -> tuple[str, str, str, str]:
    left, _, right = line.partition(" - ")
    fields, kind = left.split(), right.split()
    return fields[4], fields[5], kind[0], kind[1]
