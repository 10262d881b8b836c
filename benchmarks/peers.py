"""make bench-peers: the same six items through other graders and through ours, alternating in one run.

    .venv/bin/python benchmarks/peers.py [--rounds 5] [--in-a-row 100] [--row-seconds 100] [--write]

A plain unittest process with gradescope-utils, nbgrader's `autograde`, otter-grader's `otter run`, none of which
isolates, and ours in its sandbox with a warm pool. Before anything is measured, every grader must give a right
submission all points and a wrong one the same fewer. The peers' environment is made once, in build/peers.

A row of 100 would take a peer up to twenty minutes: it grades as many as fit into --row-seconds, at least three, and
the table says how many. --write replaces the table in docs/explanation/performance.md.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import measuring  # noqa: E402
from benchmarks.measuring import Cost  # noqa: E402
from benchmarks.peer_graders import (  # noqa: E402
    PARTS,
    Grader,
    Nbgrader,
    Otter,
    Ours,
    Unittest,
    expected_points,
    right_answers,
    wrong_answers,
)

PAGE = ROOT / "docs" / "explanation" / "performance.md"
PLACE = ROOT / "build" / "peers"
DISTRIBUTIONS = {Unittest: "gradescope-utils", Nbgrader: "nbgrader", Otter: "otter-grader"}
LEAST_CPU, LEAST_LATENCY = 20, 100
OURS_A_ROUND = 20  # one grading of ours is too short for the kernel's clock ticks


@dataclass(kw_only=True)
class Result:
    """What was measured of one grader. why: why it could not be run, empty when it could."""

    name: str
    isolation: str = "none"
    batch: str = ""
    walls_s: list[float] = field(default_factory=list)
    cpus_s: list[float] = field(default_factory=list)
    peak_mib: float = 0.0
    row: Cost | None = None
    row_count: int = 0
    why: str = ""

    @property
    def wall_s(self) -> float:
        return statistics.median(self.walls_s)

    @property
    def cpu_s(self) -> float:
        return statistics.fmean(self.cpus_s)

    def row_of(self, count: int) -> str:
        """Seconds of a row, in proportion where fewer were graded."""
        assert self.row is not None
        wall_s = self.row.wall_s * count / self.row_count
        said = f"{wall_s:.1f} s" if wall_s < 100 else f"{wall_s:.0f} s"
        return said if self.row_count == count else f"{said} (from {self.row_count} measured)"


def environment() -> Path:
    """The folder of the peers' commands, made when the pinned versions have changed. It may be incomplete."""
    wanted = PARTS / "requirements.txt"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    mark, home = PLACE / "installed", PLACE / "env"
    if not mark.exists() or mark.read_text() != digest:
        print("making the peers' environment, about 2 GB and some minutes ...", file=sys.stderr, flush=True)
        mark.unlink(missing_ok=True)
        pip = [str(home / "bin" / "pip"), "install", "-qq", "--disable-pip-version-check"]
        for command in ([sys.executable, "-m", "venv", "--clear", str(home)], [*pip, "-r", str(wanted)]):
            if subprocess.run(command).returncode:
                print("it could not be made; peers that are not there get a row that says so", file=sys.stderr)
                break
        else:
            mark.write_text(digest)
    return home / "bin"


def version_of(binaries: Path, distribution: str) -> str:
    folders = [str(folder) for folder in binaries.parent.glob("lib/python3*/site-packages")]
    found = next(iter(metadata.distributions(name=distribution, path=folders)), None)
    return "" if found is None else found.version


def contestants(folder: Path, binaries: Path) -> tuple[list[Grader], list[Result]]:
    """Those that grade both submissions as they should, and a row saying why for each peer that does not run."""
    made: list[Callable[[], Grader]] = [
        lambda: Unittest(folder / "unittest", binaries),
        lambda: Nbgrader(folder / "nbgrader", binaries),
        lambda: Otter(folder / "otter", binaries),
    ]
    ready: list[Grader] = []
    failed: list[Result] = []
    for make, kind in zip(made, DISTRIBUTIONS, strict=True):
        name = f"{kind.name} {version_of(binaries, DISTRIBUTIONS[kind])}".strip()
        try:
            peer = make()
            peer.name = name
            prove(peer)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            failed.append(Result(name=name, why=reason(error)))
            continue
        ready.append(peer)
    ours = Ours(folder / "ours")
    ready.append(ours)
    prove(ours)
    return ready, failed


