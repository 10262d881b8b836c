"""What every implementation of the Queue promises, the one in SQLite and the one on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from grader.queue import Job as Taken
from grader.queue import LeaseLost, Priority, Queue
from grader.queue.choosing import queue_of
from grader.queue.distributed import DistributedQueue
from grader.queue.local import LocalQueue
from grader.queue.lost import Suspicion
from grader.queue.names import is_gone, worker_name
from grader.service import publishing, roster
from grader.service.access import SHELL
from grader.service.catalogue import Catalogue
from grader.store.engine import Store
from grader.store.listening import Listener
from grader.store.models import Blob, Job, Submission, User
from grader.store.states import JobState, SubmissionState
from tests import databases

PROJECT = Path(__file__).resolve().parents[2]
NOW = datetime.now(UTC)
ME = worker_name()


@pytest.fixture
def store(database: str, tmp_path: Path) -> Iterator[Store]:
    store = databases.new_store(tmp_path)
    with store.write() as session:
        course = publishing.make_course(session, SHELL, "dl", "Deep learning", "UTC", NOW)
        catalogue = Catalogue(PROJECT / "reference")
        publishing.publish(session, SHELL, course, catalogue, "numpy_autodiff", publishing.Rules(opens_at=NOW), NOW)
        roster.apply(session, SHELL, course, b"login,name\nada,Ada\nbob,Bob\ncy,Cy\n", NOW)
        session.add(Blob(digest="0" * 64, size=1, data=b"x"))
    yield store
    databases.end(store)


@pytest.fixture
def queue(store: Store) -> Iterator[Queue]:
    listener = Listener(store) if store.is_postgresql else None
    queue = queue_of(store, listener)
    if listener is not None:
        listener.start()
    yield queue
    if listener is not None:
        listener.close()


def put(
    store: Store,
    queue: Queue,
    login: str,
    *,
    priority: Priority = Priority.STUDENT,
    runtime: str = "numpy",
    at: datetime | None = None,
) -> int:
    """A submission and its job; returns the submission."""
    with store.write() as session:
        user = session.scalars(select(User).where(User.login == login)).one()
        number = len(session.scalars(select(Submission.id).where(Submission.user_id == user.id)).all()) + 1
        submission = Submission(
            published_id=1, user_id=user.id, number=number, blob_digest="0" * 64, file_name="a.py", received_at=NOW,
            state=SubmissionState.QUEUED, via="api",
        )  # fmt: skip
        session.add(submission)
        session.flush()
        queue.put(
            session, submission_id=submission.id, user_id=user.id, runtime=runtime, priority=priority, now=at or NOW
        )
        return submission.id


def finish(store: Store, queue: Queue, number: int) -> None:
    """Takes the next job, expects it to be this submission's, and ends it."""
    job = queue.take(ME, ["numpy"])
    assert job is not None
    assert job.submission_id == number
    with store.write() as session:
        queue.finish(session, job, NOW)


def test_a_job_is_taken_once_and_ends(store: Store, queue: Queue) -> None:
    submission = put(store, queue, "ada")
    job = queue.take(ME, ["numpy"])
    assert job is not None
    assert (job.submission_id, job.attempt, job.runtime, job.regrade_id) == (submission, 1, "numpy", None)
    assert queue.take(ME, ["numpy"]) is None
    with store.read() as session:
        assert session.get_one(Submission, submission).state is SubmissionState.GRADING
        assert (queue.depth(session).queued, queue.depth(session).running) == (0, 1)
    with store.write() as session:
        queue.finish(session, job, NOW)
    assert queue.take(ME, ["numpy"]) is None
    with store.read() as session:
        assert (queue.depth(session).queued, queue.depth(session).running) == (0, 0)


def test_a_job_belongs_to_the_transaction_that_puts_it_in(store: Store, queue: Queue) -> None:
    submission = put(store, queue, "ada")
    finish(store, queue, submission)

    def put_and_fail() -> None:
        with store.write() as session:
            queue.put(session, submission_id=submission, user_id=1, runtime="numpy", priority=Priority.STUDENT, now=NOW)
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        put_and_fail()
    assert queue.take(ME, ["numpy"]) is None


