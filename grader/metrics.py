"""What one process counts of its own gradings, for Prometheus, and the port at which a worker shows it.

`grader serve` shows these numbers in its /metrics beside what the database knows (see web.api.metrics). A worker is a
process of its own, perhaps on another machine, so it is asked at a port of its own. Numbers are per process and only
grow; whoever asks adds them up.
"""

from __future__ import annotations

import hmac
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from grader import __version__
from grader.assignments import RUNTIMES
from grader.errors import UsageError
from grader.sandbox.child import Reason
from grader.sandbox.tally import LOST, Tally

# Phase of a grading -> its name among the report's timings. queued and store are measured by the worker.
PHASES = {"read": "read", "jail": "wait_for_child", "load": "load", "checks": "checks", "explain": "explain"}
_SHORT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)


# Else there is a series more for each series, with the moment it began, that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Measures:
    """The numbers of one process. Thread-safe.

    reconnects: how often this process had to listen for events of the others anew; whoever makes the bus sets it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconnects: Callable[[], int] = lambda: 0
        self._waits = Histogram(
            "grader_queue_wait_seconds", "From an upload's arrival to its grading's beginning.", ("runtime",),
            registry=self.registry, buckets=_LONG_S,
        )  # fmt: skip
        self._gradings = Histogram(
            "grader_grading_seconds", "From taking a job to its stored report.", ("runtime", "status"),
            registry=self.registry, buckets=_SHORT_S,
        )  # fmt: skip
        self._phases = Histogram(
            "grader_grading_phase_seconds", "Parts of a grading: queued, read, jail, load, checks, explain, store.",
            ("phase", "runtime"), registry=self.registry, buckets=_SHORT_S,
        )  # fmt: skip
        self._retries = Counter(
            "grader_retries", "Gradings that a fault of ours has stopped and that are tried again.", ("runtime",),
            registry=self.registry,
        )  # fmt: skip
        for runtime in RUNTIMES:
            self._retries.labels(runtime)  # from 0 on: a rate does not see the first of a series that was not there
        Info("grader_build", "The version of this process.", registry=self.registry).info({"version": __version__})
        ProcessCollector(registry=self.registry)
        self.registry.register(_Bus(self))

    def took(self, runtime: str, waited_s: float) -> None:
        """A job was taken for the first time."""
        self._waits.labels(runtime).observe(waited_s)
        self._phases.labels("queued", runtime).observe(waited_s)

    def retried(self, runtime: str) -> None:
        """A grading ended by a fault of ours and is to be tried again."""
        self._retries.labels(runtime).inc()

    def graded(
        self, runtime: str, status: str, timings_ms: Mapping[str, float], *, took_s: float, store_s: float
    ) -> None:
        """A report was stored. timings_ms: of the report."""
        self._gradings.labels(runtime, status).observe(took_s)
        for phase, timing in PHASES.items():
            if timing in timings_ms:
                self._phases.labels(phase, runtime).observe(timings_ms[timing] / 1000)
        self._phases.labels("store", runtime).observe(store_s)

    def watch(self, tally: Tally) -> None:
        """Shows the counts of the process's sandbox too."""
        self.registry.register(_Sandbox(tally))

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)


class _Bus(Collector):
    """What the bus counts for itself."""

    def __init__(self, measures: Measures) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "grader_event_bus_reconnects", "Times that this process had to listen for events anew.",
            self._measures.reconnects(),
        )  # fmt: skip


class _Sandbox(Collector):
    """The sandbox counts for itself, in plain numbers: grading a file from the command line needs no Prometheus."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        taken = CounterMetricFamily(
            "grader_pool_taken", "Children handed out; result: hit when one was parked, miss when it was waited for.",
            labels=("runtime", "result"),
        )  # fmt: skip
        counts = self._tally.taken
        for runtime in sorted({runtime for runtime, _ in counts}):
            taken.add_metric([runtime, "hit"], counts.get((runtime, True), 0))
            taken.add_metric([runtime, "miss"], counts.get((runtime, False), 0))
        yield taken
        ended = CounterMetricFamily(
            "grader_sandbox_kills",
            "Children that ended before they answered, by the limit they met or what they died of.",
            labels=("reason",),
        )
        ends = self._tally.ends
        for reason in (*map(str, Reason), LOST):  # those of which there are none yet, too
            ended.add_metric([reason], ends.get(reason, 0))
        yield ended


# A worker's port ---------------------------------------------------------------------------------------------------


@contextmanager
def shown_at(measures: Measures, host: str, port: int, token: str = "") -> Iterator[int]:
    """Serves /metrics at a port (0: any) and gives its number. token: a bearer token that it then needs.

    Raises UsageError when the port is taken: two workers that share one would show the numbers of either.
    """
    try:
        server = _server(host, port, measures, token)
    except OSError as error:
        raise UsageError(f"--metrics-port {port}: {host} cannot be listened at: {error.strerror}") from None
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(host: str, port: int, measures: Measures, token: str) -> ThreadingHTTPServer:
    class Page(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            if self.path.partition("?")[0] != "/metrics":
                self._answer(404, b"/metrics\n")
            elif token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                self._answer(401, b"a bearer token is needed\n")
            else:
                self._answer(200, measures.text(), CONTENT_TYPE_LATEST)

        def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Bearer realm="grader"')
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # asked every few seconds: no news
            return

        def version_string(self) -> str:
            return "grader"

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

        def server_bind(self) -> None:  # without HTTPServer's question for the machine's name, which DNS may not answer
            TCPServer.server_bind(self)

        def handle_error(self, request: object, client_address: object) -> None:  # it went away while we answered
            return

    return Server((host, port), Page)
