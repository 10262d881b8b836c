"""A running service put together from values.

    Parts     what web and grading of one process share: store, queue, bus, catalogue, secret
    Grading   sandbox, engine and worker of one process, warmed up in the background
    Web       uvicorn around the application, on a socket that listens already

`grader serve` has all three, `grader worker` the first two.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

import uvicorn
from sqlalchemy import select

from grader.assignments import Assignment
from grader.doctor import examine
from grader.errors import GraderError, SandboxUnavailable, UsageError
from grader.events import Bus
from grader.grading import Engine, keep_what_is_loaded
from grader.metrics import Measures
from grader.queue.choosing import periodic_of, queue_of
from grader.queue.names import is_gone, worker_name
from grader.sandbox.limits import Mode, SandboxConfig
from grader.sandbox.modes import advise
from grader.sandbox.pool import Sandbox
from grader.service.catalogue import Catalogue
from grader.store.engine import Store
from grader.store.models import Published
from grader.store.models import Worker as WorkerRow
from grader.upkeep import TASKS, SelfTest
from grader.worker import Worker

log = logging.getLogger("grader")

EVENTS = "grader_events"  # NOTIFY: what pages are told of, from process to process
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
STOP_S = 8.0  # of `grader serve`, from the signal to the end; container engines kill after ten
_REQUESTS_S = 5
_BACKLOG = 1024


@dataclass(kw_only=True)
class Parts:
    """What web and grading of one process share."""

    store: Store
    catalogue: Catalogue
    secret: bytes
    measures: Measures = field(default_factory=Measures)

    def __post_init__(self) -> None:
        if not self.store.is_postgresql:
            self.bus, self.queue = Bus(), queue_of(self.store)
            return
        from grader.store.listening import Listener

        listener = Listener(self.store)
        self.bus = Bus(lambda text: listener.notify(EVENTS, text))
        listener.on(EVENTS, self.bus.receive)
        self.queue = queue_of(self.store, listener)
        self.measures.reconnects = lambda: listener.reconnects
        listener.start()
        self._listener = listener

    def close(self) -> None:
        if self.store.is_postgresql:
            self._listener.close()

    def published(self) -> list[Assignment]:
        """The assignments that some course hands out and that are installed; the lightest runtime first."""
        with self.store.read() as session:
            names = set(session.scalars(select(Published.name).distinct()))
        found = [self.catalogue.get(name) for name in self.catalogue.names if name in names]
        return sorted(found, key=lambda assignment: (assignment.runtime != "numpy", assignment.name))

    def forget_lost_workers(self) -> None:
        """Removes workers of this machine whose process has ended without saying so."""
        with self.store.write() as session:
            for row in session.scalars(select(WorkerRow)):
                if is_gone(row.name):
                    session.delete(row)


# Grading -----------------------------------------------------------------------------------------------------------


class Grading:
    """Grades jobs of these runtimes. Raises SandboxError when this machine gives no isolation, or one too weak.

    exposed: in words, what makes mode C too weak here; empty where it may be used. slots: gradings at once. grace_s:
    how long a stop waits for the gradings that run, before it gives them back.
    """

    def __init__(
        self, parts: Parts, config: SandboxConfig, runtimes: Sequence[str], slots: int, *, exposed: str = "",
        grace_s: float = STOP_S,
    ) -> None:  # fmt: skip
        self._parts, self._grace_s = parts, grace_s
        self._sandbox = Sandbox(config)
        self._engine = Engine(self._sandbox, parts.secret)
        try:
            self._sandbox.start("numpy" if "numpy" in runtimes or not runtimes else runtimes[0])
            if exposed and self._sandbox.mode is Mode.C:
                raise SandboxUnavailable(_too_weak(exposed, self._sandbox.missing))
        except BaseException:
            self._sandbox.close()
            raise
        self._worker = Worker(
            store=parts.store, queue=parts.queue, engine=self._engine, catalogue=parts.catalogue, bus=parts.bus,
            name=worker_name(), runtimes=list(runtimes), slots=slots, measures=parts.measures,
        )  # fmt: skip
        self._self_test = SelfTest(lambda: examine(self._sandbox.config), self._worker, self.mode)
        self._periodic = periodic_of(parts.store, TASKS, self._worker.name, self._self_test.ask)
        parts.measures.watch(self._sandbox.tally)
        self._stopper: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def mode(self) -> Mode | None:
        return self._sandbox.mode

    @property
    def name(self) -> str:
        """The worker's."""
        return self._worker.name

    def start(self) -> None:
        """Takes jobs from now on; what is published gets warm meanwhile, then the sandbox is examined."""
        self._worker.start()
        self._periodic.start()
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def _warm_up(self) -> None:
        for assignment in self._parts.published():
            if self._closing.is_set() or assignment.runtime not in self._worker.runtimes:
                continue
            began = time.perf_counter()
            try:
                self._engine.warm_up(assignment)
            except GraderError as error:
                if not self._closing.is_set():
                    log.error("%s could not be warmed up: %s", assignment.name, error)
                continue
            log.info("%s is warm after %.1f s", assignment.name, time.perf_counter() - began)
        keep_what_is_loaded()
        if not self._closing.is_set():
            self._self_test.start()

    def begin_to_stop(self) -> None:
        """Takes no more jobs; returns at once."""
        if self._stopper is None:
            self._closing.set()
            self._self_test.close()
            self._stopper = threading.Thread(target=self._worker.stop, args=(self._grace_s,), name="stop", daemon=True)
            self._stopper.start()

    def close(self) -> None:
        """Waits until what runs is finished or given back, then ends the sandbox."""
        self.begin_to_stop()
        assert self._stopper is not None
        self._periodic.close()
        self._stopper.join()
        self._engine.close()
        self._sandbox.close()


