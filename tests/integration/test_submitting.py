"""Accepting uploads: deadlines, attempts, lateness, what counts, and that two uploads at once obey the same limits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from grader.errors import Conflict, GraderError, Invalid, NotFound, TooLarge, TooMany
from grader.queue.choosing import queue_of
from grader.queue.names import worker_name
from grader.reports import CheckResult, Report, ReportStatus, Status, Text
from grader.service import publishing, recording, roster, submitting
from grader.service.access import SHELL, Actor, actor_of
from grader.service.catalogue import Catalogue
from grader.service.publishing import Rules
from grader.service.submitting import Accepted, Upload
from grader.store.engine import Store
from grader.store.models import AuditEvent, Blob, Grade, Job, Published, StoredReport, Submission, User
from grader.store.states import Counting, GradeStatus, SubmissionState
from tests import databases

PROJECT = Path(__file__).resolve().parents[2]
OPEN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
DUE = OPEN + timedelta(days=7)
MOMENT = timedelta(microseconds=1)
DAY = timedelta(days=1)
RULES = Rules(opens_at=OPEN, due_at=DUE, late_days=2, late_percent=10, attempt_limit=3)


class Course:
    """A course with one assignment, two students and a teaching assistant, without web and sandbox."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.queue = queue_of(store)
        self.catalogue = Catalogue(PROJECT / "reference")
        self.assignment = self.catalogue.get("numpy_autodiff")
        with store.write() as session:
            course = publishing.make_course(session, SHELL, "dl", "Deep learning", "UTC", OPEN)
            publishing.publish(session, SHELL, course, self.catalogue, "numpy_autodiff", RULES, OPEN)
            roster.apply(session, SHELL, course, b"login,name,role\nada,Ada,\nbob,Bob,\ntim,Tim,ta\n", OPEN)

    def actor(self, login: str) -> Actor:
        with self.store.read() as session:
            return actor_of(session, session.scalars(select(User).where(User.login == login)).one())

    def rules(self, **changes: object) -> None:
        with self.store.write() as session:
            published = session.scalars(select(Published)).one()
            publishing.change(session, SHELL, published, replace(RULES, **changes), DUE)  # type: ignore[arg-type]

    def submit(
        self, login: str, at: datetime, text: str = "x = 1\n", *, a_minute: int = 1000, key: str | None = None
    ) -> Accepted:
        actor, upload = self.actor(login), Upload.of("a.py", text.encode())
        with self.store.write() as session:
            published = session.scalars(select(Published)).one()
            return submitting.accept(
                session, self.queue, actor, published, self.assignment, upload, now=at, received_at=at,
                uploads_a_minute=a_minute, key=key,
            )  # fmt: skip

    def grade_next(self, score: float, status: ReportStatus = ReportStatus.GRADED, at: datetime = DUE) -> None:
        job = self.queue.take(worker_name(), ["numpy"])
        assert job is not None
        with self.store.write() as session:
            self.queue.finish(session, job, at)
            submission = session.get_one(Submission, job.submission_id)
            recording.record(session, submission, report(score, status, self.assignment.version), at)

    def override(self, login: str, score: float, reason: str) -> None:
        with self.store.write() as session:
            published = session.scalars(select(Published)).one()
            publishing.override(session, SHELL, published, login, score, reason, OPEN, max_score=100)

    def grade(self, login: str) -> Grade:
        with self.store.read() as session:
            return session.scalars(select(Grade).join(User).where(User.login == login)).one()


def report(score: float, status: ReportStatus, version: str) -> Report:
    title = Text(en="the product", zh="乘积")
    check = CheckResult(
        id="forward", part="Matmul", title=title, status=Status.PASSED, points=score, max_points=100, mistake=None
    )
    return Report(
        assignment="numpy_autodiff", assignment_version=version, status=status, score=score, max_score=100,
        checks=(check,) if status is ReportStatus.GRADED else (), file="a.py",
    )  # fmt: skip


@pytest.fixture
def course(database: str, tmp_path: Path) -> Iterator[Course]:
    store = databases.new_store(tmp_path)
    yield Course(store)
    databases.end(store)


def test_an_accepted_upload_is_stored_with_its_job(course: Course) -> None:
    accepted = course.submit("ada", OPEN, "x = 1\n")
    assert accepted.submission.number == 1
    assert accepted.submission.state is SubmissionState.QUEUED
    with course.store.read() as session:
        assert session.scalars(select(Job.submission_id)).all() == [accepted.submission.id]
        assert session.scalars(select(Blob.size)).all() == [6]
    assert course.grade("ada").status is GradeStatus.PENDING
    assert course.grade("bob").status is GradeStatus.MISSING


