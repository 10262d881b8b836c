"""Memory, process and CPU limits by control groups, version 2 or 1, where this process may write them.

One slot is one leaf group; slots are reused, because making and removing memory groups is slow to settle in the kernel.
Where nothing is writable `open_cgroups` says why, and the sandbox goes on in mode B.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_V1_NEEDED = ("memory", "pids")
_V1_OPTIONAL = ("cpu",)
_LEAF = "grader-main"  # where this process itself goes in version 2
_COUNT = itertools.count(1)  # several sandboxes of one process keep apart


@dataclass
class Slot:
    """One child's group: a folder in version 2, a folder a controller in version 1."""

    folders: dict[str, Path]
    version: int
    _failures: int = 0

    def limit(self, memory_mib: int, processes: int = 64) -> None:
        """Sets the limits for the next child. Raises OSError."""
        size = str(memory_mib << 20)
        if self.version == 2:
            folder = self.folders["unified"]
            values = {"memory.max": size, "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": str(processes)}
            for name, value in {**values, "cpu.max": "100000 100000"}.items():
                with contextlib.suppress(FileNotFoundError):  # no swap, or the cpu controller is not delegated
                    (folder / name).write_text(value)
        else:
            memory = self.folders["memory"]
            swap = memory / "memory.memsw.limit_in_bytes"
            # The two v1 limits may never cross: raise the outer one first.
            for path, value in ((swap, "-1"), (memory / "memory.limit_in_bytes", size), (swap, size)):
                with contextlib.suppress(FileNotFoundError):
                    path.write_text(value)
            (self.folders["pids"] / "pids.max").write_text(str(processes))
            if "cpu" in self.folders:
                (self.folders["cpu"] / "cpu.cfs_quota_us").write_text("100000")
        self._failures = self.failures()

    def add(self, pid: int) -> None:
        for folder in self.folders.values():
            (folder / "cgroup.procs").write_text(str(pid))

    def failures(self) -> int:
        """How often the kernel killed here for memory, since the slot was made."""
        if self.version == 2:
            return _keyed(self.folders["unified"] / "memory.events", "oom_kill")
        return _keyed(self.folders["memory"] / "memory.oom_control", "oom_kill")

    def exceeded(self) -> bool:
        return self.failures() > self._failures

    def remove(self) -> None:
        for folder in self.folders.values():
            for _ in range(50):  # a group stays busy for a moment after its last process was reaped
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


def _keyed(path: Path, key: str) -> int:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == key)


@dataclass
class Cgroups:
    """The parent groups below which slots are made."""

    parents: dict[str, Path]
    version: int
    _free: list[Slot] = field(default_factory=list)
    _all: list[Slot] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> Slot:
        with self._lock:
            if self._free:
                return self._free.pop()
            slot = Slot({name: parent / f"slot{len(self._all)}" for name, parent in self.parents.items()}, self.version)
            for folder in slot.folders.values():
                folder.mkdir(exist_ok=True)
            self._all.append(slot)
            return slot

    def give_back(self, slot: Slot) -> None:
        with self._lock:
            self._free.append(slot)

    def close(self) -> None:
        with self._lock:
            for slot in self._all:
                slot.remove()
            self._all.clear()
            self._free.clear()
            for parent in self.parents.values():
                with contextlib.suppress(OSError):
                    parent.rmdir()


def open_cgroups(proc_cgroup: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> Cgroups | str:
    """The groups to use, or in words why there are none."""
    own: dict[str, str] = {}
    try:
        for line in Path(proc_cgroup).read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in controllers.split(","):
                own[name] = path
    except OSError as error:
        return f"{proc_cgroup} cannot be read ({error.strerror})"
    name = f"grader-{os.getpid()}-{next(_COUNT)}"
    if all(controller in own for controller in _V1_NEEDED):
        return _open_v1(own, Path(root), name)
    if "" in own:
        base = Path(root) / own[""].lstrip("/")
        return _open_v2(base.parent if base.name == _LEAF else base, name)
    return "the kernel offers no memory controller"


def _open_v1(own: dict[str, str], root: Path, name: str) -> Cgroups | str:
    parents: dict[str, Path] = {}
    for controller in (*_V1_NEEDED, *_V1_OPTIONAL):
        if controller not in own:
            continue
        base = root / controller / own[controller].lstrip("/")
        if not base.is_dir():  # inside a container the path is relative to a group that is not shown
            base = root / controller
        _sweep(base)
        try:
            (base / name).mkdir(exist_ok=True)
        except OSError as error:
            if controller in _V1_NEEDED:
                for parent in parents.values():
                    parent.rmdir()
                return f"cgroup v1 {base} is not writable ({error.strerror})"
            continue
        parents[controller] = base / name
    return Cgroups(parents, 1)


def _sweep(base: Path) -> None:
    """Removes the groups of graders that were killed before they could: a group without processes is only a folder."""
    for old in base.glob("grader-*-*"):
        pid = old.name.split("-")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            for folder in (*old.iterdir(), old):
                if folder.is_dir():
                    with contextlib.suppress(OSError):
                        folder.rmdir()


def _open_v2(base: Path, name: str) -> Cgroups | str:
    """Version 2 wants processes in leaves only: this process moves into one of its own, then hands controllers down."""
    try:
        available = (base / "cgroup.controllers").read_text().split()
        if "memory" not in available or "pids" not in available:
            return f"cgroup v2 {base} has no memory and pids controllers"
        wanted = " ".join(f"+{c}" for c in ("memory", "pids", "cpu") if c in available)
        leaf = base / _LEAF
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()))
        (base / "cgroup.subtree_control").write_text(wanted)
        _sweep(base)
        parent = base / name
        parent.mkdir(exist_ok=True)
        (parent / "cgroup.subtree_control").write_text(wanted)
    except OSError as error:
        return f"cgroup v2 {base} is not delegated to this process ({error.strerror})"
    return Cgroups({"unified": parent}, 2)
