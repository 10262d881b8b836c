"""Zygotes and parked children: the trusted side of the sandbox's process tree.

A zygote is started once a runtime; children are forked ahead of need, warmed, and parked. `Sandbox.take` hands out one
that has never been used and a background thread forks its successor, so a student waits for the checks only.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from grader.errors import SandboxError, SandboxUnavailable
from grader.sandbox.cgroups import Cgroups, open_cgroups
from grader.sandbox.child import CallError, Child, ChildEnded
from grader.sandbox.limits import CheckLimits, Mode, SandboxConfig
from grader.sandbox.modes import probe, refusal
from grader.sandbox.tally import Tally
from grader.sandbox.zygotes import PARKED_READY_S, Zygote

_FORKS_A_ZYGOTE = 1000


class Sandbox:
    """The entrance: isolation of the best mode this machine gives, children on request. Thread-safe.

    Raises SandboxUnavailable from `start` when the mode would be weaker than the configuration permits.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.mode: Mode | None = None
        self.missing: list[str] = []  # layers that are not there, in words
        self.tally = Tally()
        self._cgroups: Cgroups | None = None
        self._lanes: dict[str, _Lane] = {}
        self._preparations: dict[str, list[dict[str, Any]]] = {}
        self._starting: dict[str, threading.Lock] = {}
        self._closed = False
        self._lock = threading.Lock()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, runtime: str, *, parked: int | None = None) -> None:
        """Starts the zygote of a runtime and begins to park children. Does nothing when it runs already."""
        with self._lock:
            if runtime in self._lanes:
                return
            if self.mode is None:
                self._choose_mode()
            assert self.mode is not None
            mode, cgroups = self.mode, self._cgroups
            count = self.config.parked if parked is None else parked
            preparations = self._preparations.setdefault(runtime, [])
            starting = self._starting.setdefault(runtime, threading.Lock())
        with starting:  # of this runtime only: another one may take its time without holding up those that run
            if runtime in self._lanes:
                return
            lane = _Lane(lambda: Zygote(self.config, runtime, mode, cgroups), count, preparations)
            with self._lock:
                if not self._closed:
                    self._lanes[runtime] = lane
                    return
        lane.close()
        raise SandboxError("the sandbox is closing")

    def prepare(self, runtime: str, **arguments: Any) -> None:
        """What the driver's operation `prepare` should be asked in every child parked from now on."""
        with self._lock:
            preparations = self._preparations.setdefault(runtime, [])
            if arguments not in preparations:
                preparations.append(arguments)

    def _choose_mode(self) -> None:
        """Fails closed: a weaker mode than A or B needs explicit consent, D only ever runs an author's own code."""
        if sys.platform != "linux":
            raise SandboxUnavailable("Grader needs a Linux kernel; on other systems run it in a Linux virtual machine")
        mode, why = probe(self.config)
        self.missing = list(why)
        if mode is Mode.C and not self.config.allow_degraded and not self.config.unsafe_own_code:
            raise SandboxUnavailable(refusal(mode, why))
        if mode is Mode.D and not self.config.unsafe_own_code:
            raise SandboxUnavailable(refusal(mode, why))
        cgroups = open_cgroups()
        if isinstance(cgroups, str):
            self.missing.append(cgroups)
            mode = Mode.B if mode is Mode.A else mode
        else:
            self._cgroups = cgroups
        self.mode = mode

    @property
    def grouped(self) -> bool:
        """Whether children run in control groups with limits."""
        return self._cgroups is not None

    def take(self, runtime: str) -> Child:
        """A parked child that nobody has used. Raises SandboxError."""
        self.start(runtime)
        child, at_once = self._lanes[runtime].take()
        self.tally.took(runtime, at_once)
        child.tell_end = self.tally.ended
        return child

    def spawn(self, runtime: str) -> Child:
        """A child beside the parked ones, for a reference that lives long."""
        self.start(runtime)
        return self._lanes[runtime].zygote().spawn(cpu_s=0)

    def wait_parked(self, runtime: str) -> None:
        """Until the full number of children is parked; for measurements."""
        self._lanes[runtime].wait_parked()

    def versions(self, runtime: str) -> dict[str, str]:
        self.start(runtime)
        return self._lanes[runtime].zygote().versions

    def zygote(self, runtime: str) -> Zygote:
        self.start(runtime)
        return self._lanes[runtime].zygote()

    def close(self) -> None:
        with self._lock:
            lanes, self._lanes, self._closed = list(self._lanes.values()), {}, True
            starting = list(self._starting.values())
        for lock in starting:
            with lock:  # what still starts closes itself; its control group must not go before it
                pass
        for lane in lanes:
            lane.close()
        if self._cgroups is not None:
            self._cgroups.close()
            self._cgroups = None


