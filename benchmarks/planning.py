"""What a deadline needs: cores, workers, memory, writes and waiting, by calculation from measured costs.

    .venv/bin/python benchmarks/planning.py --students 400 --cpu-ms 60 [--open-days 14] [--cores 4] [--uploads 2]

Sources of the formulas. Utilisation and numbers in the system: Little (1961), L = lambda W. Waiting while there is
room: Erlang's C formula (1917) for c servers with random arrivals; gradings of one assignment vary less than it
assumes, so it errs on the safe side. A rush above what the fleet does: the fluid model, arrivals less departures.
Arrivals before a deadline: a rate that is inversely proportional to the time left, as registrations before a
deadline were found to come (Alfi, Parisi and Pietronero 2007), levelled off in the last tau seconds.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import table  # noqa: E402

TAU_S = 600.0  # nobody aims closer at a deadline than this
BUSY = 0.7  # the share of its time that a core should be busy at most
WRITES = 3  # transactions of one submission: accepted, taken, graded
FLEETS = (4, 16, 64)
HOUR_S, DAY_S = 3600.0, 86400.0


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Measured costs. cpu_s: of one grading, all processes. worker_mib: one worker with one slot, pool included."""

    name: str
    cpu_s: float
    web_cpu_s: float
    worker_mib: float
    kib: float  # of the database, a submission


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """How uploads come. peak_s: uploads a second at the busiest moment. window_s: none for the curve."""

    name: str
    uploads: int
    open_s: float
    window_s: float | None = None

    @property
    def peak_rate(self) -> float:
        if self.window_s is not None:
            return self.uploads / self.window_s
        return self.uploads / (TAU_S * math.log1p(self.open_s / TAU_S))

    def share_in_last(self, seconds: float) -> float:
        """The share of all uploads that come in the last seconds before the deadline."""
        if self.window_s is not None:
            return min(1.0, seconds / self.window_s)
        return math.log1p(seconds / TAU_S) / math.log1p(self.open_s / TAU_S)

    def backlog(self, capacity: float) -> float:
        """Uploads that wait at the deadline when `capacity` are graded a second (fluid model)."""
        if capacity >= self.peak_rate:
            return 0.0
        if self.window_s is not None:
            return self.uploads - capacity * self.window_s
        # The rate passes the capacity this long before the deadline; the queue grows from then on.
        before_s = min(self.open_s, self.peak_rate * TAU_S / capacity - TAU_S)
        return self.uploads * self.share_in_last(before_s) - capacity * before_s

    def longest_wait_s(self, capacity: float) -> float:
        """Of the upload that comes last: until all before it are graded."""
        return self.backlog(capacity) / capacity


def utilisation(rate: float, service_s: float, servers: int) -> float:
    """The share of time that each of the servers is busy (Little: busy servers = rate * service_s)."""
    return rate * service_s / servers


def servers_needed(rate: float, service_s: float, busy: float = BUSY) -> int:
    """The least number of servers that are busy for at most this share of their time."""
    return max(1, math.ceil(rate * service_s / busy - 1e-9))


def erlang_c(servers: int, load: float) -> float:
    """The probability that an arrival finds every server busy. load: rate * service_s, below servers."""
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang B, by its recursion
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - utilisation(load, 1.0, servers) * (1 - blocked))


def mean_wait_s(rate: float, service_s: float, servers: int) -> float:
    """In the queue, before grading begins; infinite where more comes than is graded."""
    load = rate * service_s
    return math.inf if load >= servers else erlang_c(servers, load) * service_s / (servers - load)


def scenarios(students: int, uploads_each: float, open_s: float) -> list[Arrivals]:
    total = math.ceil(students * uploads_each)
    return [
        Arrivals(name="rate as 1 / time left", uploads=total, open_s=open_s),
        Arrivals(name="all in the last hour", uploads=total, open_s=open_s, window_s=HOUR_S),
        Arrivals(name="all in the last 10 minutes", uploads=total, open_s=open_s, window_s=600.0),
    ]


