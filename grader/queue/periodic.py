"""When periodic work is done: once a period for the whole installation, however many processes there are.

On PostgreSQL Procrastinate defers a job for each period; its table of deferred periods has room for one of each (see
queue.deferring). On SQLite every worker has a timer; who comes first writes the period down in the transaction that
does the work, and the others, whose transactions come after it, find it there. So a worker that is killed in the
middle has done nothing, and the next one does it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.orm import Session

from grader.errors import StoreError
from grader.store.engine import Store
from grader.store.models import Instance

log = logging.getLogger("grader")

HOURLY = "37 * * * *"  # what every worker does for itself
_HOUR_S = 3600.0
_LOOK_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """cron: when, in UTC. every_s: its period. run: in a transaction of its own, with the time of this machine."""

    name: str
    cron: str
    every_s: int
    run: Callable[[Session, datetime], object]


class Periodic(Protocol):
    """Does its tasks in a thread from `start` to `close`, and asks this process for its own once an hour."""

    def start(self) -> None: ...

    def close(self) -> None: ...


class Timer:
    """Periodic, over an SQLite file."""

    def __init__(self, store: Store, tasks: Sequence[Task], own: Callable[[], None]) -> None:
        self._store, self._tasks, self._own = store, tasks, own
        self._known: dict[str, str] = {}  # periods that this process knows to be done
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def look(self) -> list[str]:
        """Does what is due; returns the names of what was done here."""
        return [task.name for task in self._tasks if self._do(task)]

    def _do(self, task: Task) -> bool:
        if self._known.get(task.name) == _period(task, datetime.now(UTC)):
            return False
        try:
            with self._store.write() as session:
                now = datetime.now(UTC)  # within the transaction: later than whatever was written down
                period = _period(task, now)
                ours = _write_down(session, f"periodic.{task.name}", period)
                if ours:
                    task.run(session, now)
        except StoreError as error:
            log.error("%s: %s", task.name, error)
            return False
        except Exception:
            log.exception("%s failed; it is tried again", task.name)
            return False
        self._known[task.name] = period
        return ours

    def _run(self) -> None:
        asked = time.monotonic()
        while not self._closing.wait(_LOOK_S):
            self.look()
            if time.monotonic() - asked >= _HOUR_S:
                asked = time.monotonic()
                self._own()


def _period(task: Task, now: datetime) -> str:
    return str(int(now.timestamp() // task.every_s))


def _write_down(session: Session, key: str, period: str) -> bool:
    """Whether this period was not written down yet."""
    row = session.get(Instance, key)
    if row is None:
        session.add(Instance(key=key, value=period))
        return True
    done, row.value = row.value, period
    return done != period
