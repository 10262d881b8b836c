"""kill -9 at random moments under load: what was accepted is graded, once, and says what a calm run says."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from grader.assignments import Assignment
from grader.grading import Engine
from grader.reports import Report, to_record
from grader.sandbox.pool import Sandbox
from grader.store.codec import unpack, unpack_report
from grader.store.engine import Store
from grader.store.models import Blob, Grade, Job, Published, StoredReport, Submission, User
from grader.store.states import GradeStatus, JobState, SubmissionState
from tests import databases

from .crash_service import SECRET, STUDENTS, acknowledged
from .service import NUMPY, PROJECT, SUMS, FakeEngine, _catalogue, _fill, _filled_database

KILLS, REAL_KILLS = 50, 6


@pytest.fixture
def folder(database: str, tmp_path: Path) -> Iterator[Path]:
    url = f"sqlite:///{tmp_path / 'grader.sqlite'}"
    if database == databases.POSTGRESQL:
        url = databases.fresh(_fill)
    else:
        shutil.copy(_filled_database(), tmp_path / "grader.sqlite")
    (tmp_path / "address").write_text(url)
    yield tmp_path
    databases.drop(url)


def crash(mode: str, folder: Path, kills: int) -> None:
    """Runs crash_service to its end; says the seed, so that a failure can be looked for again."""
    seed = int(os.environ.get("CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print(f"CRASH_SEED={seed}")
    words = [sys.executable, "-m", "tests.integration.crash_service", mode, str(folder), str(seed), str(kills)]
    with subprocess.Popen(
        words, cwd=PROJECT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=150)
        finally:
            with contextlib.suppress(ProcessLookupError):  # its children, should it have been stopped in the middle
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said[-3000:]


def opened(folder: Path) -> Store:
    return Store((folder / "address").read_text())


def sound(folder: Path) -> None:
    if not (folder / "grader.sqlite").exists():
        return
    with contextlib.closing(sqlite3.connect(folder / "grader.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def compare(folder: Path, assignment: str, calm: Callable[[str, bytes], Report], shown: Callable[[Report], Any]) -> int:
    """Everything accepted against everything graded. Returns how many submissions there were."""
    store = opened(folder)
    told = acknowledged(folder)
    with store.read() as session:
        published = session.scalars(select(Published).where(Published.name == assignment)).first()
        assert published is not None
        submissions = session.scalars(select(Submission).order_by(Submission.user_id, Submission.number)).all()
        by_id = {submission.id: submission for submission in submissions}
        logins = {user.id: user.login for user in session.scalars(select(User))}
        reports: dict[int, list[StoredReport]] = {}
        for stored in session.scalars(select(StoredReport)):
            reports.setdefault(stored.submission_id, []).append(stored)

        # None that was acknowledged is lost, none was taken twice.
        keys = Counter((line["student"], line["number"]) for line in told)
        assert {line["submission"] for line in told} == set(by_id)
        assert len(keys) == len(submissions)
        for line in told:
            submission = by_id[line["submission"]]
            assert logins[submission.user_id] == line["student"]
            assert submission.idempotency_key == f"{line['student']}-{line['number']}"
            assert submission.blob_digest == line["digest"]
        for student in STUDENTS:
            numbers = [s.number for s in submissions if logins[s.user_id] == student]
            assert numbers == list(range(1, len(numbers) + 1))

        # Each is graded exactly once, with what a calm run says.
        said: dict[tuple[str, str], Any] = {}
        for submission in submissions:
            (stored,) = reports[submission.id]
            assert submission.report_id == stored.id
            assert submission.state is SubmissionState(stored.status)
            kept = unpack_report(stored.content)
            what = (submission.blob_digest, submission.file_name)
            if what not in said:
                said[what] = shown(calm(submission.file_name, unpack(session.get_one(Blob, what[0]).data)))
            assert shown(kept) == said[what]
        jobs = session.scalars(select(Job)).all()
        assert {job.state for job in jobs} == {JobState.DONE}
        assert max(Counter(job.submission_id for job in jobs).values()) == 1
        graded_anew = {number for number, (stored,) in reports.items() if stored.reused_from_id is None}
        assert {job.submission_id for job in jobs} == graded_anew

        # No attempt counts double, and the best one counts.
        for grade in session.scalars(select(Grade).where(Grade.published_id == published.id)):
            mine = [s for s in submissions if s.user_id == grade.user_id]
            counted = [s for s in mine if s.state is SubmissionState.GRADED]
            assert grade.attempts == len(counted)
            assert grade.status is GradeStatus.GRADED
            assert grade.score == max(s.score or 0.0 for s in counted)
    store.close()
    return len(submissions)


def test_what_was_accepted_is_graded_once_however_often_the_service_is_killed(folder: Path) -> None:
    crash("fake", folder, KILLS)
    sound(folder)
    engine, assignment = FakeEngine(), _catalogue().get(SUMS)
    count = compare(folder, SUMS, lambda name, data: engine.grade(assignment, name, data), to_record)
    assert count > 2 * KILLS, "too few uploads for a load"
    store = opened(folder)
    with store.read() as session:
        assert session.scalars(select(Job.id).where(Job.attempts > 1)).all(), "no kill met a grading"
        if store.is_postgresql:
            assert (
                session.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'grade'")).scalar() == 0
            )
    store.close()


def without_times(report: Report) -> Any:
    """What the report says, and no time of any kind."""
    record = to_record(report)
    assert isinstance(record, dict)
    record.pop("timings_ms")
    for check in record["checks"]:
        check.pop("wall_ms")
    return json.dumps(record, sort_keys=True)


@pytest.mark.sqlite  # with PostgreSQL the chaos suite does this, and more
@pytest.mark.sandbox
def test_the_same_with_gradings_in_the_sandbox(
    folder: Path, sandbox: Sandbox, assignments: dict[str, Assignment]
) -> None:
    crash("real", folder, REAL_KILLS)
    sound(folder)
    engine = Engine(sandbox, SECRET)
    numpy = assignments[NUMPY]
    assert compare(folder, NUMPY, lambda name, data: engine.grade(numpy, name, data), without_times) == 3 * 8
    engine.close()
    deadline = time.monotonic() + 5
    while found := orphans():
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def orphans() -> list[str]:
    """Command lines of sandbox processes that outlived the service that was killed."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if "grader.sandbox" in words and parent == 1:
                    found.append(words)
    return found
