"""The worker: every job ends with one report, whatever happens to the grading; faults of ours cost nobody anything."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from grader.errors import StoreError
from grader.events import Event, submission_topic
from grader.queue import MOST_ATTEMPTS, Job
from grader.queue.names import worker_name
from grader.queue.rows import LOST
from grader.store.models import Blob, StoredReport
from grader.store.models import Job as JobRow
from grader.store.models import Worker as WorkerRow
from grader.store.states import GradeStatus, JobState, SubmissionState
from tests import databases

from .service import NUMPY, Kit, program


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def due_now(kit: Kit) -> None:
    """Lets jobs that wait for their next try run at once."""
    databases.hurry(kit.service.store)


def reports(kit: Kit) -> list[StoredReport]:
    with kit.service.store.read() as session:
        return list(session.scalars(select(StoredReport).order_by(StoredReport.id)))


def test_a_submission_is_graded_and_told_check_by_check(kit: Kit) -> None:
    number = kit.hand_in("ada", program(fail=["add_works"]))
    told: list[Event] = []
    with kit.service.bus.listening(submission_topic(number), told.append):
        assert kit.worker.one()
    assert [event.kind for event in told] == ["state", "check", "check", "check", "done"]
    assert told[0].data == {"state": "grading"}
    assert told[1].data == {"id": "add_works", "status": "failed", "points": 0, "max_points": 40, "visible": True}
    assert told[3].data["visible"] is False
    submission = kit.submission(number)
    assert (submission.state, submission.score) == (SubmissionState.GRADED, 60)
    assert not kit.worker.one()


def test_our_own_fault_is_tried_again_and_then_told_to_staff(kit: Kit) -> None:
    number = kit.hand_in("ada", program(kind="grader_error"))
    for _ in range(MOST_ATTEMPTS - 1):
        assert kit.worker.one()
        assert kit.submission(number).state is SubmissionState.QUEUED
        assert reports(kit) == []
        due_now(kit)
    assert kit.worker.one()
    submission = kit.submission(number)
    assert (submission.state, submission.score) == (SubmissionState.GRADER_ERROR, None)
    with kit.service.store.read() as session:
        assert session.scalars(select(JobRow.state)).all() == [JobState.FAILED]
        assert kit.service.queue.depth(session).failed == 1


def test_a_submission_that_kills_its_workers_is_given_up(kit: Kit) -> None:
    number = kit.hand_in("ada")
    with kit.service.store.write() as session:
        session.execute(update(JobRow).values(attempts=MOST_ATTEMPTS))
    assert kit.worker.one()
    assert kit.engine.graded == 0
    assert kit.submission(number).state is SubmissionState.GRADER_ERROR


def test_a_worker_that_lost_its_lease_throws_its_report_away(kit: Kit) -> None:
    number = kit.hand_in("ada")

    def taken_away(job: Job) -> None:
        with kit.service.store.write() as session:
            session.execute(update(JobRow).values(lease="somebody else's"))

    original = kit.worker._open

    def opened(job: Job) -> object:
        work = original(job)
        taken_away(job)
        return work

    kit.worker._open = opened  # type: ignore[assignment,method-assign]
    assert kit.worker.one()
    assert reports(kit) == []
    assert kit.submission(number).state is SubmissionState.GRADING


def test_an_assignment_that_is_not_here_waits_for_a_worker_that_has_it(
    kit: Kit, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while the web of a new release runs beside workers of the old one."""
    monkeypatch.setattr("grader.worker._PASS_ON_S", (0.0, 0.0))
    number = kit.hand_in("ada", assignment=NUMPY)
    found = kit.service.catalogue._found.pop(NUMPY)
    try:
        for _ in range(2 * MOST_ATTEMPTS):
            assert kit.worker.one()
            assert kit.submission(number).state is SubmissionState.QUEUED
    finally:
        kit.service.catalogue._found[NUMPY] = found
    assert caplog.text.count(f"submission {number} waits for a worker that can grade it") == 1
    assert kit.worker.one()
    assert kit.submission(number).state is SubmissionState.GRADED
    with kit.service.store.read() as session:
        assert session.scalars(select(JobRow.attempts)).all() == [1]


