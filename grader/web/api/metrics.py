"""Numbers for Prometheus. Each application has a registry of its own, so that two in one process do not mix.

What the database knows (the queue, gradings by workers of any process) is read when somebody asks; requests are counted
here, by the template of their address: an address itself would make a new series for every submission. What this
process counts of its own gradings comes after it (see grader.metrics).
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections import Counter as Counted
from collections.abc import Iterator

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import case, func, select

from grader.assignments import RUNTIMES
from grader.reports import ReportStatus
from grader.sandbox.limits import Mode
from grader.service import pace
from grader.store.models import Job, StoredReport
from grader.store.states import JobState
from grader.web.hosting import Service

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
_REASONS = ("upload", "regrade", "reused")
_SHOWN = (JobState.QUEUED, JobState.RUNNING, JobState.FAILED)
_LATE = 1000  # reports that may be committed after one with a larger number
_making = threading.Lock()


class Metrics:
    """The registry of one application."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "grader_http_request_seconds", "Time until a request was answered.", ("method", "route", "status"),
            registry=self._registry, buckets=_SECONDS,
        )  # fmt: skip
        self._gradings = Counter(
            "grader_gradings", "Gradings that ended, by how and why they were made: upload, regrade, reused.",
            ("status", "reason"), registry=self._registry,
        )  # fmt: skip
        for status, why in itertools.product(ReportStatus, _REASONS):
            self._gradings.labels(
                status, why
            )  # from 0 on: a rate does not see the first of a series that was not there
        self._lock = threading.Lock()
        with service.store.read() as session:
            self._last_report = session.scalar(select(func.max(StoredReport.id))) or 0
            known = select(StoredReport.id).where(StoredReport.id > self._last_report - _LATE)
            self._counted = set(session.scalars(known))
        self._registry.register(_Present(service))

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        self._count_gradings()
        return generate_latest(self._registry) + self._service.measures.text()

    def _count_gradings(self) -> None:
        """Adds the reports that were stored since the last look, by whatever process."""
        reason = case(
            (StoredReport.regrade_id.is_not(None), "regrade"), (StoredReport.reused_from_id.is_not(None), "reused"),
            else_="upload",
        )  # fmt: skip
        with self._lock, self._service.store.read() as session:
            late = max(0, self._last_report - _LATE)  # PostgreSQL gives numbers out before the commit
            rows = session.execute(select(StoredReport.id, StoredReport.status, reason).where(StoredReport.id > late))
            for number, status, why in rows:
                if number not in self._counted:
                    self._gradings.labels(status, why).inc()
                    self._counted.add(number)
                self._last_report = max(self._last_report, number)
            self._counted = {number for number in self._counted if number > self._last_report - _LATE}


class _Present(Collector):
    """What holds at this moment for the whole service: every web process of it says the same."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing: to know the names, the registry would otherwise ask the database while the service starts."""
        return []

    def collect(self) -> Iterator[Metric]:
        service = self._service
        with service.store.read() as session:
            oldest_s = service.queue.depth(session).oldest_s
            counts = {
                (state, runtime): count
                for state, runtime, count in session.execute(
                    select(Job.state, Job.runtime, func.count())
                    .where(Job.state.in_(_SHOWN))
                    .group_by(Job.state, Job.runtime)
                )
            }
            workers = pace.living(session, service.now())
        runtimes = sorted({*RUNTIMES, *(runtime for _, runtime in counts)})  # shown though nothing waits for them
        jobs = GaugeMetricFamily("grader_queue_jobs", "Jobs by state and runtime.", labels=["state", "runtime"])
        for state in _SHOWN:
            for runtime in runtimes:
                jobs.add_metric([str(state), runtime], counts.get((state, runtime), 0))
        yield jobs
        yield GaugeMetricFamily("grader_queue_oldest_seconds", "Age of the oldest job that waits.", oldest_s)
        alive = GaugeMetricFamily(
            "grader_workers",
            "Workers that are alive, by the mode of their sandbox; none: without one.",
            labels=["mode"],
        )
        modes = Counted(worker.mode or "none" for worker in workers)
        for mode in (*map(str, Mode), "none"):
            alive.add_metric([mode], modes[mode])
        yield alive
        slots = sum(int(worker.detail.get("slots", 1)) for worker in workers)
        yield GaugeMetricFamily("grader_slots", "Gradings that living workers can do at once.", slots)
        weakest = service.posture().mode
        posture = GaugeMetricFamily("grader_sandbox_mode", "1 for the weakest mode of the workers.", labels=["mode"])
        for each in Mode:
            posture.add_metric([str(each)], float(weakest is each))
        yield posture
        yield from _disk(service)


def _disk(service: Service) -> Iterator[Metric]:
    """Room on the disk of the database, where that is a file of this machine."""
    file = service.store.file
    if file is not None:
        usage = shutil.disk_usage(file.parent)
        yield GaugeMetricFamily("grader_disk_free_bytes", "Room on the disk of the database.", usage.free)
        yield GaugeMetricFamily("grader_disk_bytes", "Size of the disk of the database.", usage.total)


def metrics_of(app: FastAPI) -> Metrics:
    """The metrics of an application, made when first needed."""
    found: Metrics | None = getattr(app.state, "metrics", None)
    if found is None:
        with _making:
            found = getattr(app.state, "metrics", None)
            if found is None:
                found = app.state.metrics = Metrics(app.state.service)
    return found
