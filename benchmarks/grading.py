"""make bench: latency and CPU of one submission, ours beside one cold process that runs the same checks, in one run.

Prints medians and ratios against the targets, the private memory of a grading child, and what 200 submissions in a row
leave behind. `--quick` for a smaller run, `--json` for machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grader.assignments import Assignment, load
from grader.grading import Engine, keep_what_is_loaded
from grader.reports import ReportStatus
from grader.sandbox.child import Child
from grader.sandbox.pool import Sandbox
from grader.sessions import StudentSession
from grader.settings import PROJECT, read_settings

TICKS = os.sysconf("SC_CLK_TCK")
ASSIGNMENTS = (
    "tensorflow_basics", "numpy_autodiff", "mnist_numpy", "mnist_tensorflow", "mnist_layers", "function_fit_numpy",
    "function_fit_torch",
)  # fmt: skip
MOST_OVER_BARE = 1.3  # our CPU over that of the training alone


def cold(assignment: Assignment, file: Path, runs: int) -> dict[str, float]:
    """Median wall and CPU seconds of a fresh process for every submission."""
    python = read_settings().runner_python
    walls, cpus = [], []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        command = [str(python), str(PROJECT / "benchmarks" / "cold.py"), assignment.name, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        checks = len(assignment.checks)
        assert done.stdout.strip() == f"{checks} of {checks} checks passed", done.stdout + done.stderr
    return {"wall_s": statistics.median(walls), "cpu_s": statistics.median(cpus)}


def bare(assignment: Assignment, file: Path, rounds: int) -> dict[str, float]:
    """Median CPU seconds of the student's own functions in one warm process: what trains, and every call."""
    command = [str(read_settings().runner_python), str(PROJECT / "benchmarks" / "cold.py"), assignment.name, str(file)]
    done = subprocess.run([*command, str(rounds)], capture_output=True, text=True, check=True)
    spent: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {"training_s": spent["training"], "all_s": spent["all"]}


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[at]) for at in (11, 12, 13, 14)) / TICKS


def private_mib(pid: int) -> float:
    """Memory that is this process's alone, in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_")) / 1024


def processes() -> Iterator[tuple[int, int, int]]:
    """(process, parent, session) of everything that runs."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(fields[1]), int(fields[3])


def zygote_pid(launcher: int) -> int:
    """The launcher's only child."""
    return next(pid for pid, parent, _ in processes() if parent == launcher)


class Watched(Engine):
    """An engine that notes the private memory of each child when its grading is done."""

    memory: list[float]
    watching: bool

    def _close_later(self, session: StudentSession) -> None:
        child: Child | None = session._child
        if child is not None and self.watching:
            self.memory.append(private_mib(child.pid))
        super()._close_later(session)


def ours(assignment: Assignment, file: Path, runs: int) -> dict[str, Any]:
    """Median latency with a warm pool, and CPU of everything (grader, zygote, children, reference) per submission."""
    data = file.read_bytes()
    latencies, phases = [], []
    with Sandbox(read_settings().sandbox(parked=2)) as sandbox:
        engine = Watched(sandbox, b"benchmark")
        engine.memory, engine.watching = [], True
        engine.warm_up(assignment)
        grade_one(engine, assignment, file.name, data)
        keep_what_is_loaded()
        engine.watching = False  # reading a memory map takes longer than grading
        pid = zygote_pid(sandbox.zygote(assignment.runtime)._process.pid)
        reference = engine.references.borrow(assignment)
        engine.references.give_back(assignment, reference)

        def spent() -> float:
            return cpu_of(pid) + cpu_of(reference._child.pid) + cpu_of(os.getpid())

        grade_one(engine, assignment, file.name, data)
        engine.settle()
        sandbox.wait_parked(assignment.runtime)
        before = spent()
        for _ in range(runs):
            started = time.perf_counter()
            report = grade_one(engine, assignment, file.name, data)
            latencies.append((time.perf_counter() - started) * 1e3)
            phases.append(report.timings_ms)
            engine.settle()
            sandbox.wait_parked(assignment.runtime)
        cpu = (spent() - before) / runs
        engine.close()
    return {
        "latency_ms": statistics.median(latencies),
        "latency_p90_ms": statistics.quantiles(latencies, n=10)[-1],
        "cpu_s": cpu,
        "private_mib": max(engine.memory),
        "phases_ms": {name: statistics.median(p[name] for p in phases) for name in phases[0]},
    }


def grade_one(engine: Engine, assignment: Assignment, name: str, data: bytes) -> Any:
    report = engine.grade(assignment, name, data)
    assert report.status is ReportStatus.GRADED, report.notes
    assert report.score == report.max_score, report.score
    return report


