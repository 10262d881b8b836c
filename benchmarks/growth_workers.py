"""Several `grader worker` processes that empty one queue: throughput, the CPU of each, memory, size of the database.

Uploads go over HTTP to a `grader serve` that does not grade; the workers start when all of them wait. Rate, CPU and
memory of a run are those between the moment at which every worker is warm and has examined its sandbox, and the last
tenth of the queue: neither the beginning nor the end counts.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select, text

from benchmarks import load, measuring
from grader.service import accounts, publishing, roster
from grader.service.access import SHELL, Scope
from grader.service.catalogue import Catalogue
from grader.service.publishing import Rules
from grader.settings import PROJECT
from grader.store import migrating
from grader.store.engine import Store
from grader.store.models import Submission, User, Worker
from grader.store.states import SubmissionState

STORIES = {"numpy_autodiff": "correct_compact", "tensorflow_basics": "correct_plain"}
PEOPLE = 100
LEAST_RATIO = 1.7
_DRAIN_S = 300.0
_GRADER = Path(sys.executable).with_name("grader")


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What one run measured. shares: cores that each worker used. cpu_each_s: of a grading, all workers together."""

    rate: float
    shares: Sequence[float]
    cpu_each_s: float
    worker_mib: float
    kib_each: float
    web_cpu_each_s: float

    @classmethod
    def nothing(cls) -> Drained:
        return cls(rate=float("nan"), shares=(), cpu_each_s=0.0, worker_mib=0.0, kib_each=0.0, web_cpu_each_s=0.0)


