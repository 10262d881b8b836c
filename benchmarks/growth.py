"""make bench-growth: how cost grows with checks, with submissions, and with workers; and a plan made of it.

    .venv/bin/python benchmarks/growth.py [--only checks|submissions|workers|plan] [--submissions 10000]
        [--jobs 500] [--database postgresql+psycopg://...] [--write]

- checks: one submission of an assignment with 1, 10, 100 and 300 small checks.
- submissions: 10 to 10,000 gradings in a row through one engine, and what they leave behind.
- workers: a full queue, emptied by 1, 2 and 4 `grader worker` processes; and by 1 and 2 that are pinned to a core each.
- plan: cores, memory and waiting for 100,000 students at one deadline, from what the others measured.

--write replaces the tables in docs/explanation/performance.md and the plan in docs/how-to/size-a-deployment.md.
Without --database the workers share an SQLite database in a temporary folder; with it, the one that is named, which
must be empty.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import growth_workers, measuring, planning  # noqa: E402
from benchmarks.growth_workers import Drained  # noqa: E402
from grader.assignments import Assignment, load  # noqa: E402
from grader.grading import Engine, keep_what_is_loaded  # noqa: E402
from grader.reports import ReportStatus  # noqa: E402
from grader.sandbox.pool import Sandbox  # noqa: E402
from grader.settings import read_settings  # noqa: E402

PERFORMANCE = ROOT / "docs" / "explanation" / "performance.md"
SIZING = ROOT / "docs" / "how-to" / "size-a-deployment.md"
CHECKS = (1, 10, 100, 300)
PARTS = ("checks", "submissions", "workers", "plan")
STUDENTS = 100_000

SOLUTION = """import numpy as np

def standardise(x):
    return (x - x.mean(axis=0)) / x.std(axis=0)
"""
TOML = """runtime = "numpy"

[title]
en = "Standardise"
zh = "标准化"

[[part]]
name = "standardise"
asks = ["standardise"]
title = { en = "standardise", zh = "standardise" }
"""
HEAD = "from grader.checks import check, close\n"
CHECK = '''

@check(part="standardise", points=1)
def case_{number}(student, reference, rng):
    """Case {number} agrees

    zh: 第 {number} 例一致
    """
    x = rng.normal(size=(10, 5))
    close(student.standardise(x), reference.standardise(x))
'''


def made_up(folder: Path, checks: int) -> Assignment:
    """An assignment of so many checks, of one call each."""
    home = folder / f"checks_{checks}"
    home.mkdir()
    (home / "assignment.toml").write_text(TOML, encoding="utf-8")
    text = HEAD + "".join(CHECK.format(number=number) for number in range(1, checks + 1))
    (home / "checks.py").write_text(text, encoding="utf-8")
    for name in ("solution.py", "starter.py"):
        (home / name).write_text(SOLUTION, encoding="utf-8")
    return load(home)


class Bench:
    """One engine with a warm pool for one assignment."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.sandbox = Sandbox(read_settings().sandbox(parked=2))
        self.engine = Engine(self.sandbox, b"benchmark")
        self.number = 0

    def __enter__(self) -> Bench:
        self.engine.warm_up(self.assignment)
        self.one()
        keep_what_is_loaded()
        self.rest()
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        self.sandbox.close()

    def one(self) -> float:
        """Seconds from the bytes of one more upload to its report."""
        self.number += 1
        data = f"{SOLUTION}\n# {self.number}\n".encode()
        began = time.perf_counter()
        report = self.engine.grade(self.assignment, "homework.py", data)
        took = time.perf_counter() - began
        assert report.status is ReportStatus.GRADED, report.notes
        assert report.score == report.max_score
        return took

    def rest(self) -> None:
        self.engine.settle()
        self.sandbox.wait_parked(self.assignment.runtime)


def by_checks(folder: Path, times: int = 20) -> str:
    """Latency and CPU of one submission for assignments of different length."""
    rows = []
    for count in CHECKS:
        with Bench(made_up(folder, count)) as bench:
            before, walls = measuring.cpu_s(os.getpid()), []
            for _ in range(times):
                walls.append(bench.one())
                bench.rest()
            cpu_ms = (measuring.cpu_s(os.getpid()) - before) / times * 1e3
        wall_ms = statistics.median(walls) * 1e3
        rows.append([str(count), f"{wall_ms:.1f} ms", f"{wall_ms / count:.2f} ms", f"{cpu_ms:.0f} ms"])
        print(f"{count} checks: {wall_ms:.1f} ms", file=sys.stderr, flush=True)
    return measuring.table(("checks", "upload to report, median", "a check", "CPU, all processes"), rows)


def stages(most: int) -> list[int]:
    return [*(count for count in (10, 100, 1000, 10_000) if count < most), most]


