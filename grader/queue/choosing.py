"""Which queue belongs to which database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grader.queue import Queue
from grader.queue.local import LocalQueue
from grader.store.engine import Store

if TYPE_CHECKING:
    from grader.store.listening import Listener


def queue_of(store: Store, listener: Listener | None = None) -> Queue:
    """Procrastinate's on PostgreSQL, the one in the file on SQLite. listener: wakes those who wait for jobs."""
    if not store.is_postgresql:
        return LocalQueue(store)
    from grader.queue.distributed import DistributedQueue  # only where it is used: it takes a while to import

    return DistributedQueue(store, listener)