class _Lane:
    """One runtime: its zygote, its parked children, and the thread that replaces those taken."""

    def __init__(self, make: Callable[[], Zygote], count: int, preparations: list[dict[str, Any]]) -> None:
        self._make, self._count, self._preparations = make, count, preparations
        self._zygote = make()
        self._parked: deque[Child] = deque()
        self._changed = threading.Condition()
        self._replacing = threading.RLock()
        self._busy = 0  # children taken and not closed yet
        self._closing = False
        self._error: SandboxError | None = None
        self._thread = threading.Thread(target=self._refill, name="refill", daemon=True)
        self._thread.start()

    def zygote(self) -> Zygote:
        """The living zygote; a new one when the last was killed. Raises SandboxError."""
        with self._replacing:
            if not self._zygote.alive:
                self._replace()
            return self._zygote

    def _refill(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._wanted)
                if self._closing:
                    return
            try:
                with self._replacing:
                    if self._zygote.forks >= _FORKS_A_ZYGOTE:
                        self._replace()
                child = self.zygote().spawn()
                self._prepare(child)
            except (SandboxError, OSError) as error:  # an error of the machine must not end the supply
                with self._changed:
                    self._error = error if isinstance(error, SandboxError) else SandboxError(str(error))
                    self._changed.notify_all()
                continue
            with self._changed:
                self._parked.append(child)
                self._changed.notify_all()

    def _wanted(self) -> bool:
        """Whether to fork now: at once when none is parked, else when no grading would have to share the processor."""
        if self._closing or self._error:
            return self._closing
        return not self._parked or (len(self._parked) < self._count and not self._busy)

    def _less_busy(self) -> None:
        with self._changed:
            self._busy -= 1
            self._changed.notify_all()

    def _prepare(self, child: Child) -> None:
        child.begin(CheckLimits(cpu_s=20.0, wall_s=20.0))
        try:
            for arguments in list(self._preparations):
                child.ask("prepare", **arguments)
        except (ChildEnded, CallError) as error:
            child.close()
            raise SandboxError(f"a parked child could not be prepared: {error}") from error

    def _replace(self) -> None:
        """A new zygote for one that is old or dead. Children of the old one that are in use die with it only if it
        is dead already; a living one is retired when its parked children are gone."""
        old, self._zygote = self._zygote, self._make()
        with self._changed:
            stale, self._parked = list(self._parked), deque()
            self._changed.notify_all()
        for child in stale:
            child.close()
        if not old.alive:
            old.close()
        else:
            threading.Thread(target=old.retire, name="retire", daemon=True).start()

    def take(self) -> tuple[Child, bool]:
        """A child, and whether it was there at once."""
        with self._changed:
            at_once = bool(self._parked)
            if not self._changed.wait_for(lambda: self._parked or self._error or self._closing, PARKED_READY_S):
                raise SandboxError(f"no parked child within {PARKED_READY_S:.0f} s")
            if self._parked:
                child = self._parked.popleft()
            else:
                error, self._error = self._error, None  # the next taker tries again
                self._changed.notify_all()
                raise error or SandboxError("the sandbox is closing")
            self._busy += 1
            self._changed.notify_all()
        child.closers.append(self._less_busy)
        if child.dead():  # killed while it was parked, by the kernel or an administrator
            child.close()
            return self.take()
        return child, at_once

    def wait_parked(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._parked) >= self._count or self._error, PARKED_READY_S)

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(PARKED_READY_S)
        for child in self._parked:
            child.close()
        self._zygote.close()
