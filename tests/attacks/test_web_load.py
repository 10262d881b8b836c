"""Floods, races, and what is left behind: threads, descriptors, listeners, memory."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from grader.store.models import AuditEvent, Grade, Job, Override, Regrade, StoredReport, Submission
from grader.store.states import Counting, JobState, RegradeState, Release, SubmissionState
from grader.web import guards
from tests.integration.service import HIDDEN_CHECK, SUMS, Kit, make_kit, program

from .visits import API_SHEET, SHEET, at_once, raw, resident_mib, send, session_cookie


@pytest.fixture
def narrow(database: str, tmp_path: Path) -> Iterator[Kit]:
    """A service with the limits that it has when nothing is set, for requests a smaller one."""
    made = make_kit(tmp_path, uploads_a_minute=12, requests_a_minute=60)
    yield made
    made.close()


# Floods -------------------------------------------------------------------------------------------------------------


def test_a_flood_of_uploads_is_slowed_for_its_student_alone(narrow: Kit) -> None:
    """Twelve a minute are taken, also when they come together; Retry-After is honest, and others do not notice."""
    with narrow.client("ada") as ada, narrow.client("bob") as bob:

        def upload(number: int) -> httpx.Response:
            return ada.post(f"{API_SHEET}/submissions", files={"file": ("a.py", b"x = %d" % number)})

        answers = at_once([lambda n=n: upload(n) for n in range(30)])  # type: ignore[misc]
        taken = [answer for answer in answers if answer.status_code == 202]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert (len(taken), len(refused)) == (12, 18)
        assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)
        other = bob.post(f"{API_SHEET}/submissions", files={"file": ("a.py", b"x = 1")})
    assert other.status_code == 202


def test_nobody_gets_more_requests_by_changing_what_they_send(narrow: Kit) -> None:
    """A bucket belongs to a person or an address: junk in a cookie, made-up tokens and sessions fill no new one."""

    def flood(count: int, **headers: str) -> int:
        with httpx.Client(base_url=narrow.url, trust_env=False) as client:
            given = {name: value for name, value in headers.items() if "%d" not in value}
            return sum(
                client.get(
                    "/sign-in", headers={**given, **{n: v % i for n, v in headers.items() if "%d" in v}}
                ).status_code
                == 200
                for i in range(count)
            )

    assert 60 <= flood(100, Cookie="junk=%d") <= 75
    assert flood(30, Cookie="grader_session=%d.x.y") <= 15
    assert flood(30) <= 15
    with narrow.browser("ada") as ada:
        session = f"grader_session={ada.cookies['grader_session']}"
    assert 60 <= flood(100, Cookie=session + "; junk=%d") <= 75
    assert flood(700, Authorization="Bearer grader_%d") <= 620


def test_buckets_are_few_however_many_ask() -> None:
    """A million made-up keys do not fill the memory."""
    rate = guards.Rate(60)
    for number in range(guards._MOST_KEYS + 5000):
        rate.take(str(number))
    assert len(rate._buckets) == guards._MOST_KEYS


def test_many_uploads_of_one_do_not_hold_up_another(kit: Kit) -> None:
    """The queue is fair: after a flood of one student, the first upload of another is graded next, and one at a time
    runs for each."""
    flood = [kit.hand_in("ada", b"x = %d" % number) for number in range(40)]
    later = kit.hand_in("bob", b"y = 1")
    order = []
    for _ in range(6):
        first = kit.service.queue.take("one", ("numpy",))
        second = kit.service.queue.take("two", ("numpy",))
        for job in (first, second):
            if job is not None:
                order.append(job.submission_id)
                with kit.service.store.write() as session:
                    kit.service.queue.finish(session, job, kit.service.now())
    assert later in order[:3]
    assert set(order) - {later} <= set(flood)
    busy = [kit.service.queue.take(f"w{n}", ("numpy",)) for n in range(3)]
    assert sum(job is not None for job in busy) == 1


def test_a_regrade_of_everything_does_not_hold_up_a_click(kit: Kit) -> None:
    """Thousands of jobs of staff wait behind one upload of a student."""
    for number in range(20):
        kit.hand_in("ada", b"x = %d" % number)
    kit.grade()
    with kit.browser("teacher") as teacher:
        send(kit, teacher, "/courses/dl/regrades", {"what": f"{SUMS}/every", "reason": "x"})
    clicked = kit.hand_in("bob", b"y = 2")
    job = kit.service.queue.take("one", ("numpy",))
    assert job is not None
    assert job.submission_id == clicked


# Limits and races ---------------------------------------------------------------------------------------------------


def test_the_last_attempt_is_one_over_http(kit: Kit) -> None:
    """Twenty posts at once for three attempts: three are taken, and the count never says otherwise."""
    kit.rules(SUMS, attempt_limit=3)
    with kit.browser("ada") as ada, kit.client("ada") as api:
        jobs = [
            (lambda n=n: send(kit, ada, SHEET, {"pasted": f"x = {n}"}).status_code)
            if n % 2
            else (lambda n=n: api.post(f"{API_SHEET}/submissions", files={"file": ("a.py", b"y = %d" % n)}).status_code)
            for n in range(20)
        ]
        statuses = at_once(jobs)
    assert sorted(status for status in statuses if status != 409) in (
        [202, 202, 202],
        [202, 202, 303],
        [202, 303, 303],
        [303] * 3,
    )
    assert len(statuses) == 20
    with kit.service.store.read() as session:
        assert [row.number for row in session.query(Submission).order_by(Submission.number)] == [1, 2, 3]


def test_handing_in_again_while_it_is_graded_grades_both_once(kit: Kit) -> None:
    """The same file twice, another one meanwhile, and the page reloaded: each submission has one report."""
    with kit.working(), kit.browser("ada") as ada:
        data = program(seconds=0.2).decode()
        where = [send(kit, ada, SHEET, {"pasted": text}).headers["location"] for text in (data, data, data + "# other")]
        deadline = time.monotonic() + 10
        while any("<noscript>" in ada.get(path).text for path in where) and time.monotonic() < deadline:
            time.sleep(0.05)
    kit.grade()
    with kit.service.store.read() as session:
        assert session.query(StoredReport).count() == 3
        assert {row.state for row in session.query(Submission)} == {SubmissionState.GRADED}
        assert session.query(Job).filter(Job.state.in_([JobState.QUEUED, JobState.RUNNING])).count() == 0


def test_the_time_of_an_upload_is_the_servers(kit: Kit) -> None:
    """No header or field of a client moves the moment in which a file came."""
    now = kit.service.now()
    kit.rules(SUMS, opens_at=now - timedelta(days=9), due_at=now - timedelta(hours=1), late_days=1, late_percent=10)
    headers = {"Date": "Thu, 01 Jan 2015 00:00:00 GMT", "X-Request-Start": "0"}
    with kit.browser("ada") as ada:
        sent = send(kit, ada, SHEET, {"pasted": "x = 1", "received_at": "2015-01-01", "user_id": "1"}, headers=headers)
    found = kit.submission(int(sent.headers["location"].rpartition("/")[2]))
    assert found.days_late == 1
    assert abs(found.received_at - now) < timedelta(minutes=1)
    assert found.user_id == kit.ids["ada"]


def test_one_regrade_is_published_once(kit: Kit) -> None:
    """Publishing, cancelling and starting at once: one of them wins, and the grades are those of the winner."""
    kit.hand_in("ada", program(fail=["add_works"]))
    kit.grade()
    for round_ in range(3):
        with kit.browser("teacher") as teacher:
            where = send(kit, teacher, "/courses/dl/regrades", {"what": f"{SUMS}/counting", "reason": "x"}).headers[
                "location"
            ]
            kit.grade()
            ends = ["publish", "cancel"] * 6
            statuses = at_once([lambda at=f"{where}/{end}": send(kit, teacher, at).status_code for end in ends])  # type: ignore[misc]
        assert sorted(statuses) == [303] + [409] * 11, round_
    with kit.service.store.read() as session:
        assert {row.state for row in session.query(Regrade)} <= {RegradeState.PUBLISHED, RegradeState.CANCELLED}


def test_two_regrades_are_not_started_at_once(kit: Kit) -> None:
    """Twelve clicks on the button start one."""
    kit.hand_in("ada")
    kit.grade()
    with kit.browser("teacher") as teacher:
        fields = {"what": f"{SUMS}/every", "reason": "x"}
        statuses = at_once([lambda: send(kit, teacher, "/courses/dl/regrades", fields).status_code] * 12)
    assert sorted(statuses) == [303] + [422] * 11


def test_a_publication_does_not_undo_what_came_meanwhile(kit: Kit) -> None:
    """An override and a newer verdict that arrive while a regrade runs are there after it is published."""
    number = kit.hand_in("ada", program(fail=["add_works"]))
    kit.grade()
    with kit.browser("teacher") as teacher, kit.client("tina") as api:
        where = send(kit, teacher, "/courses/dl/regrades", {"what": f"{SUMS}/every", "reason": "x"}).headers["location"]
        kit.grade()
        assert (
            api.post(f"/api/v1/submissions/{number}/regrade").status_code == 202
        )  # waits while the regrade is published
        send(kit, teacher, f"{SHEET}/students/ada/override", {"score": "77", "reason": "x"})
        assert send(kit, teacher, f"{where}/publish").status_code == 303
    assert kit.submission(number).state is SubmissionState.QUEUED
    kit.grade()
    with kit.service.store.read() as session:
        grade = session.query(Grade).filter(Grade.user_id == kit.ids["ada"], Grade.score.is_not(None)).one()
        assert (grade.score, grade.computed, grade.overridden) == (77, 60, True)


def test_overrides_at_once_leave_one_in_force_and_every_one_in_the_log(kit: Kit) -> None:
    """Of twelve scores set together one holds; while it is being graded too."""
    kit.hand_in("ada", program(seconds=0.1))
    with kit.working(), kit.browser("teacher") as teacher:
        path = f"{SHEET}/students/ada/override"
        statuses = at_once(
            [lambda n=n: send(kit, teacher, path, {"score": str(n), "reason": f"r{n}"}).status_code for n in range(12)]  # type: ignore[misc]
        )
    kit.grade()
    assert statuses == [303] * 12
    with kit.service.store.read() as session:
        (held,) = session.query(Override).filter(Override.removed_at.is_(None))
        grade = session.query(Grade).filter(Grade.user_id == kit.ids["ada"], Grade.overridden).one()
        assert (grade.score, grade.computed) == (held.score, 100)
        assert session.query(AuditEvent).filter(AuditEvent.action == "override.set").count() == 12


def test_a_roster_applied_twice_at_once_enrols_once(kit: Kit) -> None:
    """Two people, one row each, whoever clicked how often."""
    fields = {"roster": "login,name\nnew1,N\nnew2,M\n"}
    with kit.browser("teacher") as teacher:
        statuses = at_once([lambda: send(kit, teacher, "/courses/dl/roster", fields).status_code] * 8)
    assert sorted(statuses) == [200] + [303] * 7
    with kit.service.store.read() as session:
        assert session.query(Grade).count() == len({(g.published_id, g.user_id) for g in session.query(Grade)})


# A great deal of everything -----------------------------------------------------------------------------------------


def test_a_student_with_thousands_of_attempts_does_not_slow_the_pages(kit: Kit) -> None:
    """History is bounded work, also where hidden checks are taken out of every score."""
    kit.rules(SUMS, release=Release.NEVER, counting=Counting.BEST)
    number = kit.hand_in("ada", program(fail=[HIDDEN_CHECK]))
    kit.grade()
    first = kit.submission(number)
    with kit.service.store.write() as session:
        report = session.get_one(StoredReport, first.report_id)
        columns = {c.name for c in Submission.__table__.columns} - {"id", "number", "idempotency_key"}
        session.add_all(
            Submission(number=n, **{name: getattr(first, name) for name in columns}) for n in range(2, 2001)
        )
        assert report.status == "graded"
    with kit.browser("ada") as ada, kit.browser("tina") as tina, kit.client("ada") as api:
        for client, path in (
            (ada, SHEET),
            (ada, "/courses/dl"),
            (ada, f"/submissions/{number}"),
            (tina, "/courses/dl/students/ada"),
            (tina, f"/submissions/{number}"),
            (api, "/api/v1/courses/dl/grades"),
            (ada, f"/submissions/{number}/changes"),
        ):
            started = time.monotonic()
            assert client.get(path).status_code == 200
            assert time.monotonic() - started < 3, path


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_streams_that_are_opened_and_left_leave_nothing(kit: Kit) -> None:
    """Hundreds of pages that are opened and closed: no listener, thread, descriptor or count stays."""
    number = kit.hand_in("ada")
    bus = kit.service.bus
    with kit.browser("ada") as ada:

        def visit() -> None:
            with ada.stream("GET", f"/submissions/{number}/events") as events:
                next(events.iter_lines())

        for _ in range(20):
            visit()
        time.sleep(1.5)
        gc.collect()
        threads, files, memory = threading.active_count(), descriptors(), resident_mib()
        for _ in range(300):
            try:
                visit()
            except StopIteration:  # 429: the server has not seen yet that thirty others are gone
                time.sleep(0.05)
    deadline = time.monotonic() + 8
    while (bus._listeners or getattr(kit.app.state, "open_streams", None)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not bus._listeners
    assert not kit.app.state.open_streams
    assert threading.active_count() <= threads + 45  # the pool that answers requests
    assert descriptors() <= files + 120  # connections that are kept for the next request, and the database's
    assert resident_mib() - memory < 100


def test_one_person_does_not_wait_without_end(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that wait count as streams do: beyond the limit they come at once, without a verdict."""
    monkeypatch.setattr("grader.web.streams._MOST_STREAMS", 3)
    headers = {"Prefer": "wait=2", "Idempotency-Key": "one"}
    with kit.client("ada") as ada:

        def upload() -> float:
            started = time.monotonic()
            answer = ada.post(f"{API_SHEET}/submissions", files={"file": ("a.py", b"x = 1")}, headers=headers)
            assert answer.status_code == 202
            return time.monotonic() - started

        took = sorted(at_once([upload] * 10))
    assert sum(seconds > 1.9 for seconds in took) == 3
    assert not kit.app.state.open_streams


