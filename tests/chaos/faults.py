"""What goes wrong. A fault is a function of the chaos that returns the moment from which recovery is counted: that of
the blow, or the end of what lasts; none when there was nothing to do it to, so that it is tried again."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg

from tests.postgres import Server

from .processes import Supervised, below, children, kill, words
from .scene import Scene
from .students import Students

_FULL_S, _SCARCE_S, _SKEWED_S = (2.0, 3.0), 2.0, 4.0
_PAUSE_S = (43.0, 47.0)  # beyond the 38 s after which a silent worker's submissions go to another
_SHORT_PAUSE_S = (6.0, 15.0)  # within them: what it was doing is finished by itself
_SKEWS_S = (-3600, -120, -20, 20, 120, 3600)
_FEW_DESCRIPTORS = 12
_SEGMENTS = 12  # of the journal; so many PostgreSQL keeps ready at most, see scene.Scene._tune


@dataclass
class Chaos:
    """What faults are done to. luck: the only source of chance. pauses: threads that let a worker go on later."""

    scene: Scene
    students: Students
    luck: random.Random
    pauses: list[threading.Thread] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def worker(self) -> Supervised | None:
        """One that runs and is not paused."""
        found = [process for process in self.scene.workers if process.alive and not process.paused]
        return self.luck.choice(found) if found else None

    def lasting(self, limits: tuple[float, float]) -> None:
        time.sleep(self.luck.uniform(*limits))


Fault = Callable[[Chaos], float | None]


# Processes ---------------------------------------------------------------------------------------------------------


def kill_web(chaos: Chaos) -> float:
    kill(chaos.scene.web.pid)
    return time.monotonic()


def kill_worker(chaos: Chaos) -> float | None:
    worker = chaos.worker()
    return None if worker is None else _killed([worker.pid])


def _killed(pids: Sequence[int]) -> float | None:
    for pid in pids:
        kill(pid)
    return time.monotonic() if pids else None


def zygotes(worker: Supervised) -> list[int]:
    """The zygotes of a worker: children of its launchers."""
    return [zygote for launcher in children(worker.pid) for zygote in children(launcher)]


def kill_zygote(chaos: Chaos) -> float | None:
    """The zygote, or the launcher above it."""
    worker = chaos.worker()
    if worker is None:
        return None
    return _killed((zygotes(worker) if chaos.luck.random() < 0.75 else children(worker.pid))[:1])


def kill_child(chaos: Chaos) -> float | None:
    """One child of a zygote, or all at once: students' programs that run, parked ones, the reference."""
    worker = chaos.worker()
    found = [] if worker is None else [child for zygote in zygotes(worker) for child in children(zygote)]
    if found and chaos.luck.random() < 0.4:
        found = [chaos.luck.choice(found)]
    return _killed(found)


def _pause(chaos: Chaos, limits: tuple[float, float]) -> float | None:
    """Stops a worker for a while; other faults go on meanwhile, and so must the service."""
    running = [process for process in chaos.scene.workers if process.alive]
    worker = chaos.worker()
    if worker is None or len(running) < 2 or any(process.paused for process in running):
        return None
    worker.paused, pid, seconds = True, worker.pid, chaos.luck.uniform(*limits)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)

    def go_on() -> None:
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        worker.paused = False

    thread = threading.Thread(target=go_on, name="go on", daemon=True)
    thread.start()
    chaos.pauses.append(thread)
    return time.monotonic()


def pause_worker(chaos: Chaos) -> float | None:
    return _pause(chaos, _PAUSE_S)


def pause_worker_shortly(chaos: Chaos) -> float | None:
    return _pause(chaos, _SHORT_PAUSE_S)


def exhaust_descriptors(chaos: Chaos) -> float:
    """A running process may open nothing more for two seconds."""
    process = chaos.luck.choice([chaos.scene.web, chaos.worker() or chaos.scene.web])
    with contextlib.suppress(ProcessLookupError):
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        pid = process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_FEW_DESCRIPTORS, before[1]))
        time.sleep(_SCARCE_S)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    return time.monotonic()


