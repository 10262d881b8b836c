"""Grading again: nothing changes for students before it is published, and only what changed is logged."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from grader.assignments import Assignment
from grader.errors import Conflict, GraderError, Invalid
from grader.service import regrading
from grader.service.access import SHELL
from grader.store.models import AuditEvent, Grade, Published, Regrade, StoredReport, Submission, User
from grader.store.states import RegradeState, SubmissionState
from tests import databases

from .service import SUMS, Kit, program


def begin(kit: Kit, *, every_attempt: bool = False, reason: str = "a check was wrong") -> int:
    with kit.service.store.write() as session:
        published = session.scalars(select(Published).where(Published.name == SUMS)).first()
        assert published is not None
        return regrading.begin(
            session, kit.service.queue, kit.actor("tina"), published, kit.service.catalogue.get(SUMS),
            every_attempt=every_attempt, reason=reason, now=kit.service.now(),
        ).id  # fmt: skip


def state(kit: Kit, regrade: int) -> RegradeState:
    with kit.service.store.read() as session:
        return session.get_one(Regrade, regrade).state


def changes(kit: Kit, regrade: int) -> list[regrading.Change]:
    with kit.service.store.read() as session:
        return regrading.changes(session, session.get_one(Regrade, regrade))


def publish(kit: Kit, regrade: int) -> int:
    with kit.service.store.write() as session:
        return regrading.publish(session, kit.actor("tina"), session.get_one(Regrade, regrade), kit.service.now())


def score(kit: Kit, login: str) -> float | None:
    with kit.service.store.read() as session:
        query = select(Grade.score).join(User).join(Published).where(User.login == login, Published.name == SUMS)
        return session.scalars(query).one()


def forget_failures(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the assignment's checks pass whatever fails now, as if a check had been mended."""
    original = kit.engine.grade
    monkeypatch.setattr(
        kit.engine, "grade", lambda a, f, data, **o: original(a, f, data.replace(b'"add_works"', b'"none"'), **o)
    )


@pytest.fixture
def graded(kit: Kit) -> Kit:
    """ada has two attempts, the second counts; bob has full marks; chen's could not be graded."""
    kit.hand_in("ada", program(fail=["add_works", "subtract_works"]))
    kit.grade()
    kit.hand_in("ada", program(fail=["add_works"]))
    kit.hand_in("bob", program(salt="bob"))
    kit.hand_in("chen", program(kind="not_gradable"))
    kit.grade()
    assert (score(kit, "ada"), score(kit, "bob"), score(kit, "chen")) == (60, 100, None)
    return kit


def test_a_regrade_is_compared_and_published(graded: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_failures(graded, monkeypatch)
    regrade = begin(graded)
    assert state(graded, regrade) is RegradeState.RUNNING
    graded.grade()
    assert state(graded, regrade) is RegradeState.READY
    assert score(graded, "ada") == 60
    found = changes(graded, regrade)
    assert [(c.login, c.before, c.after, c.changed) for c in found] == [
        ("ada", 60, 100, True),
        ("bob", 100, 100, False),
    ]
    assert [(c.check_id, c.before, c.after) for c in found[0].checks] == [("add_works", 0, 40)]
    assert publish(graded, regrade) == 1
    assert (score(graded, "ada"), score(graded, "bob")) == (100, 100)
    with graded.service.store.read() as session:
        logged = session.scalars(select(AuditEvent).where(AuditEvent.action == "grade.regraded")).all()
        assert [(e.before, e.after, e.reason) for e in logged] == [({"score": 60}, {"score": 100}, "a check was wrong")]
        assert len(session.scalars(select(StoredReport)).all()) == 6  # four first ones, and two beside them


def test_every_attempt_may_be_graded_again(graded: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_failures(graded, monkeypatch)
    regrade = begin(graded, every_attempt=True)
    graded.grade()
    found = {(c.login, c.number): (c.before, c.after, c.status) for c in changes(graded, regrade)}
    assert found == {
        ("ada", 1): (30, 70, "graded"), ("ada", 2): (60, 100, "graded"), ("bob", 1): (100, 100, "graded"),
        ("chen", 1): (None, None, "not_gradable"),
    }  # fmt: skip


def test_a_regrade_without_reason_or_beside_another_is_refused(graded: Kit) -> None:
    with pytest.raises(Invalid):
        begin(graded, reason=" ")
    regrade = begin(graded)
    with pytest.raises(Conflict, match=f"Regrade {regrade}"):
        begin(graded)
    with pytest.raises(Conflict, match="not ready"):
        publish(graded, regrade)


def test_there_must_be_something_to_grade(kit: Kit) -> None:
    with pytest.raises(Conflict):
        begin(kit)


def test_a_cancelled_regrade_runs_no_further_and_changes_nothing(graded: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_failures(graded, monkeypatch)
    regrade = begin(graded)
    assert graded.worker.one()
    with graded.service.store.write() as session:
        regrading.cancel(session, graded.service.queue, SHELL, session.get_one(Regrade, regrade), graded.service.now())
    before = graded.engine.graded
    graded.grade()
    assert graded.engine.graded == before
    assert score(graded, "ada") == 60
    with pytest.raises(GraderError):
        publish(graded, regrade)
    begin(graded)


def test_what_was_handed_in_meanwhile_keeps_its_newer_report(graded: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    regrade = begin(graded)
    graded.grade()
    with graded.service.store.write() as session:
        submission = session.scalars(
            select(Submission).join(User).where(User.login == "ada").order_by(Submission.number.desc()).limit(1)
        ).one()
        number = submission.id
        regrading.again(session, graded.service.queue, SHELL, submission, sums_of(graded), graded.service.now())
    assert graded.submission(number).state is SubmissionState.QUEUED
    forget_failures(graded, monkeypatch)
    graded.grade()
    assert score(graded, "ada") == 100
    publish(graded, regrade)
    assert score(graded, "ada") == 100


def test_a_new_report_without_a_verdict_replaces_nothing(graded: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    original = graded.engine.grade
    monkeypatch.setattr(
        graded.engine, "grade", lambda a, f, data, **o: original(a, f, program(kind="grader_error"), **o)
    )
    regrade = begin(graded)
    for _ in range(3):
        graded.grade()
        databases.hurry(graded.service.store)
    assert state(graded, regrade) is RegradeState.READY
    assert {c.status for c in changes(graded, regrade)} == {"grader_error"}
    assert publish(graded, regrade) == 0
    assert (score(graded, "ada"), score(graded, "bob")) == (60, 100)


def test_a_submission_is_not_graded_twice_at_once(graded: Kit) -> None:
    number = graded.hand_in("ada", program(salt="new"))
    with pytest.raises(Conflict):
        again(graded, number)


def again(kit: Kit, number: int) -> None:
    with kit.service.store.write() as session:
        submission = session.get_one(Submission, number)
        regrading.again(session, kit.service.queue, SHELL, submission, sums_of(kit), kit.service.now())


def sums_of(kit: Kit) -> Assignment:
    return kit.service.catalogue.get(SUMS)