def test_an_assignment_that_nobody_ever_has_is_our_fault(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.worker._ABSENT_FOR_S", 0.0)
    number = kit.hand_in("ada", assignment=NUMPY)
    found = kit.service.catalogue._found.pop(NUMPY)
    try:
        for _ in range(MOST_ATTEMPTS):
            assert kit.worker.one()
            due_now(kit)
    finally:
        kit.service.catalogue._found[NUMPY] = found
    assert kit.submission(number).state is SubmissionState.GRADER_ERROR


def test_an_upload_that_the_disk_has_damaged_is_our_fault(kit: Kit) -> None:
    number = kit.hand_in("ada")
    with kit.service.store.write() as session:
        session.execute(update(Blob).values(data=b"not what was stored"))
    for _ in range(MOST_ATTEMPTS):
        assert kit.worker.one()
        due_now(kit)
    assert kit.submission(number).state is SubmissionState.GRADER_ERROR


def test_jobs_whose_worker_was_lost_are_graded_one_at_a_time(kit: Kit) -> None:
    """One of them may kill this worker, too; the other one must not be given up for that."""
    numbers = [kit.hand_in("ada", program(seconds=0.5)), kit.hand_in("bob", program(salt="innocent"))]
    with kit.service.store.write() as session:
        session.execute(update(JobRow).values(attempts=1, last_error=LOST))
    grading = threading.Thread(target=kit.worker.one)
    grading.start()
    until(lambda: kit.submission(numbers[0]).state is SubmissionState.GRADING)
    assert kit.worker.one()  # taken, and given back
    assert kit.submission(numbers[1]).state is SubmissionState.QUEUED
    grading.join()
    due_now(kit)
    assert kit.worker.one()
    assert [kit.submission(number).state for number in numbers] == [SubmissionState.GRADED] * 2
    with kit.service.store.read() as session:
        assert session.scalars(select(JobRow.attempts)).all() == [2, 2]


def test_a_version_that_another_worker_has_is_not_left_to_it_for_ever(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one says that it has it, and takes nothing."""
    monkeypatch.setattr("grader.worker._PASS_ON_S", (0.0, 0.0))
    number = kit.hand_in("ada")
    with kit.service.store.write() as session:
        session.execute(update(JobRow).values(assignment_version="newer"))
        detail = {"runtimes": ["numpy"], "slots": 1, "assignments": {"sums": "newer"}}
        now = datetime.now(UTC)
        session.add(WorkerRow(name="elsewhere:1:1", started_at=now, seen_at=now, mode="", detail=detail))
    for _ in range(3):
        assert kit.worker.one()
        assert kit.submission(number).state is SubmissionState.QUEUED
    monkeypatch.setattr("grader.worker._PASS_ON_FOR_S", 0.0)
    assert kit.worker.one()
    assert kit.submission(number).state is SubmissionState.GRADED


def test_what_cannot_be_graded_costs_no_attempt(kit: Kit) -> None:
    kit.hand_in("ada", program(kind="not_gradable"))
    kit.grade()
    with kit.client("tina") as tina:
        row = tina.get("/api/v1/courses/dl/grades", params={"student": "ada", "assignment": "sums"}).json()["items"][0]
    assert (row["status"], row["attempts"], row["score"]) == (GradeStatus.NOT_GRADABLE, 0, None)


def test_a_stopping_worker_finishes_what_it_has(kit: Kit) -> None:
    number = kit.hand_in("ada", program(seconds=0.4))
    with kit.working():
        until(lambda: kit.submission(number).state is SubmissionState.GRADING)
    assert kit.submission(number).state is SubmissionState.GRADED


def test_a_stopping_worker_gives_back_what_takes_too_long(kit: Kit) -> None:
    number = kit.hand_in("ada", program(seconds=1.5))
    worker = replace(
        kit.worker, _threads=[], _running={}, _progress={}, _stopping=threading.Event(), _left=threading.Event()
    )
    worker.start()
    until(lambda: kit.submission(number).state is SubmissionState.GRADING)
    worker.stop(grace_s=0.1)
    assert kit.submission(number).state is SubmissionState.QUEUED
    kit.grade()
    until(lambda: not any(thread.is_alive() for thread in worker._threads))
    assert kit.submission(number).state is SubmissionState.GRADED
    assert len(reports(kit)) == 1


def test_a_worker_announces_itself_and_leaves(kit: Kit) -> None:
    with kit.working():
        with kit.service.store.read() as session:
            row = session.scalars(select(WorkerRow)).one()
        assert row.name == worker_name()
        assert row.mode == "A"
        assert row.detail["runtimes"] == ["numpy", "tensorflow"]
    with kit.service.store.read() as session:
        assert session.scalars(select(WorkerRow)).all() == []


def test_a_full_disk_only_makes_a_worker_wait(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.worker._AFTER_ERROR_S", 0.01)
    original, failures = kit.worker.queue.take, iter([StoreError("disk full"), RuntimeError("a bug")])

    def take(worker: str, runtimes: list[str]) -> Job | None:
        if (error := next(failures, None)) is not None:
            raise error
        return original(worker, runtimes)

    monkeypatch.setattr(kit.worker.queue, "take", take)
    number = kit.hand_in("ada")
    with kit.working():
        until(lambda: kit.submission(number).state is SubmissionState.GRADED)


def test_many_students_at_once_are_all_graded_once(kit: Kit) -> None:
    numbers = [kit.hand_in(login, program(salt=f"{login} {i}")) for i in range(10) for login in ("ada", "bob", "chen")]
    with kit.working():
        until(lambda: all(kit.submission(number).state is SubmissionState.GRADED for number in numbers), 30)
    assert sorted(report.submission_id for report in reports(kit)) == sorted(numbers)