def by_submissions(folder: Path, most: int) -> tuple[str, float]:
    """Gradings in a row; the table, and CPU seconds of one. Differences are against the moment after warming up."""
    rows, done, cpu_each = [], 0, 0.0
    with Bench(made_up(folder, 5)) as bench:
        at_rest, resident = _held(), _resident_mib()
        started_cpu = measuring.cpu_s(os.getpid())
        for count in stages(most):
            walls = [bench.one() for _ in range(count - done)]
            cpu_each = (measuring.cpu_s(os.getpid()) - started_cpu) / count
            done = count
            bench.rest()
            held = _held()
            rows.append([
                f"{count:,}", f"{statistics.median(walls) * 1e3:.1f} ms",
                f"{statistics.quantiles(walls, n=20)[-1] * 1e3:.1f} ms", f"{cpu_each * 1e3:.0f} ms",
                f"{_resident_mib():.0f} MiB ({_resident_mib() - resident:+.0f})",
                *(f"{held[name] - at_rest[name]:+d}" for name in at_rest),
            ])  # fmt: skip
            print(f"{count} submissions", file=sys.stderr, flush=True)
    heading = (
        "submissions in a row", "median of the last ones", "p95", "CPU each", "memory of the grader's process",
        "processes", "descriptors", "threads",
    )  # fmt: skip
    return measuring.table(heading, rows), cpu_each


def _held() -> dict[str, int]:
    return {
        "processes": len(measuring.family(os.getpid())) - 1,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def by_workers(folder: Path, jobs: int, url: str) -> tuple[str, dict[str, Drained]]:
    """Throughput of 1, 2 and 4 workers, free and pinned; and one pinned worker's run for each assignment."""
    cores = sorted(os.sched_getaffinity(0))
    free: list[list[int]] = [[], [], [], []]
    pinned = [[cores[0]], [cores[1 % len(cores)]]]
    numpy, tensorflow = "numpy_autodiff", "tensorflow_basics"
    asked = [
        ("1", numpy, free[:1]), ("2", numpy, free[:2]), ("4", numpy, free),
        ("1, pinned to a core", numpy, pinned[:1]), ("2, pinned to a core each", numpy, pinned),
        ("1, pinned to a core", tensorflow, pinned[:1]), ("2, pinned to a core each", tensorflow, pinned),
    ]  # fmt: skip
    rows, runs, base = [], [], Drained.nothing()
    with growth_workers.Classroom(folder, url) as classroom:
        for name, assignment, where in asked:
            run = growth_workers.drain(classroom, assignment, jobs if assignment == numpy else jobs // 4, where)
            runs.append(run)
            base = run if len(where) == 1 else base
            shares = ", ".join(f"{share:.2f}" for share in run.shares)
            rows.append([
                assignment, name, f"{run.rate:.1f}", f"{run.rate / base.rate:.2f}", shares,
                f"{run.cpu_each_s * 1e3:.0f} ms", f"{run.worker_mib:.0f} MiB",
            ])  # fmt: skip
            print(f"{assignment}, {name}: {run.rate:.1f} a second", file=sys.stderr, flush=True)
    heading = (
        "assignment", "workers, one slot each", "gradings/s", "times one worker", "cores used by each",
        "CPU a grading", "memory of a worker (PSS)",
    )  # fmt: skip
    ratio = runs[4].rate / runs[3].rate
    met = "met" if ratio >= growth_workers.LEAST_RATIO else "**missed**"
    note = (
        f"{jobs} uploads of numpy_autodiff, or {jobs // 4} of tensorflow_basics, waited in the queue "
        f"({classroom.engine}) when the workers began; their start and the last tenth are left out. Two pinned "
        f"workers do {ratio:.2f} times the work of one, target {growth_workers.LEAST_RATIO}: {met}."
    )
    if len(cores) < 2:
        note += " There is only one core here, so both were pinned to the same."
    return f"{measuring.table(heading, rows)}\n\n{note}", {numpy: runs[3], tensorflow: runs[5]}


def planned(runs: dict[str, Drained]) -> str:
    """The plan, of what one pinned worker took for each assignment."""
    inputs = [
        planning.Inputs(
            name=name, cpu_s=run.cpu_each_s, web_cpu_s=run.web_cpu_each_s, worker_mib=run.worker_mib, kib=run.kib_each
        )
        for name, run in runs.items()
    ]
    return planning.plan(inputs, STUDENTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=500, help="submissions of each run of the workers")
    parser.add_argument("--database", default="", help="of the workers; empty: SQLite")
    parser.add_argument("--write", action="store_true", help="into the documentation")
    options = parser.parse_args()
    wanted = options.only or list(PARTS)
    if options.write and set(wanted) != set(PARTS):
        parser.error("--write replaces all tables, so it goes without --only")
    where = measuring.machine()
    said = [f"{where}."]
    plan = ""
    with tempfile.TemporaryDirectory(prefix="grader-growth-") as scratch:
        folder = Path(scratch)
        if "checks" in wanted:
            said += ["### Checks", by_checks(folder)]
        if "submissions" in wanted:
            said += ["### Submissions", by_submissions(folder, options.submissions)[0]]
        if {"workers", "plan"} & set(wanted):
            text, runs = by_workers(folder, options.jobs, options.database)
            said += ["### Workers", text]
            if "plan" in wanted:
                plan = f"{where}.\n\n{planned(runs)}"
    body = "\n\n".join(said)
    print(body)
    print(f"\n{plan}")
    if options.write:
        measuring.write_between(PERFORMANCE, "growth", body)
        measuring.write_between(SIZING, "plan", plan)


if __name__ == "__main__":
    main()