def reason(error: Exception) -> str:
    """The last line of what went wrong, for the table: without folders of this machine."""
    if isinstance(error, FileNotFoundError) and Path(error.filename).parent.name == "bin":
        return "it could not be installed"
    return re.sub(r"/\S*/", "", str(error).strip().splitlines()[-1])[:120]


def prove(grader: Grader) -> None:
    """The comparison is only honest between graders that see the same faults."""
    for cells, right in ((right_answers(), True), (wrong_answers(), False)):
        _, points = grader.grade(cells)
        assert points == expected_points(right=right), f"{grader.name} gives {points} points"
    print(f"{grader.name}: all points for the right answers, fewer for the wrong ones", file=sys.stderr, flush=True)


def measure(graders: list[Grader], rounds: int, in_a_row: int, row_s: float) -> list[Result]:
    """Every grader once a round, in turn forwards and backwards; then memory, then the rows."""
    results = {id(grader): Result(name=grader.name, isolation=grader.isolation) for grader in graders}
    cells = right_answers()
    for number in range(rounds):
        for grader in graders if number % 2 == 0 else reversed(graders):
            result = results[id(grader)]
            if isinstance(grader, Ours):
                walls, cpu = grader.several(cells, OURS_A_ROUND)
                result.walls_s += walls
                result.cpus_s.append(cpu)
            else:
                cost, _ = grader.grade(cells)
                result.walls_s.append(cost.wall_s)
                result.cpus_s.append(cost.cpu_s)
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    for grader in graders:
        result = results[id(grader)]
        result.peak_mib = grader.grade(cells, watch=True)[0].peak_mib
        fits = in_a_row if isinstance(grader, Ours) else max(3, int(row_s / result.wall_s))
        result.row_count = min(in_a_row, fits)
        result.row, result.batch = grader.row(cells, result.row_count), grader.batch
        print(f"{grader.name}: {result.row_count} in a row", file=sys.stderr, flush=True)
    return list(results.values())


def report(results: list[Result], failed: list[Result], in_a_row: int, rounds: int) -> tuple[str, bool]:
    """The section in Markdown, and whether both targets are met."""
    ours = results[-1]
    heading = (
        "", "isolation", "wall", "CPU", "peak memory", f"{in_a_row} in a row", "CPU of each in the row",
        "wall / ours", "CPU / ours",
    )  # fmt: skip
    rows = []
    for result in results:
        assert result.row is not None
        rows.append([
            result.name if result is not ours else f"**{result.name}**",
            result.isolation, _time(result.wall_s), _time(result.cpu_s), f"{result.peak_mib:.0f} MiB",
            f"{result.row_of(in_a_row)}, {result.batch}", _time(result.row.cpu_s / result.row_count),
            f"{result.wall_s / ours.wall_s:.0f}", f"{result.cpu_s / ours.cpu_s:.1f}",
        ])  # fmt: skip
    rows += [[result.name, "", f"not run: {result.why}", *[""] * 6] for result in failed]
    peers = results[:-1]
    lines = [f"{measuring.machine()}; {rounds} rounds.", "", measuring.table(heading, rows)]
    met = bool(peers)
    if peers:
        fastest, cheapest = min(peers, key=lambda r: r.wall_s), min(peers, key=lambda r: r.cpu_s)
        latency, cpu = fastest.wall_s / ours.wall_s, cheapest.cpu_s / ours.cpu_s
        met = latency >= LEAST_LATENCY and cpu >= LEAST_CPU
        lines += [
            "",
            f"Against the fastest peer ({fastest.name}) the latency is {latency:.0f} times lower, target "
            f"{LEAST_LATENCY}: {_met(latency >= LEAST_LATENCY)}. Against the cheapest ({cheapest.name}) a submission "
            f"takes {cpu:.1f} times less CPU, target {LEAST_CPU}: {_met(cpu >= LEAST_CPU)}.",
        ]
    return "\n".join(lines), met


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-a-row", type=int, default=100)
    parser.add_argument("--row-seconds", type=float, default=100, help="most seconds that a peer's row may take")
    parser.add_argument("--write", action="store_true", help="into docs/explanation/performance.md")
    options = parser.parse_args()
    began = time.monotonic()
    binaries = environment()
    with tempfile.TemporaryDirectory(prefix="grader-peers-") as scratch:
        graders, failed = contestants(Path(scratch), binaries)
        try:
            results = measure(graders, options.rounds, options.in_a_row, options.row_seconds)
        finally:
            for grader in graders:
                grader.close()
    body, _ = report(results, failed, options.in_a_row, options.rounds)
    print(body)
    print(f"took {time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.write:
        measuring.write_between(PAGE, "peers", body)


if __name__ == "__main__":
    main()