def in_session(session: int) -> int:
    """Processes of the session that a launcher opened: zygote and children never leave it."""
    return sum(own == session for _, _, own in processes())


def footprint(session: int) -> dict[str, int]:
    """What could be left behind on this machine by grading."""
    cgroups = sum("grader-" in path for path, _, _ in os.walk("/sys/fs/cgroup"))
    return {
        "processes": in_session(session) if session else 0,
        "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "cgroups": cgroups,
    }


def left_behind(assignment: Assignment, file: Path, runs: int) -> dict[str, int]:
    """Differences of the footprint before and after `runs` submissions in a row."""
    data = file.read_bytes()
    before = footprint(0)
    with Sandbox(read_settings().sandbox(parked=2)) as sandbox:
        engine = Engine(sandbox, b"benchmark")
        engine.warm_up(assignment)
        session = sandbox.zygote(assignment.runtime)._process.pid
        for _ in range(runs):
            grade_one(engine, assignment, file.name, data)
        engine.close()
    time.sleep(0.5)
    after = footprint(session)
    return {name: after[name] - before[name] for name in before}


def line(text: str, value: str, target: str, met: bool | None) -> None:
    word = "" if met is None else ("met" if met else "MISSED")
    print(f"  {text:<44} {value:>12}   {target:<22} {word}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs, cold_runs, row = (10, 1, 20) if options.quick else (50, 5, 200)
    results: dict[str, Any] = {}
    for name in ASSIGNMENTS:
        assignment = load(PROJECT / "reference" / name)
        file = assignment.folder / "solution.py"
        trains = name not in ("tensorflow_basics", "numpy_autodiff")
        results[name] = {
            "cold": cold(assignment, file, cold_runs),
            "bare": bare(assignment, file, 3 if options.quick else 7) if trains else None,
            "ours": ours(assignment, file, max(5, runs // 3) if trains else runs),
        }
    numpy = load(PROJECT / "reference" / "numpy_autodiff")
    results["left_behind"] = left_behind(numpy, numpy.folder / "solution.py", row)
    if options.json:
        json.dump(results, sys.stdout, indent=2)
        return
    for name in ASSIGNMENTS:
        show(name, results[name])
    extra = results["left_behind"]
    line(f"left behind by {row} submissions", str(sum(extra.values())), "0", not any(extra.values()))


def show(name: str, result: dict[str, Any]) -> None:
    first, alone, mine = result["cold"], result["bare"], result["ours"]
    ratio = first["wall_s"] * 1e3 / mine["latency_ms"]
    cpu_ratio = first["cpu_s"] / mine["cpu_s"]
    tensorflow, numpy = name == "tensorflow_basics", name == "numpy_autodiff"
    latency = mine["latency_ms"]
    print(name)
    line("cold process, wall", f"{first['wall_s'] * 1e3:.0f} ms", "", None)
    line("cold process, CPU", f"{first['cpu_s'] * 1e3:.0f} ms", "", None)
    if alone is not None:
        line("training alone, warm, CPU", f"{alone['training_s'] * 1e3:.0f} ms", "", None)
        line("all the student's calls, warm, CPU", f"{alone['all_s'] * 1e3:.0f} ms", "", None)
    line(
        "ours, bytes to report, median",
        f"{latency:.1f} ms",
        "at most 25 ms" if numpy else "",
        latency <= 25 if numpy else None,
    )
    line("ours, 90th percentile", f"{mine['latency_p90_ms']:.1f} ms", "", None)
    line(
        "cold / ours, latency",
        f"{ratio:.1f} x",
        "at least 80 x" if tensorflow else "",
        ratio >= 80 if tensorflow else None,
    )
    line("ours, CPU of all processes", f"{mine['cpu_s'] * 1e3:.0f} ms", "", None)
    if alone is not None:
        over = mine["cpu_s"] / alone["training_s"]
        line("ours / training alone, CPU", f"{over:.2f} x", f"at most {MOST_OVER_BARE} x", over <= MOST_OVER_BARE)
    line(
        "cold / ours, CPU",
        f"{cpu_ratio:.1f} x",
        "at least 15 x" if tensorflow else "",
        cpu_ratio >= 15 if tensorflow else None,
    )
    small = tensorflow or numpy
    line(
        "private memory of a child",
        f"{mine['private_mib']:.0f} MiB",
        "at most 80 MiB" if small else "",
        mine["private_mib"] <= 80 if small else None,
    )
    phases = ", ".join(f"{key} {value:.1f}" for key, value in mine["phases_ms"].items())
    print(f"  phases, ms: {phases}")


if __name__ == "__main__":
    main()