def needs(inputs: list[Inputs], arrivals: list[Arrivals]) -> str:
    """What keeps up without a queue: one worker with one slot a core."""
    heading = (
        "assignment", "arrivals", "uploads/s at the peak", f"cores for grading at {BUSY:.0%}", "mean wait, Erlang C",
        "workers' memory", "cores for the web", "write transactions/s", "database",
    )  # fmt: skip
    rows = []
    for one in inputs:
        for arriving in arrivals:
            rate = arriving.peak_rate
            cores = servers_needed(rate, one.cpu_s)
            wait_ms = mean_wait_s(rate, one.cpu_s, cores) * 1e3
            rows.append([
                one.name, arriving.name, f"{rate:.1f}", f"{cores}", f"{wait_ms:.1f} ms",
                f"{cores * one.worker_mib / 1024:.1f} GiB", f"{servers_needed(rate, one.web_cpu_s)}",
                f"{WRITES * rate:.0f}", f"{arriving.uploads * one.kib / (1 << 20):.1f} GiB",
            ])  # fmt: skip
    return table(heading, rows)


def waits(inputs: list[Inputs], arrivals: list[Arrivals], fleets: tuple[int, ...] = FLEETS) -> str:
    """How long the last upload waits where the fleet is what it is."""
    heading = ("assignment", "grading cores", "gradings/s", *(f"longest wait: {each.name}" for each in arrivals))
    rows = []
    for one in inputs:
        for cores in fleets:
            capacity = cores / one.cpu_s
            spoken = [_spoken(each.longest_wait_s(capacity)) for each in arrivals]
            rows.append([one.name, str(cores), f"{capacity:.0f}", *spoken])
    return table(heading, rows)


def _spoken(seconds: float) -> str:
    if seconds == 0:
        return "none"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * HOUR_S else f"{seconds / HOUR_S:.1f} h"


def plan(
    inputs: list[Inputs], students: int, *, uploads_each: float = 1.0, open_days: float = 14.0,
    fleets: tuple[int, ...] = FLEETS,
) -> str:  # fmt: skip
    """Both tables, with the assumption they stand on."""
    arrivals = scenarios(students, uploads_each, open_days * DAY_S)
    curve = arrivals[0]
    costs = "; ".join(
        f"{one.name}: {one.cpu_s * 1e3:.0f} ms of CPU a grading, {one.worker_mib:.0f} MiB a worker, "
        f"{one.web_cpu_s * 1e3:.0f} ms of CPU an upload on the web, {one.kib:.1f} KiB of database"
        for one in inputs
    )
    return "\n".join([
        f"{students:,} students, {uploads_each:g} upload each, open for {open_days:g} days. Costs: {costs}.",
        "",
        f"Under the curve {curve.share_in_last(HOUR_S):.0%} of the uploads come in the last hour and "
        f"{curve.share_in_last(600):.0%} in the last 10 minutes.",
        "",
        needs(inputs, arrivals),
        "",
        waits(inputs, arrivals, fleets),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=100_000)
    parser.add_argument("--uploads", type=float, default=1.0, help="uploads of each student")
    parser.add_argument("--open-days", type=float, default=14.0)
    parser.add_argument("--cpu-ms", type=float, required=True, help="CPU of one grading, all processes")
    parser.add_argument("--web-cpu-ms", type=float, default=20.0, help="CPU of one upload in the web process")
    parser.add_argument("--worker-mib", type=float, default=700.0, help="memory of one worker with one slot")
    parser.add_argument("--kib", type=float, default=20.0, help="database a submission")
    parser.add_argument("--cores", type=int, action="append", help="a fleet to look at; may be given several times")
    options = parser.parse_args()
    inputs = Inputs(
        name="yours", cpu_s=options.cpu_ms / 1e3, web_cpu_s=options.web_cpu_ms / 1e3, worker_mib=options.worker_mib,
        kib=options.kib,
    )  # fmt: skip
    fleets = tuple(options.cores) if options.cores else FLEETS
    print(plan([inputs], options.students, uploads_each=options.uploads, open_days=options.open_days, fleets=fleets))


if __name__ == "__main__":
    main()
