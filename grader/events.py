"""Tells pages what happens while they wait: publish on a topic, listen to a topic.

A Bus reaches the listeners of its own process; with relays also those of the others (PostgreSQL's NOTIFY, see
assembly). Nothing depends on an event to arrive: whoever listens also looks into the database now and then, so an event
that was missed is only seen a little later.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from grader.reports import Json

_LONGEST = 7900  # bytes of a notification; PostgreSQL takes less than 8000


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """kind: state, check, done, progress. data: what the page's script is given."""

    kind: str
    data: dict[str, Json] = field(default_factory=dict)


Listener = Callable[[Event], None]


class Bus:
    """Listeners by topic. Thread-safe; a listener must return at once (put the event into a queue).

    ended: the process is about to stop; whoever waits gives the answer there is by now. send: passes an event on to
    the other processes, as text; what they send comes back through `receive`.
    """

    def __init__(self, send: Callable[[str], None] | None = None) -> None:
        self.ended = False
        self._send = send
        self._origin = secrets.token_hex(8)
        self._listeners: dict[str, set[Listener]] = {}
        self._lock = threading.Lock()

    def publish(self, topic: str, event: Event) -> None:
        self._tell(topic, event)
        if self._send is not None:
            text = json.dumps([self._origin, topic, event.kind, event.data], ensure_ascii=True)
            if len(text) <= _LONGEST:
                self._send(text)

    def receive(self, text: str) -> None:
        """An event of another process. What is no event is passed over: anybody with the database may notify."""
        try:
            origin, topic, kind, data = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return
        if origin != self._origin and isinstance(topic, str) and isinstance(kind, str) and isinstance(data, dict):
            self._tell(topic, Event(kind=kind, data=data))

    def _tell(self, topic: str, event: Event) -> None:
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