def _too_weak(exposed: str, missing: Sequence[str]) -> str:
    reasons = "; ".join(missing)
    return (
        f"{exposed}, and the sandbox would be mode C here ({reasons}), which is only served on 127.0.0.1. "
        f"{advise(reasons)}"
    )


def with_consent(config: SandboxConfig) -> SandboxConfig:
    """Mode C permitted; whoever starts the sandbox looks at its mode then."""
    return replace(config, allow_degraded=True)


# Web ---------------------------------------------------------------------------------------------------------------


class Web(uvicorn.Server):
    """uvicorn, ended by SIGTERM or SIGINT without raising them again. on_stop: called once when it begins to end."""

    def __init__(self, app: Any, on_stop: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, http="h11", ws="none", loop="asyncio", log_config=None, access_log=False, server_header=False,
                proxy_headers=False, backlog=_BACKLOG, timeout_graceful_shutdown=_REQUESTS_S,
            )
        )  # fmt: skip
        self._on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The second signal does not wait for requests any more."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a client that comes early waits instead of being refused. Raises UsageError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise UsageError(f"--host {host}: {error.strerror}") from None
    family, _, _, _, address = found[0]
    try:
        made = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            said = f"port {port} of {host} is in use by another program; stop it, or choose another: --port 8001"
        elif error.errno == errno.EACCES:
            said = f"port {port} needs more rights; choose one from 1024 on: --port 8000"
        else:
            said = f"cannot listen at {host} port {port}: {error.strerror}"
        raise UsageError(said) from None
    # Inherited by every connection. Without it, an answer of two pieces waits 40 ms for the client's acknowledgement.
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(sock: socket.socket, host: str) -> str:
    """How a browser on this machine reaches a socket: http://127.0.0.1:8000."""
    return f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"


def longest_check_s(catalogue: Catalogue, runtimes: Sequence[str]) -> float:
    """What the slowest check of these runtimes may take, in seconds of wall time."""
    found = [catalogue.get(name) for name in catalogue.names]
    return max((c.limits.wall_s for a in found if a.runtime in runtimes for c in a.checks), default=0.0)


def installed(catalogue: Catalogue, absent: Mapping[str, str]) -> list[str]:
    """Runtimes of the catalogue that this machine has."""
    runtimes = dict.fromkeys(catalogue.get(name).runtime for name in catalogue.names)
    return [runtime for runtime in runtimes if runtime not in absent]