@pytest.mark.parametrize(
    ("at", "days_late"),
    [
        (OPEN, 0), (DUE, 0), (DUE + MOMENT, 1), (DUE + DAY, 1), (DUE + DAY + MOMENT, 2), (DUE + 2 * DAY, 2),
    ],
)  # fmt: skip
def test_lateness_is_exact_to_the_microsecond(course: Course, at: datetime, days_late: int) -> None:
    assert course.submit("ada", at).submission.days_late == days_late
    course.grade_next(80)
    assert course.grade("ada").score == pytest.approx(80 * (1 - 0.1 * days_late))


@pytest.mark.parametrize(("at", "error"), [(DUE + 2 * DAY + MOMENT, Conflict), (OPEN - MOMENT, NotFound)])
def test_what_comes_too_late_or_too_early_is_not_taken(course: Course, at: datetime, error: type[GraderError]) -> None:
    with pytest.raises(error):
        course.submit("ada", at)
    with course.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Submission)) == 0
        assert session.scalar(select(func.count()).select_from(Blob)) == 0


def test_staff_may_try_an_assignment_before_it_opens_and_have_no_grade(course: Course) -> None:
    course.submit("tim", OPEN - DAY)
    course.grade_next(100)
    with course.store.read() as session:
        assert set(session.scalars(select(User.login).join(Grade))) == {"ada", "bob"}


def test_attempts_are_counted_and_those_without_a_verdict_are_not(course: Course) -> None:
    course.submit("ada", OPEN, "a")
    course.grade_next(0, ReportStatus.NOT_GRADABLE)
    course.submit("ada", OPEN, "b")
    course.grade_next(0, ReportStatus.GRADER_ERROR)
    for text in "cde":
        course.submit("ada", OPEN, text)
    with pytest.raises(Conflict, match="used all 3"):
        course.submit("ada", OPEN, "f")
    assert course.grade("ada").attempts == 3


def test_parallel_uploads_never_pass_the_limit(course: Course) -> None:
    together = threading.Barrier(12)
    outcomes: list[str] = []

    def upload(number: int) -> None:
        together.wait()
        try:
            course.submit("ada", OPEN, f"x = {number}")
            outcomes.append("taken")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused"] * 9 + ["taken"] * 3
    with course.store.read() as session:
        assert sorted(session.scalars(select(Submission.number))) == [1, 2, 3]


def test_an_extension_moves_the_deadline_and_adds_attempts_for_one_student(course: Course) -> None:
    late = DUE + 3 * DAY
    with course.store.write() as session:
        published = session.scalars(select(Published)).one()
        publishing.extend(
            session, SHELL, published, "ada", due_at=DUE + 4 * DAY, extra_attempts=1, reason="ill", now=DUE
        )
    for text in "abcd":
        assert course.submit("ada", late, text).submission.days_late == 0
    with pytest.raises(Conflict):
        course.submit("ada", late, "e")
    with pytest.raises(Conflict):
        course.submit("bob", late)


def test_moving_a_deadline_changes_what_is_late_already(course: Course) -> None:
    course.submit("ada", DUE + DAY)
    course.grade_next(100)
    assert course.grade("ada").score == 90
    course.rules(due_at=DUE + DAY)
    assert course.grade("ada").score == 100
    with course.store.write() as session:
        published = session.scalars(select(Published)).one()
        publishing.change(session, SHELL, published, RULES, DUE)
        publishing.extend(
            session, SHELL, published, "ada", due_at=DUE + 2 * DAY, extra_attempts=0, reason="ill", now=DUE
        )
    assert course.grade("ada").days_late == 0
    with course.store.write() as session:
        published = session.scalars(select(Published)).one()
        publishing.remove_extension(session, SHELL, published, "ada", "a mistake", DUE)
    assert course.grade("ada").score == 90


def test_the_best_attempt_counts_or_the_latest(course: Course) -> None:
    for text, score in (("a", 40.0), ("b", 90.0), ("c", 60.0)):
        course.submit("ada", OPEN, text)
        course.grade_next(score)
    assert course.grade("ada").score == 90
    course.rules(counting=Counting.LATEST)
    assert course.grade("ada").score == 60


def test_a_late_attempt_counts_only_when_it_is_better_after_the_deduction(course: Course) -> None:
    course.submit("ada", DUE, "a")
    course.grade_next(85)
    course.submit("ada", DUE + DAY, "b")
    course.grade_next(90)
    grade = course.grade("ada")
    assert (grade.score, grade.days_late) == (85, 0)


def test_the_same_content_is_not_graded_twice(course: Course) -> None:
    course.submit("ada", OPEN, "same")
    course.grade_next(70)
    again = course.submit("bob", OPEN, "same").submission
    assert again.state is SubmissionState.GRADED
    assert course.grade("bob").score == 70
    assert course.queue.take(worker_name(), ["numpy"]) is None
    with course.store.read() as session:
        first, second = session.scalars(select(StoredReport).order_by(StoredReport.id)).all()
        assert (first.reused_from_id, second.reused_from_id) == (None, first.id)


