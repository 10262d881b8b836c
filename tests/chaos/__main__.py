"""Runs the chaos: a calm start, faults under load, the count of what was accepted, the table.

    python -m tests.chaos --faults 200 --database postgresql
    python -m tests.chaos --faults 60 --database sqlite

Exit code 0 when everything required holds, 1 when not. Everything happens on this machine, over loopback, in a
temporary folder, and ends by itself.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import textwrap
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from . import faults, leaks, power_cut, verdicts
from .processes import adopt_orphans, bury
from .scene import Scene
from .students import Probe, Students

HEALTHY_S = 10.0
_QUIET_S = (0.2, 1.2)  # between a recovery and the next fault
_TRY_S = 90.0
_DRAIN_S = 120.0
_CALM_PROBES = 5
_MOST_SHOWN = 10


@dataclass
class Record:
    """What a run found. seconds: recovery by kind of fault; None: not within a minute."""

    seconds: dict[str, list[float | None]] = field(default_factory=dict)
    calm: list[float | None] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    tries: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    restarts: dict[str, int] = field(default_factory=dict)
    found: verdicts.Findings = field(default_factory=verdicts.Findings)
    cuts: power_cut.Result | None = None
    left_out: dict[str, str] = field(default_factory=dict)  # faults that cannot be done here, and why
    undrained: int = 0
    drain_s: float = 0.0

    def broken(self) -> dict[str, list[str]]:
        """What was required and does not hold."""
        everything = {
            **self.found.failures(), "refused": self.refused, "slow to recover": self.slow, "leaks": self.leaks,
            "power cut": [] if self.cuts is None else self.cuts.wrong,
            "not drained": [f"{self.undrained} submissions still wait"] if self.undrained else [],
        }  # fmt: skip
        if os.environ.get("CI") == "true":  # where nothing may be skipped
            everything["left out"] = [f"{name}: {why}" for name, why in self.left_out.items()]
        return {name: said for name, said in everything.items() if said}


def run(options: argparse.Namespace, folder: Path) -> Record:
    """One run over one database."""
    luck, record = random.Random(options.seed), Record()
    scene = Scene(folder, options.database)
    try:
        mounted, record.left_out = leaks.mounts(), faults.impossible(scene)
        calm = verdicts.calm_verdicts(scene)
        scene.start()
        students = Students(scene, options.rate, options.seed)
        probe = Probe(scene, students)
        students.start()
        record.calm = [probe.seconds(time.monotonic()) for _ in range(_CALM_PROBES)]
        usual = leaks.usual(scene)
        cause_chaos(scene, students, probe, options, luck, record)
        if options.copies:
            copies = power_cut.take(scene, students, options.copies, luck, folder / "copies")
        students.stop()
        _drain(scene, record)
        record.leaks += leaks.while_it_runs(scene, usual)
        record.restarts = {process.name: len(process.pids) - 1 for process in scene.processes}
        record.leaks += scene.stop()
        scene.store.close()  # its own connections; they are made again
        record.leaks += leaks.after_the_end(scene, mounted)
        record.found = verdicts.compare(scene.store, students.told, calm)
        verdicts.compare_whole(scene, students.told, record.found, options.whole, luck)
        record.refused, record.failures = students.refused, students.failures
        record.tries = Counter(item.tries for item in students.told)
        if options.copies:
            record.cuts = power_cut.check(copies, luck, folder)
            power_cut.revive(scene, copies, students.told, calm, 1 if options.short else 3, record.cuts)
    finally:
        scene.stop()
        scene.close()
    return record


def cause_chaos(
    scene: Scene, students: Students, probe: Probe, options: argparse.Namespace, luck: random.Random, record: Record
) -> None:
    """One fault after the other; each must be recovered from before the next."""
    chaos = faults.Chaos(scene, students, luck)
    plan = faults.plan(scene, options.faults, luck, short=options.short, only=options.only)
    for number, (name, fault) in enumerate(plan, start=1):
        time.sleep(luck.uniform(*_QUIET_S))
        until = time.monotonic() + _TRY_S
        while (since := fault(chaos)) is None:
            assert time.monotonic() < until, f"{name}: there was never anything to do it to"
            time.sleep(0.5)
        took = probe.seconds(since)
        record.seconds.setdefault(name, []).append(took)
        said = "not within a minute" if took is None else f"{took:.2f} s"
        if took is None or (took > HEALTHY_S and not options.short):
            record.slow.append(f"fault {number}, {name}: {said} ({probe.steps})")
        if options.verbose:
            print(f"{number:4d} {name:<26} {said}  ({probe.steps}; {len(students.told)} accepted)", flush=True)
        bury(_known(scene))
    for thread in chaos.pauses:
        thread.join()


def _known(scene: Scene) -> list[int]:
    """Children that somebody else waits for."""
    return [process.pid for process in scene.processes] + ([scene.server.pid] if scene.server is not None else [])


def _drain(scene: Scene, record: Record) -> None:
    began = time.monotonic()
    while (left := verdicts.waiting(scene.store)) and time.monotonic() < began + _DRAIN_S:
        time.sleep(0.2)
    record.undrained, record.drain_s = left, time.monotonic() - began


# What it prints ----------------------------------------------------------------------------------------------------


def show(options: argparse.Namespace, record: Record, took_s: float) -> None:
    """The table, 80 columns."""
    count = sum(len(all_) for all_ in record.seconds.values())
    print(f"\nDatabase {options.database}, seed {options.seed}: {count} faults in {took_s / 60:.1f} min")
    print(f"\n{'fault':<30} {'times':>5} {'healthy again, s: median':>30} {'longest':>10}")
    for name, all_ in (*sorted(record.seconds.items()), ("none (calm)", record.calm)):
        known = [seconds for seconds in all_ if seconds is not None] or [float("nan")]
        longest = "never" if None in all_ else f"{max(known):.2f}"
        print(f"{name:<30} {len(all_):>5} {statistics.median(known):>30.2f} {longest:>10}")
    print()
    for what, number, remark in rows(record):
        print(f"{what:<44} {number:>5}  {remark}")
    print()
    said = [f"{number} {what}" for what, number in record.failures.most_common()]
    print(textwrap.fill("Repeated requests: " + (", ".join(said) or "none"), 80))
    restarts = ", ".join(f"{name} {count}" for name, count in record.restarts.items())
    print(textwrap.fill(f"Started again: {restarts}. Waited for the last verdicts: {record.drain_s:.0f}\u00a0s", 80))
    for name, why in record.left_out.items():
        print(f"Left out: {name}, for {why}")
    for name, lines in record.broken().items():
        print(f"\n{name.upper()}")
        for line in lines[:_MOST_SHOWN]:
            print(f"  {line}")


def rows(record: Record) -> list[tuple[str, int, str]]:
    """What was counted, the number, a remark."""
    found, cuts = record.found, record.cuts
    again = sum(count for tries, count in record.tries.items() if tries > 1)
    zero = "must be 0"
    told = [
        ("accepted", found.accepted, f"{again} after repeated requests"),
        ("graded", found.graded, f"{found.reused} by an equal file's report"),
        ("begun by more than one worker, graded once", found.again, ""),
        ("compared word for word with a calm grading", found.compared, ""),
        *((name, len(said), zero) for name, said in found.failures().items()),
        ("refused", len(record.refused), zero),
        ("leaks", len(record.leaks), zero),
        ("not healthy within 10 s", len(record.slow), zero),
    ]
    if cuts is None:
        return told
    opened = [(f"power cuts: opened {name}", count, "") for name, count in cuts.opened.items()]
    revived = ("power cuts: services started on a copy", cuts.revived, f"{cuts.finished} waited there")
    return [
        *told, ("power cuts: copies", cuts.copies, ""), *opened, revived,
        ("power cuts: damaged or incomplete", len(cuts.wrong), zero),
    ]  # fmt: skip


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Faults at random moments under load.")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="sqlite")
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of an earlier run; 0: a new one")
    parser.add_argument("--rate", type=float, default=2.0, help="uploads a second")
    parser.add_argument("--whole", type=int, default=60, help="reports that are compared word for word")
    parser.add_argument("--copies", type=int, default=-1, help="power cuts; SQLite only, 100 by default")
    parser.add_argument("--only", default="", help="only faults with this in their name, as worker")
    parser.add_argument("--keep", type=Path, help="folder for the logs")
    parser.add_argument(
        "--short",
        action="store_true",
        help="without faults that last, with fewer comparisons; recovery takes what it takes",
    )
    parser.add_argument("--verbose", action="store_true", help="a line for each fault")
    options = parser.parse_args()
    options.seed = options.seed or random.SystemRandom().randrange(1, 2**31)
    if options.copies < 0 or options.database != "sqlite":
        options.copies = 100 if options.database == "sqlite" else 0
    if options.short:
        options.whole = min(options.whole, 15)
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # with everything closed
    adopt_orphans()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grader-chaos-") as scratch:
        os.chmod(scratch, 0o755)
        try:
            record = run(options, Path(scratch))
        finally:
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                for log in Path(scratch).glob("*.log"):
                    shutil.copy(log, options.keep)
    show(options, record, time.monotonic() - began)
    return 1 if record.broken() else 0


if __name__ == "__main__":
    sys.exit(main())
