"""Copies of an SQLite database as a power cut could leave it, and what each must still hold.

A copy is taken of the file and its journal (-wal) at one instant: every process that writes is stopped for it. The
index of the journal (-shm) is never copied, for nothing makes it durable and SQLite makes it anew. Of each copy come
variants of what a disk may do with writes that were not yet told to be durable:

    as it was     every write has reached the disk
    torn          the journal ends somewhere within its last transaction, or has garbage from there on; not where a
                  checkpoint has begun to move it, for SQLite makes the journal durable before
    half moved    some of the pages that a checkpoint moves from the journal into the file are there, others not: the
                  power went before the checkpoint was through

Some copies are also given to a service, which must start and grade what waits in them. Not simulated: a disk that lies
about being durable, or that damages what was written long ago.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from grader.store.models import Submission

from .processes import Supervised
from .scene import Scene
from .students import Students, Told
from .verdicts import compare, waiting

NAME = "grader.sqlite3"
_HEADER, _FRAME_HEADER = 32, 24
_PAUSE_S = (0.05, 0.6)
_CHECKPOINTS = 0.5  # share of the copies
_REVIVAL_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One instant. acknowledged: the submissions that students had been told of before it. durable: frames of the
    journal that a checkpoint had begun to move."""

    folder: Path
    acknowledged: frozenset[int]
    durable: int

    @property
    def moved(self) -> Path:
        """The file after a checkpoint at the same instant, if there was one."""
        return self.folder / "moved"


@dataclass
class Result:
    """How many variants were opened, and what was wrong with them."""

    copies: int = 0
    opened: dict[str, int] = field(default_factory=dict)
    revived: int = 0
    finished: int = 0  # submissions that waited in a copy and were graded there
    wrong: list[str] = field(default_factory=list)


def take(scene: Scene, students: Students, count: int, luck: random.Random, folder: Path) -> list[Copy]:
    """Copies at random moments of the load."""
    found: list[Copy] = []
    for number in range(count):
        time.sleep(luck.uniform(*_PAUSE_S))
        told = frozenset(item.submission for item in students.acknowledged())
        target = folder / f"copy-{number:03d}"
        target.mkdir(parents=True)
        with stopped(scene.processes):
            for ending in ("", "-wal"):
                source = scene.disk.folder / f"{NAME}{ending}"
                if source.exists():
                    shutil.copyfile(source, target / source.name)
            copy = Copy(folder=target, acknowledged=told, durable=_durable(scene.disk.folder / f"{NAME}-shm"))
            if luck.random() < _CHECKPOINTS and _checkpoint(scene.disk.folder / NAME):
                shutil.copyfile(scene.disk.folder / NAME, copy.moved)
        found.append(copy)
    return found


def _durable(index: Path) -> int:
    """nBackfill or nBackfillAttempted of the journal's index, whichever is larger."""
    if not index.exists():
        return 0
    header = index.read_bytes()[:136]
    return max(int(struct.unpack_from("=I", header, at)[0]) for at in (96, 128))


def _checkpoint(file: Path) -> bool:
    """Moves pages from the journal into the file while nobody else runs. The journal stays as it is."""
    with contextlib.closing(sqlite3.connect(file, timeout=0)) as connection:
        try:
            busy, _, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError:  # somebody was stopped in the middle of one
            return False
    return not busy and moved > 0