def test_a_report_of_another_version_or_of_our_own_fault_is_not_used_again(course: Course) -> None:
    course.submit("ada", OPEN, "same")
    course.grade_next(0, ReportStatus.GRADER_ERROR)
    assert course.submit("bob", OPEN, "same").submission.state is SubmissionState.QUEUED
    course.grade_next(70)
    with course.store.write() as session:
        session.execute(update(StoredReport).values(assignment_version="older"))
    assert course.submit("bob", OPEN, "same").submission.state is SubmissionState.QUEUED


def test_too_many_uploads_in_a_minute_are_told_when_the_next_is_taken(course: Course) -> None:
    course.rules(attempt_limit=None)
    for second in range(3):
        course.submit("ada", OPEN + timedelta(seconds=10 * second), str(second), a_minute=3)
    with pytest.raises(TooMany) as caught:
        course.submit("ada", OPEN + timedelta(seconds=30), "d", a_minute=3)
    assert caught.value.retry_after_s == 30
    course.submit("bob", OPEN + timedelta(seconds=30), "d", a_minute=3)
    course.submit("ada", OPEN + timedelta(seconds=61), "d", a_minute=3)


def test_a_repeated_request_is_the_same_submission(course: Course) -> None:
    first = course.submit("ada", OPEN, "a", key="k1")
    again = course.submit("ada", OPEN, "a", key="k1")
    assert (again.repeated, again.submission.id) == (True, first.submission.id)
    with pytest.raises(Conflict, match="Idempotency-Key"):
        course.submit("ada", OPEN, "b", key="k1")
    assert course.submit("bob", OPEN, "a", key="k1").repeated is False
    with pytest.raises(Invalid):
        course.submit("ada", OPEN, "a", key="a b")


def test_an_override_counts_until_it_is_removed_and_both_are_in_the_log(course: Course) -> None:
    course.submit("ada", OPEN)
    course.grade_next(50)
    course.override("ada", 75, "oral exam")
    assert (course.grade("ada").score, course.grade("ada").computed, course.grade("ada").overridden) == (75, 50, True)
    course.submit("ada", OPEN, "better")
    course.grade_next(60)
    assert (course.grade("ada").score, course.grade("ada").computed) == (75, 60)
    with course.store.write() as session:
        published = session.scalars(select(Published)).one()
        publishing.remove_override(session, SHELL, published, "ada", "wrong student", OPEN)
    assert (course.grade("ada").score, course.grade("ada").overridden) == (60, False)
    with course.store.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action.startswith("override"))).all()
    assert [(e.action, e.before, e.after, e.reason) for e in events] == [
        ("override.set", {"score": 50, "overridden": False}, {"score": 75, "overridden": True}, "oral exam"),
        ("override.remove", {"score": 75, "overridden": True}, {"score": 60, "overridden": False}, "wrong student"),
    ]


@pytest.mark.parametrize(
    ("login", "score", "reason", "error"),
    [
        ("ada", 201, "why", Invalid), ("ada", -1, "why", Invalid), ("ada", float("nan"), "why", Invalid),
        ("ada", 50, "  ", Invalid), ("tim", 50, "why", Conflict), ("nobody", 50, "why", NotFound),
    ],
)  # fmt: skip
def test_an_override_that_makes_no_sense_changes_nothing(
    course: Course, login: str, score: float, reason: str, error: type[GraderError]
) -> None:
    with pytest.raises(error):
        course.override(login, score, reason)
    with course.store.read() as session:
        assert session.scalars(select(AuditEvent).where(AuditEvent.action == "override.set")).all() == []


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.txt", b"x", Invalid), ("a.py", b"", Invalid), ("a.py", b"x" * ((5 << 20) + 1), TooLarge),
        ("a.ipynb", b"x" * ((5 << 20) + 1), TooLarge), ("a.zip", b"x" * ((10 << 20) + 1), TooLarge),
    ],
)  # fmt: skip
def test_an_upload_of_a_wrong_kind_or_size_is_refused(name: str, data: bytes, error: type[GraderError]) -> None:
    with pytest.raises(error):
        Upload.of(name, data)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/a.py", "a.py"),
        ("C:\\x\\b.ipynb", "b.ipynb"),
        ("作业 1.ZIP", "作业 1.ZIP"),
        ("a\0\r\nb.py", "ab.py"),
        ("x" * 300 + ".py", "x" * 252 + ".py"),
    ],
)
def test_of_a_files_name_only_its_last_part_is_kept(given: str, kept: str) -> None:
    assert Upload.of(given, b"x").name == kept


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda: Rules(opens_at=DUE, due_at=OPEN), "due_at"),
        (lambda: replace(RULES, late_days=-1), "late_days"),
        (lambda: replace(RULES, late_percent=float("nan")), "late_percent"),
        (lambda: replace(RULES, attempt_limit=0), "attempt_limit"),
    ],
)
def test_rules_that_make_no_sense_name_the_field(change: Callable[[], Rules], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        change().check()
    assert caught.value.field == field
