"""A changed deadline may change 300 scores: it is said before, asks for a reason, and every score is in the log."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import select, update

from grader.store.models import AuditEvent, Grade, Published, Submission, User

from .service import COURSE, SUMS, Kit, program

DAY = timedelta(days=1)


@pytest.fixture
def graded(kit: Kit) -> Kit:
    """ada and bob handed in 26 hours ago and have full marks."""
    for login in ("ada", "bob"):
        kit.hand_in(login, program(salt=login))
    kit.grade()
    with kit.service.store.write() as session:
        session.execute(update(Submission).values(received_at=kit.service.now() - timedelta(hours=26)))
    return kit


def terms(kit: Kit, due_days_ago: float) -> dict[str, str]:
    """What the form sends when the deadline is moved to so many days ago."""
    with kit.service.store.read() as session:
        opens = session.scalars(select(Published.opens_at).where(Published.name == SUMS)).first()
    assert opens is not None
    zone = ZoneInfo("Asia/Shanghai")
    due = kit.service.now() - due_days_ago * DAY
    return {
        "opens_at": opens.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
        "due_at": due.astimezone(zone).strftime("%Y-%m-%dT%H:%M"),
        "late_days": "5", "late_percent": "10", "attempt_limit": "", "counting": "best", "release": "at_once",
    }  # fmt: skip


def send(kit: Kit, teacher: httpx.Client, **form: str) -> httpx.Response:
    return teacher.post(f"/courses/{COURSE}/deadlines/{SUMS}", data={**form, "csrf": kit.csrf(teacher)})


def scores(kit: Kit) -> dict[str, float | None]:
    query = select(User.login, Grade.score).join(Grade).join(Published).where(Published.name == SUMS)
    with kit.service.store.read() as session:
        return {login: score for login, score in session.execute(query) if score is not None}


def test_scores_that_would_change_are_said_first_and_then_logged(graded: Kit) -> None:
    with graded.browser("teacher") as teacher:
        first = send(graded, teacher, **terms(graded, 2.0))
        assert first.status_code == 422
        assert "scores of 2 students" in first.text
        assert scores(graded) == {"ada": 100, "bob": 100}
        without = send(graded, teacher, **terms(graded, 2.0), sure="yes", reason=" ")
        assert without.status_code == 422
        assert scores(graded) == {"ada": 100, "bob": 100}
        done = send(graded, teacher, **terms(graded, 2.0), sure="yes", reason="the sheet said Friday")
        assert done.status_code == 303
    assert scores(graded) == {"ada": 90, "bob": 90}
    with graded.service.store.read() as session:
        events = session.scalars(select(AuditEvent).where(AuditEvent.action == "grade.reassessed")).all()
        change = session.scalars(select(AuditEvent).where(AuditEvent.action == "assignment.change")).one()
    assert sorted((e.user_id, e.before, e.after, e.reason) for e in events) == [
        (graded.ids[login], {"score": 100}, {"score": 90}, "the sheet said Friday") for login in ("ada", "bob")
    ]
    assert change.after is not None
    assert change.after["scores_changed"] == 2


def test_a_change_that_touches_no_score_is_saved_at_once(graded: Kit) -> None:
    with graded.browser("teacher") as teacher:
        assert send(graded, teacher, **terms(graded, 0.5)).status_code == 303
    assert scores(graded) == {"ada": 100, "bob": 100}


def test_a_misspelt_filter_is_no_filter(kit: Kit) -> None:
    with kit.client("tina") as tina:
        answer = tina.get(f"/api/v1/courses/{COURSE}/grades", params={"sektion": "A"})
    assert answer.status_code == 422
    assert "section" in answer.json()["detail"]


def test_no_student_is_told_that_somebody_else_has_the_same_file(kit: Kit) -> None:
    """It would say who may have copied, and when the other handed in."""
    first = kit.hand_in("ada", program())
    kit.grade()
    other, again = kit.hand_in("bob", program()), kit.hand_in("ada", program())
    said = "The same file was graded before"
    for login, number, told in (
        ("bob", other, False),
        ("ada", again, True),
        ("ada", first, False),
        ("tina", other, True),
    ):
        with kit.browser(login) as browser:
            assert (said in browser.get(f"/submissions/{number}").text) is told, (login, number)