def skew_clock(chaos: Chaos) -> float:
    """Another time of day for a while: of one process, as if on a machine of its own; with SQLite, of all."""
    scene, luck = chaos.scene, chaos.luck
    processes = scene.processes if scene.server is None else [luck.choice(scene.processes)]
    seconds = luck.choice(_SKEWS_S)
    for process in processes:
        scene.set_clock(process.name, seconds)
    time.sleep(_SKEWED_S)
    for process in processes:
        scene.set_clock(process.name, 0)
    return time.monotonic()


# The database and the network --------------------------------------------------------------------------------------


def kill_postgresql(chaos: Chaos) -> float:
    """The server, or one of its processes, which makes the server start all others anew."""
    server = chaos.scene.server
    assert server is not None
    others = [pid for pid in below(server.pid) if "postgres: grader" in words(pid)]
    if chaos.luck.random() < 0.3 and others:
        kill(chaos.luck.choice(sorted(others)))
        return time.monotonic()
    server.stop(signal.SIGKILL)
    began = time.monotonic()
    time.sleep(0.1)
    server.start()
    return began


def drop_connections(chaos: Chaos) -> float:
    """Every connection to the database at once."""
    server = chaos.scene.server
    assert server is not None
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'chaos'")
    return time.monotonic()


def cut_off_clients(chaos: Chaos) -> float:
    """Several students' connections break in the middle of an upload."""
    lucks = [random.Random(chaos.luck.random()) for _ in range(4)]
    threads = [threading.Thread(target=chaos.students.cut_off, args=(luck,)) for luck in lucks]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return began


def fill_disk(chaos: Chaos) -> float:
    """The disk of the database is full for two to three seconds. The server is started again if that ended it."""
    with chaos.scene.disk.full():
        if chaos.scene.server is not None and chaos.luck.random() < 0.5:
            _use_up_journal(chaos.scene.server)
        chaos.lasting(_FULL_S)
    ended = time.monotonic()
    if chaos.scene.server is not None:
        chaos.scene.server.start()
    return ended


def _use_up_journal(server: Server) -> None:
    """Until there is no room for PostgreSQL's journal either, which ends every one of its processes (PANIC)."""
    with contextlib.suppress(psycopg.Error), psycopg.connect(server.dsn("chaos"), autocommit=True) as connection:
        for _ in range(_SEGMENTS):
            connection.execute("SELECT pg_logical_emit_message(true, 'chaos', 'full'), pg_switch_wal()")


# What is done ------------------------------------------------------------------------------------------------------

EVERYWHERE: dict[str, Fault] = {
    "kill -9 web": kill_web,
    "kill -9 worker": kill_worker,
    "kill -9 zygote": kill_zygote,
    "kill -9 child": kill_child,
    "disk full": fill_disk,
    "client cut off": cut_off_clients,
    "clock skewed": skew_clock,
    "descriptors exhausted": exhaust_descriptors,
}
WITH_A_SERVER: dict[str, Fault] = {
    "kill -9 PostgreSQL": kill_postgresql,
    "connections dropped": drop_connections,
}
# Few of them: each lasts.
PAUSES: dict[str, Fault] = {"worker paused, 6-15 s": pause_worker_shortly, "worker paused, 43-47 s": pause_worker}


def impossible(scene: Scene) -> dict[str, str]:
    """{fault: what this machine lacks for it}."""
    found = {} if scene.disk.own else {"disk full": "nothing can be mounted here; be root"}
    return found | ({} if scene.skewable else {"clock skewed": "there is no C compiler (cc)"})


def plan(
    scene: Scene, count: int, luck: random.Random, *, short: bool = False, only: str = ""
) -> list[tuple[str, Fault]]:
    """So many faults, every kind about as often, in random order. short: without those that last long. only: those
    with this in their name."""
    kinds = EVERYWHERE | (WITH_A_SERVER if scene.server is not None else {})
    kinds = {name: fault for name, fault in kinds.items() if name not in impossible(scene)}
    pauses = [item for item in PAUSES.items() if not (short and item[1] is pause_worker)] * max(1, count // 40)
    if only:
        kinds, pauses = {name: fault for name, fault in (kinds | PAUSES).items() if only in name}, []
        if not kinds:
            raise SystemExit(f"no fault that can be done here has {only!r} in its name")
    chosen = pauses + [list(kinds.items())[n % len(kinds)] for n in range(count - len(pauses))]
    luck.shuffle(chosen)
    return chosen
