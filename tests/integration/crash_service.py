"""Runs a service in a child process and kills it at random moments, again and again; then once in peace, to the end.

    cd tests; python -m integration.crash_service fake|real FOLDER SEED KILLS

FOLDER holds the kit's database (`grader.sqlite`) and gets `acknowledged`: a line for every upload that a student was
told is accepted, written right after the commit as the answer 202 is. A student who got no answer sends the same file
with the same Idempotency-Key again, as a browser or script would. The parent holds nothing open, so that a new child
can be forked in no time.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import func, select

import grader.worker
from grader.events import Bus
from grader.grading import Engine
from grader.queue.choosing import queue_of
from grader.queue.names import worker_name
from grader.sandbox.limits import SandboxConfig
from grader.sandbox.pool import Sandbox
from grader.service import submitting
from grader.service.access import actor_of
from grader.service.catalogue import Catalogue
from grader.store.engine import Store
from grader.store.models import Job, Published, User
from grader.store.states import JobState
from grader.worker import Worker

from .service import NUMPY, PROJECT, SUMS, FakeEngine, _catalogue, program

SECRET = b"of a crash test "
STUDENTS = ("ada", "bob", "chen")
MOST_WAITING = 12
STORIES = ("correct_compact", "two_mistakes", "half_done", "os_exit_zero", "untouched_starter", "relu_in_place")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """assignment: what is handed in. least_s, most_s: how long a child lives. last: uploads of a student in all."""

    assignment: str
    least_s: float
    most_s: float
    last: int

    def upload(self, student: str, number: int) -> tuple[str, bytes]:
        """A student's file of this number; every fifth is the same for all, so that reports are used again."""
        if self.assignment == NUMPY:
            story = STORIES[(number + STUDENTS.index(student)) % len(STORIES)]
            (path,) = (PROJECT / "submissions" / NUMPY / story).glob("solution.*")
            data = path.read_bytes()
            return path.name, data + f"\n# {student} {number}\n".encode() if path.suffix == ".py" else data
        salt = f"all {number}" if number % 5 == 0 else f"{student} {number}"
        luck = random.Random(salt)
        fail = luck.sample(["add_works", "subtract_works"], luck.randrange(3))
        return "solution.py", program(salt=salt, fail=fail, seconds=luck.uniform(0.005, 0.03))


SCENES = {
    "fake": Scene(assignment=SUMS, least_s=0.01, most_s=0.8, last=100_000),
    "real": Scene(assignment=NUMPY, least_s=0.3, most_s=2.0, last=8),
}


def acknowledged(folder: Path) -> list[dict[str, Any]]:
    """What students were told is accepted; a line that a kill has cut was not told."""
    path = folder / "acknowledged"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


class Service:
    """Three students who hand in, and a worker, over the folder's database."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene, self.folder = scene, folder
        self.store = Store((folder / "address").read_text())
        self.queue = queue_of(self.store)
        self.peace = threading.Event()
        if scene.assignment == NUMPY:
            self.catalogue = Catalogue(PROJECT / "reference")
            runner = PROJECT / ".venv-runner" / "bin" / "python"
            self.engine = Engine(Sandbox(SandboxConfig(runner_python=runner)), SECRET)
        else:
            self.catalogue, self.engine = _catalogue(), cast(Engine, FakeEngine())
        self.log = os.open(folder / "acknowledged", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def run(self, *, peace: bool) -> None:
        """Until it is killed; in peace: until every file that was sent is accepted and graded."""
        told = Counter(line["student"] for line in acknowledged(self.folder))
        if peace:
            self.peace.set()
        students = [
            threading.Thread(target=self.hand_in, args=(student, told[student]), daemon=True) for student in STUDENTS
        ]
        worker = Worker(
            store=self.store, queue=self.queue, engine=self.engine, catalogue=self.catalogue, bus=Bus(),
            name=worker_name(), runtimes=["numpy"], slots=2,
        )  # fmt: skip
        worker.start()
        for thread in students:
            thread.start()
        for thread in students:
            thread.join()
        while self.waiting():
            time.sleep(0.02)
        worker.stop(20)

    def hand_in(self, student: str, number: int) -> None:
        """The next files of a student, the first one perhaps for the second time."""
        while number < self.scene.last:
            if self.waiting() >= MOST_WAITING:
                time.sleep(0.005)
                continue
            name, data = self.scene.upload(student, number)
            submission = self.accept(student, name, data, f"{student}-{number}")
            line = {"student": student, "number": number, "submission": submission, "name": name}
            line["digest"] = hashlib.sha256(data).hexdigest()
            os.write(self.log, (json.dumps(line) + "\n").encode())
            number += 1
            if self.peace.is_set() and self.scene.assignment != NUMPY:
                return

    def accept(self, student: str, name: str, data: bytes, key: str) -> int:
        upload = submitting.Upload.of(name, data)
        with self.store.read() as session:
            user_id = session.scalars(select(User.id).where(User.login == student)).one()
        with self.store.write(student=user_id) as session:
            now, user = datetime.now(UTC), session.get_one(User, user_id)
            published = session.scalars(
                select(Published).where(Published.name == self.scene.assignment).order_by(Published.id)
            ).first()
            assert published is not None
            accepted = submitting.accept(
                session, self.queue, actor_of(session, user), published, self.catalogue.get(published.name), upload,
                now=now, received_at=now, uploads_a_minute=10**6, key=key,
            )  # fmt: skip
            return accepted.submission.id

    def waiting(self) -> int:
        with self.store.read() as session:
            open_jobs = select(func.count()).where(Job.state.in_([JobState.QUEUED, JobState.RUNNING]))
            return session.scalar(open_jobs) or 0


def main(mode: str, folder: Path, seed: int, kills: int) -> None:
    # Here it is never the file that kills its worker, so no file is given up for having met three kills.
    vars(grader.worker)["MOST_ATTEMPTS"] = 10**6
    scene, luck = SCENES[mode], random.Random(seed)
    _catalogue()
    for _ in range(kills):
        before = size_of_log(folder)
        child = start(scene, folder, peace=False)
        time.sleep(luck.uniform(scene.least_s, scene.most_s))
        if scene.assignment != NUMPY:
            await_uploads(folder, before, luck)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a child ended by itself: {status}")
    _, status = os.waitpid(start(scene, folder, peace=True), 0)
    sys.exit(os.waitstatus_to_exitcode(status))


def size_of_log(folder: Path) -> int:
    path = folder / "acknowledged"
    return path.stat().st_size if path.exists() else 0


def await_uploads(folder: Path, before: int, luck: random.Random) -> None:
    """On a machine that is busy with other things: until the child has taken some files, and a moment more."""
    deadline = time.monotonic() + 5
    while size_of_log(folder) < before + 600:  # some three lines
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    time.sleep(luck.uniform(0, 0.05))


def start(scene: Scene, folder: Path, *, peace: bool) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            service = Service(scene, folder)
            service.run(peace=peace)
            if scene.assignment == NUMPY:
                service.engine.close()
                service.engine.sandbox.close()
            while not peace:  # all is done before its time: it is killed while it idles
                time.sleep(1)
            code = 0
        finally:
            sys.stdout.flush()
            os._exit(code)
    return child


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