def test_connections_that_are_cut_leave_the_service_as_it_was(kit: Kit) -> None:
    """Uploads that break off in the middle are no faults and keep no file, thread or place."""
    assert kit.url
    before = descriptors()
    head = (
        b"POST "
        + SHEET.encode()
        + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000000\r\n"
        + session_cookie(kit, "ada")
    )
    body = b"\r\nContent-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n"
    body += b'Content-Disposition: form-data; name="file"; filename="a.py"\r\n\r\n'
    for _ in range(20):
        raw(kit, head + body + b"x" * 2_000_000, timeout_s=0.05)
    with kit.browser("ada") as ada:
        assert ada.get("/courses").status_code == 200
    deadline = time.monotonic() + 5
    while descriptors() > before + 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert descriptors() <= before + 60


def test_pages_under_load_are_answered_by_all_and_memory_stays(shared_kit: Kit) -> None:
    """Two thousand pages by ten people at once: all answered, and the process does not grow with them."""
    with shared_kit.browser("tina") as tina:
        for path in ("/courses/dl/gradebook", SHEET):
            tina.get(path)
        gc.collect()
        before = resident_mib()

        def read() -> bool:
            return all(tina.get("/courses/dl/gradebook?q=ada").status_code == 200 for _ in range(20))

        assert all(at_once([read] * 10))
    assert resident_mib() - before < 80
