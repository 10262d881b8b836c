"""Which queue, and which keeper of periods, belongs to which database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from grader.queue import Queue
from grader.queue.local import LocalQueue
from grader.queue.periodic import Periodic, Task, Timer
from grader.store.engine import Store

if TYPE_CHECKING:
    from grader.store.listening import Listener


def queue_of(store: Store, listener: Listener | None = None) -> Queue:
    """Procrastinate's on PostgreSQL, the one in the file on SQLite. listener: wakes those who wait for jobs."""
    if not store.is_postgresql:
        return LocalQueue(store)
    from grader.queue.distributed import DistributedQueue  # only where it is used: it takes a while to import

    return DistributedQueue(store, listener)


def periodic_of(store: Store, tasks: Sequence[Task], worker: str, own: Callable[[], None]) -> Periodic:
    """worker: the name of this process. own: asks it for what every worker does for itself; returns at once."""
    if not store.is_postgresql:
        return Timer(store, tasks, own)
    from grader.queue.deferring import Deferring  # likewise

    return Deferring(store, tasks, worker, own)
