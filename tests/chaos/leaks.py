"""What must not be left over: processes, mounts, control groups, descriptors, files, locks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from .processes import below, bury, descriptors, words
from .scene import Scene

_MORE_DESCRIPTORS = 12  # above the calm count: connections that are kept, a child that is being parked
_SETTLE_S = 15.0


def counted(scene: Scene) -> dict[str, int]:
    """{process: open descriptors}, connections to SQLite's file aside, of which a pool keeps as many as it needed."""
    return {process.name: len(descriptors(process.pid, leave_out="grader.sqlite3")) for process in scene.processes}


def usual(scene: Scene) -> dict[str, int]:
    """The same in the calm: of any worker what the busiest has."""
    found = counted(scene)
    most = max(found[process.name] for process in scene.workers)
    return found | {process.name: most for process in scene.workers}


def mounts() -> set[str]:
    """Where something is mounted that looks like a jail's: see sandbox/jail.py for the sources."""
    lines = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return {line[1] for line in lines if line[0] in ("root", "tmp", "hidden")}


def groups(scene: Scene) -> set[str]:
    """Control groups of the scene's processes, those that were killed among them."""
    pids = {str(pid) for process in scene.processes for pid in process.pids}
    found = (path for path in Path("/sys/fs/cgroup").glob("**/grader-*-*") if path.name.split("-")[1] in pids)
    return {str(path) for path in found}


def while_it_runs(scene: Scene, calm: dict[str, int]) -> list[str]:
    """After the load has been done: descriptors as in the calm, nothing held in the database."""

    def look() -> list[str]:
        found = [
            f"{name} has {count} descriptors, {calm[name]} in the calm"
            for name, count in counted(scene).items()
            if count > calm[name] + _MORE_DESCRIPTORS
        ]
        found += [f"{path.name} is left in the folder of uploads" for path in (scene.folder / "tmp").iterdir()]
        return found + (_held(scene) if scene.server is not None else [])

    return _settled(look)


def _held(scene: Scene) -> list[str]:
    """Locks, transactions and jobs of PostgreSQL that nobody will end."""
    assert scene.server is not None
    asked = {
        "advisory locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
        "transactions open for over 5 s": "SELECT count(*) FROM pg_stat_activity WHERE datname = 'chaos' "
        "AND xact_start < now() - interval '5 s'",
        "jobs of Procrastinate in doing": "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' "
        "AND task_name NOT LIKE 'builtin%'",
        "prepared transactions": "SELECT count(*) FROM pg_prepared_xacts",
    }
    found = []
    with psycopg.connect(scene.server.dsn("chaos"), autocommit=True) as connection:
        for what, statement in asked.items():
            row = connection.execute(statement).fetchone()
            if row is not None and row[0]:
                found.append(f"{row[0]} {what}")
    return found


def after_the_end(scene: Scene, mounted: set[str]) -> list[str]:
    """When web and workers have ended: nothing is left of them. mounted: what was at the start."""
    known = [] if scene.server is None else [scene.server.pid]

    def look() -> list[str]:
        bury(known)
        table = below(os.getpid()) - {pid for one in known for pid in (one, *below(one))}
        found = [f"process {pid} is left: {words(pid)[:100]}" for pid in sorted(table)]
        found += [f"{path} is still mounted" for path in mounts() - mounted]
        found += [f"control group {path} is left" for path in groups(scene)]
        if scene.server is not None:
            with psycopg.connect(scene.server.dsn("postgres"), autocommit=True) as connection:
                row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = 'chaos'").fetchone()
            found += [f"{row[0]} connections to the database are left"] if row and row[0] else []
        return found

    return _settled(look)


def _settled(look: Callable[[], list[str]]) -> list[str]:
    """What is still there after a moment in which things end."""
    until = time.monotonic() + _SETTLE_S
    while (found := look()) and time.monotonic() < until:
        time.sleep(0.25)
    return found
