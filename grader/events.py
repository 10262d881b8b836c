"""Tells pages what happens while they wait: publish on a topic, listen to a topic, within one process.

Nothing depends on an event to arrive: whoever listens also looks into the database now and then, so a grading by
another process, or an event that was missed, is only seen a little later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from grader.reports import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """kind: state, check, done, progress. data: what the page's script is given."""

    kind: str
    data: dict[str, Json] = field(default_factory=dict)


Listener = Callable[[Event], None]


class Bus:
    """Listeners by topic. Thread-safe; a listener must return at once (put the event into a queue).

    ended: the process is about to stop; whoever waits gives the answer there is by now.
    """

    def __init__(self) -> None:
        self.ended = False
        self._listeners: dict[str, set[Listener]] = {}
        self._lock = threading.Lock()

    def publish(self, topic: str, event: Event) -> None:
        with self._lock:
            listeners = list(self._listeners.get(topic, ()))
        for listener in listeners:
            listener(event)

    @contextmanager
    def listening(self, topic: str, listener: Listener) -> Iterator[None]:
        with self._lock:
            self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[topic].discard(listener)
                if not self._listeners[topic]:
                    del self._listeners[topic]


def submission_topic(submission_id: int) -> str:
    return f"submission:{submission_id}"


def regrade_topic(regrade_id: int) -> str:
    return f"regrade:{regrade_id}"