@contextlib.contextmanager
def stopped(processes: Sequence[Supervised]) -> Iterator[None]:
    """None of them does anything meanwhile."""
    pids = [process.pid for process in processes if process.alive]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + 5
        while any(_runs(pid) for pid in pids):
            assert time.monotonic() < until, "a process does not stop"
            time.sleep(0.0005)
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _runs(pid: int) -> bool:
    """Whether any thread is not stopped yet."""
    try:
        states = [(t / "stat").read_text().rpartition(")")[2].split()[0] for t in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return False
    return any(state not in "TtZX" for state in states)


def check(copies: Sequence[Copy], luck: random.Random, scratch: Path) -> Result:
    """Opens every variant of every copy."""
    result = Result(copies=len(copies))
    for copy in copies:
        for name, work in _variants(copy, luck, scratch):
            result.opened[name] = result.opened.get(name, 0) + 1
            said = damage(work / NAME, copy.acknowledged, may_lack=name == "torn")
            result.wrong += [f"{copy.folder.name}, {name}: {what}" for what in said]
            shutil.rmtree(work)
    return result


def _variants(copy: Copy, luck: random.Random, scratch: Path) -> Iterator[tuple[str, Path]]:
    yield "as it was", _duplicate(copy.folder, scratch)
    for _ in range(3):
        work = _duplicate(copy.folder, scratch)
        if tear(work / f"{NAME}-wal", luck, copy.durable):
            yield "torn", work
        else:
            shutil.rmtree(work)
    if copy.moved.exists():
        for _ in range(3):
            work = _duplicate(copy.folder, scratch)
            if half_move(work / NAME, copy.moved, luck):
                yield "half moved", work
            else:
                shutil.rmtree(work)


def _duplicate(folder: Path, scratch: Path) -> Path:
    work = scratch / "work"
    shutil.copytree(folder, work)
    return work


def revive(
    scene: Scene, copies: Sequence[Copy], told: Sequence[Told], calm: Mapping[str, Mapping[str, Any]], count: int,
    result: Result,
) -> None:  # fmt: skip
    """A service starts on the copies in which most waits, and grades that as a calm run does."""
    with_waiting = sorted(copies, key=lambda copy: -_waiting(copy))
    for copy in with_waiting[:count]:
        result.finished += _waiting(copy)
        service, store = scene.revived(copy.folder)
        service.start()
        try:
            until = time.monotonic() + _REVIVAL_S
            time.sleep(0.5)
            while waiting(store) and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            service.stop()
        result.revived += 1
        with store.read() as session:
            there = set(session.scalars(select(Submission.id)))
        found = compare(store, [item for item in told if item.submission in there], calm)
        store.close()
        result.wrong += [f"{copy.folder.name}, revived: {line}" for said in found.failures().values() for line in said]


def _waiting(copy: Copy) -> int:
    """Jobs that wait or run in a copy."""
    with contextlib.closing(sqlite3.connect(copy.folder / NAME)) as connection:
        row = connection.execute("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')").fetchone()
    return int(row[0])


def damage(file: Path, acknowledged: frozenset[int], *, may_lack: bool) -> list[str]:
    """What is wrong with a database that is opened after a cut.

    may_lack: its last transaction was cut away, which may have been one that a student was told of.
    """
    with contextlib.closing(sqlite3.connect(file)) as connection:
        try:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            wrong = [] if found == ["ok"] else [f"damaged: {found}"]
            wrong += [f"foreign key {row}" for row in connection.execute("PRAGMA foreign_key_check").fetchmany(3)]
            there = {row[0] for row in connection.execute("SELECT id FROM submissions")}
            halves = connection.execute(
                "SELECT count(*) FROM submissions s WHERE report_id IS NULL "
                "AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.submission_id = s.id)"
            ).fetchone()[0]
        except sqlite3.DatabaseError as error:
            return [f"cannot be read: {error}"]
    missing = acknowledged - there
    if len(missing) > (1 if may_lack else 0):
        wrong.append(f"accepted submissions are lost: {sorted(missing)[:5]}")
    return wrong + ([f"{halves} submissions have neither a report nor a job"] if halves else [])


# The journal -------------------------------------------------------------------------------------------------------


def frames(wal: bytes) -> list[tuple[int, int]]:
    """(where it begins, size of the database after it if it ends a transaction, else 0) of each valid frame."""
    if len(wal) < _HEADER:
        return []
    page = struct.unpack(">I", wal[8:12])[0]
    found = []
    for at in range(_HEADER, len(wal) - _FRAME_HEADER - page + 1, _FRAME_HEADER + page):
        if wal[at + 8 : at + 16] != wal[16:24]:  # left from before the journal began anew
            break
        found.append((at, struct.unpack(">I", wal[at + 4 : at + 8])[0]))
    return found


def tear(path: Path, luck: random.Random, durable: int) -> bool:
    """Cuts within the last transaction, by an end or by garbage in its sectors. False when there is none, or when its
    frames are among the first `durable` ones."""
    wal = path.read_bytes() if path.exists() else b""
    found = frames(wal)
    ends = [number for number, (_, size) in enumerate(found) if size]
    start = ends[-2] + 1 if len(ends) > 1 else 0
    if not ends or start < durable:
        return False
    first = found[start][0]
    step = found[1][0] - found[0][0] if len(found) > 1 else len(wal) - _HEADER
    last = found[-1][0] + step  # whatever is after it belongs to no transaction
    at = luck.randrange(first, last)
    if luck.random() < 0.5:
        path.write_bytes(wal[:at])
    else:
        sectors = bytearray(wal)
        for sector in range(at // 512 * 512, last, 512):
            if luck.random() < 0.5 or sector == at // 512 * 512:
                begin, end = max(sector, first), min(sector + 512, last)
                sectors[begin:end] = luck.randbytes(end - begin)
        path.write_bytes(sectors)
    return True


def half_move(file: Path, moved: Path, luck: random.Random) -> bool:
    """Puts some of the pages that a checkpoint has moved into the file. False when there are none."""
    old, new = file.read_bytes(), moved.read_bytes()
    page = struct.unpack(">H", new[16:18])[0]
    page = 65536 if page == 1 else page
    changed = [at for at in range(0, len(new), page) if new[at : at + page] != old[at : at + page]]
    if not changed:
        return False
    grown = luck.choice([len(old), len(new)]) if len(new) > len(old) else len(old)
    mixed = bytearray(old.ljust(grown, b"\0"))
    for at in changed:
        if luck.random() < 0.5 and at < grown:
            mixed[at : at + page] = new[at : at + page]
    file.write_bytes(mixed)
    return True
