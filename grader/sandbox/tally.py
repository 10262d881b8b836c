"""Counts of one process's sandbox: children handed out at once or after waiting for one, and how children ended."""

from __future__ import annotations

import threading
from collections import Counter

LOST = "lost"  # killed by something outside of us: the machine or an administrator


class Tally:
    """Only grows. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[tuple[str, bool]] = Counter()
        self._ended: Counter[str] = Counter()

    def took(self, runtime: str, at_once: bool) -> None:
        """A child was handed out. at_once: one was parked already."""
        with self._lock:
            self._taken[runtime, at_once] += 1

    def ended(self, reason: str) -> None:
        """A child of a submission ended before it had answered: a word of child.Reason, or LOST."""
        with self._lock:
            self._ended[reason] += 1

    @property
    def taken(self) -> dict[tuple[str, bool], int]:
        """{(runtime, at once): children}."""
        with self._lock:
            return dict(self._taken)

    @property
    def ends(self) -> dict[str, int]:
        """{reason: children}."""
        with self._lock:
            return dict(self._ended)
