"""What every route needs of the running service, made once by the entrance that starts it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from grader.events import Bus
from grader.metrics import Measures
from grader.queue import Queue
from grader.sandbox.limits import Mode
from grader.service import pace
from grader.service.catalogue import Catalogue
from grader.store.engine import Store

_LOOK_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Posture:
    """How strong the isolation is, over all workers that live. advice: the command that gives mode A, when weaker.

    mode: the weakest; none when no worker lives. workers: that take jobs; held: that take none, since the self-test of
    their sandbox fails.
    """

    mode: Mode | None
    missing: tuple[str, ...]
    workers: int
    held: int = 0


@dataclass(kw_only=True)
class Service:
    """The parts of a running service. secret: key of sessions, forms and inputs. public_url: empty on loopback.

    hosts: names that requests may be for; secure: served over TLS. advice: what gives mode A on this machine.
    """

    store: Store
    queue: Queue
    bus: Bus
    catalogue: Catalogue
    secret: bytes
    hosts: frozenset[str]
    public_url: str = ""
    proxies: int = 0
    uploads_a_minute: int = 12
    requests_a_minute: int = 600
    metrics_token: str = ""
    advice: str = ""
    measures: Measures = field(default_factory=Measures)  # of the gradings of this process
    absent: dict[str, str] = field(default_factory=dict)  # runtime -> why it is not there and what adds it
    _posture: tuple[float, Posture] | None = None

    @property
    def secure(self) -> bool:
        return self.public_url.startswith("https://")

    def now(self) -> datetime:
        return datetime.now(UTC)

    def posture(self) -> Posture:
        """Read from what the workers announce; looked at every few seconds only."""
        if self._posture is None or time.monotonic() - self._posture[0] > _LOOK_S:
            self._posture = (time.monotonic(), self._look())
        return self._posture[1]

    def _look(self) -> Posture:
        with self.store.read() as session:
            rows = pace.living(session, self.now())
        modes = sorted((Mode(row.mode) for row in rows if row.mode), reverse=True)
        missing = dict.fromkeys(layer for row in rows for layer in row.detail.get("missing", ()))
        held = sum(bool(row.detail.get("held")) for row in rows)
        return Posture(
            mode=modes[0] if modes else None, missing=tuple(missing), workers=len(rows) - held, held=held
        )  # fmt: skip