class Classroom(load.Course):
    """A course of one assignment in any database, its service without graders, and students who hand in."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder / "classroom"
        self.folder.mkdir()
        self.url = url or f"sqlite:///{self.folder}/grader.sqlite3"
        self.engine = "PostgreSQL" if url else "SQLite"
        self.store = Store(self.url)
        migrating.upgrade(self.store)
        now = datetime.now(UTC)
        with self.store.write() as session:
            course = publishing.make_course(session, SHELL, "load", "Load", "UTC", now)
            rules = Rules(opens_at=now - timedelta(days=1))
            for name in STORIES:
                publishing.publish(session, SHELL, course, Catalogue(PROJECT / "reference"), name, rules, now)
            lines = "".join(f"u{n:04d},Student {n:04d},1\n" for n in range(PEOPLE))
            roster.apply(session, SHELL, course, f"login,name,section\n{lines}".encode(), now)
            users = dict(session.execute(select(User.login, User.id)).all())
            self.tokens = {
                login: accounts.make_token(session, SHELL, number, "load", list(Scope), None, now)[1]
                for login, number in users.items()
                if login.startswith("u0")
            }
        self.web_cpu_each_s = 0.0  # of an upload, in the last run
        self._numbers = itertools.count()

    def __enter__(self) -> Classroom:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """Of the processes that share this database."""
        own = {"GRADER_DATA_DIR": str(self.folder), "GRADER_LOG_LEVEL": "warning"}
        return {**os.environ, **own, **({"GRADER_DATABASE_URL": self.url} if self.engine == "PostgreSQL" else {})}

    def hand_in(self, assignment: str, count: int) -> None:
        """Uploads that wait. Every one has another content, so that no stored report is used again."""
        folder = PROJECT / "submissions" / assignment / STORIES[assignment]
        file = next(path for path in folder.iterdir() if path.suffix == ".py")
        data, logins = file.read_bytes(), list(self.tokens)
        with _database_of(self), load.serving(self, slots=0) as (url, pid), load.client_of(url) as client:

            def post(number: int) -> int:
                answer = client.post(
                    f"/api/v1/courses/load/assignments/{assignment}/submissions",
                    files={"file": (file.name, data + f"\n# {number}\n".encode())},
                    headers={"Authorization": f"Bearer {self.tokens[logins[number % len(logins)]]}"},
                )
                return answer.status_code

            before = measuring.cpu_s(pid)
            with ThreadPoolExecutor(4) as pool:
                answers = set(pool.map(post, itertools.islice(self._numbers, count)))
            assert answers <= {200, 201, 202}, f"uploads were answered with {answers}"
            self.web_cpu_each_s = (measuring.cpu_s(pid) - before) / count

    def finished(self, after_id: int) -> int:
        """How many submissions after this one are graded. Raises AssertionError when one has not all points."""
        with self.store.read() as session:
            found = session.execute(
                select(Submission.state, Submission.score).where(
                    Submission.id > after_id, Submission.finished_at.is_not(None)
                )
            ).all()
        assert all(state == SubmissionState.GRADED and score == 100 for state, score in found), found[:3]
        return len(found)

    def last_id(self) -> int:
        with self.store.read() as session:
            return session.scalar(select(func.max(Submission.id))) or 0

    def kib(self) -> float:
        """Size of the database."""
        sizes = {
            "SQLite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
            "PostgreSQL": "SELECT pg_database_size(current_database())",
        }
        with self.store.read() as session:
            return float(session.scalar(text(sizes[self.engine])) or 0) / 1024

    def all_warm(self, workers: int) -> bool:
        """Whether so many workers have said that they are warm and have examined their sandbox."""
        with self.store.read() as session:
            details = session.scalars(select(Worker.detail)).all()
        return sum(bool(detail.get("examined")) for detail in details) >= workers


@contextmanager
def _database_of(classroom: Classroom) -> Iterator[None]:
    """load.serving hands its own environment on."""
    before = os.environ.get("GRADER_DATABASE_URL")
    if classroom.engine == "PostgreSQL":
        os.environ["GRADER_DATABASE_URL"] = classroom.url
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("GRADER_DATABASE_URL", None)
        else:
            os.environ["GRADER_DATABASE_URL"] = before


@contextmanager
def working(environment: Mapping[str, str], runtime: str, cores: Sequence[int]) -> Iterator[int]:
    """A `grader worker` with one slot, on these cores only; all where none are named. Gives its process."""
    said = subprocess.run([str(_GRADER), "worker", "--help"], capture_output=True, text=True, check=True).stdout
    slots = "--concurrency" if "--concurrency" in said else "--slots"
    pin = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    command = [*pin, str(_GRADER), "worker", slots, "1", "--runtimes", runtime]
    process = subprocess.Popen(command, env=dict(environment))
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def drain(classroom: Classroom, assignment: str, jobs: int, cores: Sequence[Sequence[int]]) -> Drained:
    """Fills the queue and empties it with one worker for each entry of `cores`. Raises TimeoutError."""
    first, size = classroom.last_id(), classroom.kib()
    classroom.hand_in(assignment, jobs)
    marks: list[tuple[float, int, list[float]]] = []  # moment, graded by then, CPU of each worker by then
    memory, ready = 0.0, None
    with ExitStack() as stack:
        runtime = assignment.partition("_")[0]
        pids = [stack.enter_context(working(classroom.environment, runtime, own)) for own in cores]
        until = time.monotonic() + _DRAIN_S
        while not marks or marks[-1][1] < jobs:
            if time.monotonic() > until:
                raise TimeoutError(f"{marks[-1][1]} of {jobs} were graded in {_DRAIN_S:.0f} s")
            time.sleep(0.5)
            ready = ready or classroom.all_warm(len(pids))
            if ready and len(marks) % 8 == 4 and marks[-1][1] <= jobs * 0.9:  # looking at memory takes CPU
                memory = max(memory, *(sum(map(measuring.pss_mib, measuring.family(pid))) for pid in pids))
            marks.append((time.monotonic(), classroom.finished(first), [measuring.cpu_s(pid) for pid in pids]))
            if not ready:
                marks = marks[-1:]
    span = [mark for mark in marks if mark[1] <= jobs * 0.9]
    if len(span) < 4:
        raise TimeoutError(f"{jobs} submissions were graded before the workers were warm; use more --jobs")
    (from_s, from_done, from_cpu), (to_s, to_done, to_cpu) = span[0], span[-1]
    used = [after - before for before, after in zip(from_cpu, to_cpu, strict=True)]
    return Drained(
        rate=(to_done - from_done) / (to_s - from_s),
        shares=[each / (to_s - from_s) for each in used],
        cpu_each_s=sum(used) / (to_done - from_done),
        worker_mib=memory,
        kib_each=max(0.0, classroom.kib() - size) / jobs,
        web_cpu_each_s=classroom.web_cpu_each_s,
    )