def test_a_worker_takes_only_what_it_can_run(store: Store, queue: Queue) -> None:
    put(store, queue, "ada", runtime="tensorflow")
    assert queue.take(ME, ["numpy"]) is None
    assert queue.take(ME, ["numpy", "tensorflow"]) is not None


def test_a_students_own_click_goes_before_a_regrade(store: Store, queue: Queue) -> None:
    regrade = put(store, queue, "ada", priority=Priority.REGRADE)
    click = put(store, queue, "bob")
    finish(store, queue, click)
    finish(store, queue, regrade)


def test_one_student_with_many_uploads_does_not_hold_up_another(store: Store, queue: Queue) -> None:
    first, second, third = (put(store, queue, "ada") for _ in range(3))
    other = put(store, queue, "bob", at=NOW + timedelta(milliseconds=1))
    finish(store, queue, first)
    finish(store, queue, other)
    finish(store, queue, second)
    finish(store, queue, third)


def test_at_most_one_job_of_a_student_runs(store: Store, queue: Queue) -> None:
    put(store, queue, "ada")
    second = put(store, queue, "ada")
    job = queue.take(ME, ["numpy"])
    assert job is not None
    assert queue.take(ME, ["numpy"]) is None
    with store.write() as session:
        queue.finish(session, job, NOW)
    finish(store, queue, second)


def test_a_worker_whose_lease_is_over_may_not_finish(store: Store, queue: Queue) -> None:
    submission = put(store, queue, "ada")
    slow = queue.take(ME, ["numpy"])
    assert slow is not None
    _fall_silent(store)
    quick = _take(queue)
    assert quick.submission_id == submission
    assert quick.attempt == 2
    with pytest.raises(LeaseLost), store.write() as session:
        queue.finish(session, slow, NOW)
    with store.write() as session:
        queue.finish(session, quick, NOW)
    with pytest.raises(LeaseLost), store.write() as session:
        queue.finish(session, quick, NOW)


def test_who_is_heard_of_again_after_a_pause_of_all_keeps_its_job(store: Store, queue: Queue) -> None:
    """As when the database was away for longer than a worker may be silent, and another worker is back first."""
    assert isinstance(queue, LocalQueue | DistributedQueue)
    put(store, queue, "ada")
    job = _take(queue)
    _fall_silent(store)
    queue._looked, queue._suspicion = 0.0, Suspicion(60)
    assert queue.take(ME, ["numpy"]) is None  # seen for the first time
    _fall_silent(store)
    queue._looked = 0.0
    assert queue.take(ME, ["numpy"]) is None  # again, and not for long enough
    queue.keep([job], {})
    queue._looked, queue._suspicion = 0.0, Suspicion(0)
    assert queue.take(ME, ["numpy"]) is None
    with store.write() as session:
        queue.finish(session, job, NOW)


def test_only_the_first_taking_counts_as_the_end_of_waiting(store: Store, queue: Queue) -> None:
    put(store, queue, "ada")
    first = _take(queue)
    queue.give_back(first)
    assert (first.first, _take(queue).first) == (True, False)


def test_a_heartbeat_keeps_the_lease_and_tells_how_far_it_is(store: Store, queue: Queue) -> None:
    submission = put(store, queue, "ada")
    job = _take(queue)
    _fall_silent(store)
    queue.keep([job], {job.id: [{"id": "softmax", "status": "passed"}]})
    with store.read() as session:
        assert queue.progress(session, submission) == [{"id": "softmax", "status": "passed"}]
    assert queue.take(ME, ["numpy"]) is None
    with store.write() as session:
        queue.finish(session, job, NOW)
    with store.read() as session:
        assert queue.progress(session, submission) == []


def test_the_job_of_a_process_that_is_gone_is_taken_at_once(store: Store, queue: Queue) -> None:
    submission = put(store, queue, "ada")
    code = "from grader.queue.names import worker_name; print(worker_name())"
    gone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert is_gone(gone)
    assert not is_gone(ME)
    assert not is_gone("another-machine:1:1")
    assert not is_gone(None)
    assert queue.take(gone, ["numpy"]) is not None
    assert _take(queue).submission_id == submission


