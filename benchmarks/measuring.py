"""What the benchmarks that write tables share: what a command costs, what a family of processes holds, where it ran.

CPU is that of a process and of all below it that were waited for, as the kernel counts it. Memory is the proportional
set size (PSS) of the living processes of a family, added up and sampled: a page that ten processes share counts once.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one command, or of a row of them. peak_mib: 0 where nobody looked."""

    wall_s: float
    cpu_s: float
    peak_mib: float = 0.0


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], *, watch: bool = False) -> Cost:
    """Runs a command to its end. Raises RuntimeError with the last of what it said when it fails.

    watch: sample its memory, which costs time of its own.
    """
    with (folder / "said.log").open("w+b") as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=said, stderr=said)
        watching = Watch(process.pid)
        with watching if watch else contextlib.nullcontext():
            _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            text = said.read()[-2000:].decode(errors="replace")
            raise RuntimeError(f"{' '.join(command[:3])} ended with {process.returncode}:\n{text}")
    return Cost(wall_s=wall_s, cpu_s=usage.ru_utime + usage.ru_stime, peak_mib=watching.peak_mib)


class Watch:
    """Peak of the PSS of a process and everything below it, looked at every so often."""

    def __init__(self, pid: int, *, every_s: float = 0.1) -> None:
        self._pid, self._every_s, self.peak_mib = pid, every_s, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(self._every_s):
            self.peak_mib = max(self.peak_mib, sum(pss_mib(pid) for pid in family(self._pid)))


def family(pid: int) -> set[int]:
    """A process and all below it."""
    below: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        below.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, todo = {pid}, [pid]
    while todo:
        children = below.get(todo.pop(), [])
        found.update(children)
        todo += children
    return found


def pss_mib(pid: int) -> float:
    """0 for a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(row.split()[1]) for row in text.splitlines() if row.startswith("Pss:")), 0) / 1024


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and all below it have used, with those that were waited for; 0 when it is gone."""
    total = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return total / TICKS


def machine() -> str:
    """Date and machine, in words: what a reader needs to place the figures. No host name."""
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = ".".join(platform.release().split(".")[:2])
    cores = len(os.sched_getaffinity(0))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cores} cores ({model[1].strip() if model else platform.machine()}), "
        f"{gib:.0f} GiB, Linux {kernel}, Python {platform.python_version()}"
    )


def write_between(page: Path, mark: str, body: str) -> None:
    """Replaces what stands between <!-- mark --> and <!-- /mark -->. Raises ValueError when a page lacks them."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page} needs one {begin} and one {end}")
    head, _, rest = text.partition(begin)
    tail = rest.partition(end)[2]
    page.write_text(f"{head}{begin}\n{body.strip()}\n{end}{tail}", encoding="utf-8")


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