def test_a_process_that_proc_hides_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a unit with ProtectProc=invisible, and for processes of other users."""
    monkeypatch.setattr("grader.queue.names._started", lambda pid: "")
    assert not is_gone(ME)
    host = ME.rsplit(":", 2)[0]
    assert is_gone(f"{host}:{2**22 + 1}:1")  # no kernel gives this number
    assert is_gone(f"{host}:{'9' * 30}:1")


def test_our_own_fault_is_tried_again_a_little_later(store: Store, queue: Queue) -> None:
    put(store, queue, "ada")
    job = _take(queue)
    queue.retry(job, "the sandbox could not start")
    assert queue.take(ME, ["numpy"]) is None
    with store.write() as session:
        row = session.scalars(select(Job)).one()
        assert row.state is JobState.QUEUED
        assert row.last_error == "the sandbox could not start"
        assert row.run_after > NOW
    databases.hurry(store)
    assert _take(queue).attempt == 2


def test_what_is_left_for_later_holds_up_no_other_of_its_student(store: Store, queue: Queue) -> None:
    first, second, third = (put(store, queue, "ada") for _ in range(3))
    queue.give_back(_take(queue), after_s=60)
    job = _take(queue)
    assert job.submission_id == second
    databases.hurry(store)
    assert queue.take(ME, ["numpy"]) is None  # one of a student at a time
    with store.write() as session:
        queue.finish(session, job, NOW)
    databases.hurry(store)
    found: list[int] = []
    while len(found) < 2:
        job = _take(queue)
        found.append(job.submission_id)
        assert queue.take(ME, ["numpy"]) is None
        with store.write() as session:
            queue.finish(session, job, NOW)
    assert set(found) == {first, third}


def test_what_is_given_back_costs_no_attempt(store: Store, queue: Queue) -> None:
    submission = put(store, queue, "ada")
    queue.give_back(_take(queue))
    with store.read() as session:
        assert session.get_one(Submission, submission).state is SubmissionState.QUEUED
    assert _take(queue).attempt == 1


def test_a_student_is_told_how_many_are_before(store: Store, queue: Queue) -> None:
    first, second = put(store, queue, "ada"), put(store, queue, "bob")
    with store.read() as session:
        places = [queue.place(session, number) for number in (first, second)]
        assert [place and place.before for place in places] == [0, 1]
        assert [place and place.seconds for place in places] == [None, None]
    finish(store, queue, first)
    with store.read() as session:
        place = queue.place(session, second)
        assert place is not None
        assert place.before == 0
        assert place.seconds is not None
        assert queue.place(session, first) is None


def test_two_threads_never_take_the_same_job(store: Store, queue: Queue) -> None:
    for login in ("ada", "bob", "cy"):
        put(store, queue, login)
    taken: list[int] = []
    started = threading.Barrier(6)

    def work() -> None:
        started.wait()
        if (job := queue.take(ME, ["numpy"])) is not None:
            taken.append(job.submission_id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 3


def test_a_new_job_wakes_a_waiting_worker(store: Store, queue: Queue) -> None:
    woken = threading.Event()

    def wait() -> None:
        queue.wait(30.0)
        woken.set()

    threading.Thread(target=wait, daemon=True).start()
    put(store, queue, "ada")
    assert woken.wait(10.0)


def test_the_name_of_a_worker_tells_processes_apart() -> None:
    host, pid, started = ME.rsplit(":", 2)
    assert (host.partition("/")[0], int(pid)) == (os.uname().nodename, os.getpid())
    assert started.isdigit()


def _fall_silent(store: Store) -> None:
    """As when no worker was heard of for longer than it may be."""
    with store.write() as session:
        if store.is_postgresql:
            session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'"))
        else:
            session.execute(update(Job).values(lease_until=NOW - timedelta(seconds=1)))


def _take(queue: Queue) -> Taken:
    """The next job; looks for lost ones however short ago it looked, and believes at once what it sees."""
    assert isinstance(queue, LocalQueue | DistributedQueue)
    queue._looked, queue._suspicion = 0.0, Suspicion(0)
    job = queue.take(ME, ["numpy"])
    assert job is not None
    return job
