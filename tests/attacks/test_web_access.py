"""What belongs to others, and what is kept back from oneself: through no route, stream, file, list or side effect."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from grader.service import accounts
from grader.service.access import SHELL
from grader.store.models import Enrolment, Submission, User
from grader.store.states import Release, Role
from grader.web import filling
from tests.integration.service import COURSE, HIDDEN_CHECK, SUMS, TENSORFLOW, Kit, make_kit, program

from .visits import API_SHEET, SHEET, send

FAILS_HIDDEN = program(fail=[HIDDEN_CHECK], mistake="a_hidden_mistake", salt="1")
PASSES_ALL = program(salt="2")


@pytest.fixture(scope="module")
def two(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """Ada's three attempts, of which only the hidden check tells which is the best, and one of bob."""
    kit = make_kit(tmp_path_factory.mktemp("two"))
    for login, data in (
        ("ada", FAILS_HIDDEN),
        ("ada", PASSES_ALL),
        ("ada", program(fail=[HIDDEN_CHECK], salt="3")),
        ("bob", b"z"),
    ):
        kit.hand_in(login, data)
    kit.grade()
    with kit.browser("teacher") as teacher:
        assert send(kit, teacher, "/courses/dl/regrades", {"what": f"{SUMS}/every", "reason": "x"}).status_code == 303
    kit.grade()
    yield kit
    kit.close()


PAGES = ("/submissions/4", "/submissions/4/events", "/submissions/4/file", "/submissions/4/changes")
REST = ("/submissions/4", "/submissions/4/report", "/submissions/4/file", "/submissions/4/events")


def test_every_number_of_somebody_else_is_not_found(two: Kit) -> None:
    """Ids are counted up, so anybody can guess them: those of others, of other courses, and those that never were get
    the same 404."""
    with two.browser("ada") as ada, two.client("ada") as api:
        said = {ada.get(path).status_code for path in PAGES} | {api.get(f"/api/v1{path}").status_code for path in REST}
        never = {ada.get(path.replace("4", "444")).status_code for path in PAGES}
        assert said == never == {404}
        foreign = api.get("/api/v1/submissions/4").json()
        assert foreign["detail"] == api.get("/api/v1/submissions/444").json()["detail"]
    with two.browser("oscar") as oscar, two.client("oscar") as api:
        for path in (
            *PAGES,
            "/courses/dl",
            "/courses/dl/gradebook",
            "/courses/dl/regrades/1",
            "/courses/other/regrades/1",
        ):
            assert oscar.get(path).status_code == 404, path
        for path in (*REST, "/courses/dl/grades", f"/courses/dl/assignments/{SUMS}/regrades/1"):
            assert api.get(f"/api/v1{path}").status_code == 404, path


def test_a_regrade_is_found_under_its_own_course_and_assignment_only(two: Kit) -> None:
    """A number in an address counts together with what stands before it."""
    with two.client("tina") as api:
        assert api.get(f"{API_SHEET}/regrades/1").status_code == 200
        for path in ("", "/changes", "/events"):
            assert api.get(f"/api/v1/courses/dl/assignments/{TENSORFLOW}/regrades/1{path}").status_code == 404
        assert api.post(f"/api/v1/courses/dl/assignments/{TENSORFLOW}/regrades/1/publish").status_code == 404


def test_comparing_takes_ones_own_attempts_of_the_same_assignment_only(two: Kit) -> None:
    """`against` names an attempt of the list; anything else compares with nothing."""
    with two.browser("ada") as ada:
        for against in ("4", "444", "-1", "0", "9" * 30):
            page = ada.get("/submissions/2/changes", params={"against": against})
            assert page.status_code in (200, 422)
            assert "bob" not in page.text.lower()


@pytest.mark.parametrize("name", ["bob", "chen", "otto", "tina", "BOB", "bob%00", "%62ob", "nobody"])
def test_a_student_asks_for_nobody_else(two: Kit, name: str) -> None:
    """Pages of staff are 403 for members, whoever is asked for; grades of others are 404 whether they exist or not."""
    with two.browser("ada") as ada, two.client("ada") as api:
        assert ada.get(f"/courses/dl/students/{name}").status_code == 403
        assert api.get(f"/api/v1/courses/dl/students/{name}/grades").status_code in (404, 422)
        listed = api.get("/api/v1/courses/dl/grades", params={"student": "bob", "q": "b"}).json()
        assert {item["login"] for item in listed["items"]} <= {"ada"}
        mine = api.get("/api/v1/courses/dl/submissions", params={"student": "bob"}).json()
        assert mine["items"] == []


# What is kept back --------------------------------------------------------------------------------------------------

STUDENT_READS = (
    "/courses",
    "/courses/dl",
    SHEET,
    "/account",
    *(f"/submissions/{n}{end}" for n in (1, 2, 3) for end in ("", "/changes", "/events")),
    "/submissions/2/changes?against=3",
    "/api/v1/courses/dl/grades",
    "/api/v1/courses/dl/grades?format=csv",
    "/api/v1/courses/dl/grades?format=canvas",
    "/api/v1/courses/dl/grades?format=moodle",
    "/api/v1/courses/dl/students/ada/grades",
    "/api/v1/courses/dl/submissions",
    "/api/v1/courses/dl/assignments",
    API_SHEET,
    *(f"/api/v1/submissions/{n}{end}" for n in (1, 2, 3) for end in ("", "/report", "/report?lang=zh", "/events")),
)
STAFF_READS = (
    "/courses/dl/gradebook",
    "/courses/dl/gradebook.csv",
    f"{SHEET}/statistics",
    f"{SHEET}/mistakes/swapped",
    "/courses/dl/regrades",
    "/courses/dl/regrades/1",
    "/courses/dl/regrades/1/events",
    "/courses/dl/audit",
    "/courses/dl/students/ada",
    "/courses/dl/roster",
    "/courses/dl/deadlines",
    "/system",
    "/api/v1/submissions/1/reports",
    f"{API_SHEET}/statistics",
    f"{API_SHEET}/mistakes/swapped",
    f"{API_SHEET}/regrades",
    f"{API_SHEET}/regrades/1",
    f"{API_SHEET}/regrades/1/changes",
    f"{API_SHEET}/regrades/1/events",
    "/api/v1/courses/dl/audit",
    "/api/v1/courses/dl/roster",
)


def ask(kit: Kit, path: str, login: str = "ada") -> httpx.Response:
    with kit.client(login) if path.startswith("/api") else kit.browser(login) as client:
        return client.get(path)


@pytest.mark.parametrize("path", STUDENT_READS)
def test_no_answer_tells_how_a_hidden_check_ended(two: Kit, path: str) -> None:
    """Before its release a hidden check has no name, no status, no points and no mistake anywhere: two attempts that
    differ in it alone look the same."""
    two.rules(SUMS, release=Release.NEVER)
    answer = ask(two, path)
    assert answer.status_code == 200
    text = re.sub(r'<td class="code">.*?</td>', "", answer.text)  # what the student wrote
    for word in (HIDDEN_CHECK, "a_hidden_mistake", "large numbers", "很大的数"):
        assert word not in text, word


def test_attempts_that_differ_in_a_hidden_check_alone_cannot_be_told_apart(two: Kit) -> None:
    """Nor does a side effect say it: scores, which attempt counts, and the order of a list are those of what is shown.

    Otherwise a hidden check would be an oracle: hand in a guess, see whether it becomes the attempt that counts.
    """
    two.rules(SUMS, release=Release.NEVER)
    with two.client("ada") as api, two.browser("ada") as ada:
        listed = [
            item for item in api.get("/api/v1/courses/dl/submissions").json()["items"] if item["assignment"] == SUMS
        ]
        assert {item["score"] for item in listed} == {70}
        reports = [api.get(f"/api/v1/submissions/{n}/report").json() for n in (1, 2, 3)]
        assert len({json.dumps({k: v for k, v in r.items() if k not in ("seed", "timings_ms")}) for r in reports}) == 1
        grade = next(
            g for g in api.get("/api/v1/courses/dl/students/ada/grades").json()["items"] if g["assignment"] == SUMS
        )
        assert (grade["score"], grade["computed_score"], grade["submission_id"]) == (70, 70, 1)
        for bound in ("min_score=71", "max_score=69"):
            rows = api.get(f"/api/v1/courses/dl/grades?assignment={SUMS}&{bound}").json()["items"]
            assert rows == []
        first, second = (ada.get(f"/submissions/{n}").text for n in (1, 2))
    with two.service.store.read() as session:
        reader = filling.Reader(service=two.service, actor=two.actor("ada"), lang="en", now=two.service.now())
        published = session.get_one(Submission, 1).published
        rows_ = filling.attempts(session, reader, published, two.ids["ada"])
        assert [(row.number, row.counts) for row in rows_] == [(3, False), (2, False), (1, True)]
        assert filling.work(session, reader, published).best == 70
        staff = filling.Reader(service=two.service, actor=two.actor("tina"), lang="en", now=two.service.now())
        assert [row.counts for row in filling.attempts(session, staff, published, two.ids["ada"])] == [
            False,
            True,
            False,
        ]
    assert "70" in first
    assert "70" in second


@pytest.mark.parametrize("path", STAFF_READS)
def test_what_staff_see_of_hidden_checks_is_for_staff(two: Kit, path: str) -> None:
    """Statistics, regrades, stored reports, gradebook, log: a student gets 403 or 404 and not a word more."""
    answer = ask(two, path)
    assert answer.status_code in (403, 404)
    assert HIDDEN_CHECK not in answer.text
    assert ask(two, path, "tina" if path != "/system" else "teacher").status_code == 200


def test_a_look_before_handing_in_runs_nothing(two: Kit) -> None:
    """What an upload holds is told from its text; no check is run, hidden or not, and nothing is stored."""
    graded = two.engine.graded
    with two.browser("ada") as ada:
        answer = send(two, ada, f"{SHEET}/look", {"pasted": FAILS_HIDDEN.decode()})
    assert set(answer.json()) == {"kind", "lines"}
    assert HIDDEN_CHECK not in answer.text
    assert two.engine.graded == graded


def test_the_live_page_keeps_back_what_the_report_keeps_back(kit: Kit) -> None:
    """While a submission is graded its stream and its page tell visible checks only."""
    kit.rules(SUMS, release=Release.NEVER)
    number = kit.hand_in("ada", program(fail=[HIDDEN_CHECK], seconds=0.6))
    seen: list[str] = []
    with kit.working(), kit.browser("ada") as ada, kit.client("ada") as api:
        seen.append(ada.get(f"/submissions/{number}").text)
        with api.stream("GET", f"/api/v1/submissions/{number}/events") as events:
            for line in events.iter_lines():
                seen.append(line)
                if line.startswith("event: check"):
                    seen.append(ada.get(f"/submissions/{number}").text)
                    seen.append(api.get(f"/api/v1/submissions/{number}").text)
        waited = api.post(
            f"{API_SHEET}/submissions",
            files={"file": ("a.py", program(fail=["*"], salt="w"))},
            headers={"Prefer": "wait=5"},
        )
        seen.append(waited.text)
    assert waited.status_code == 201
    assert len([line for line in seen if line.startswith("event: check")]) == 2
    assert not any(HIDDEN_CHECK in text or "large numbers" in text for text in seen)


def test_an_extension_keeps_the_checks_back_for_the_one_who_has_it(kit: Kit) -> None:
    """After the deadline of the class a student with more time still sees the visible checks alone."""
    number = kit.hand_in("ada", FAILS_HIDDEN)
    other = kit.hand_in("bob", PASSES_ALL)
    kit.grade()
    now = kit.service.now()
    kit.rules(SUMS, due_at=now - timedelta(seconds=1), opens_at=now - timedelta(days=30))
    with kit.browser("tina") as tina:
        due = (now + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
        assert send(kit, tina, f"{SHEET}/students/ada/extension", {"due_at": due, "reason": "ill"}).status_code == 303
    with kit.client("ada") as ada, kit.client("bob") as bob:
        assert HIDDEN_CHECK not in ada.get(f"/api/v1/submissions/{number}/report").text
        assert HIDDEN_CHECK in bob.get(f"/api/v1/submissions/{other}/report").text


# Rights that end while somebody is there ------------------------------------------------------------------------------


def test_a_role_that_is_taken_away_ends_at_the_next_request(kit: Kit) -> None:
    """Roles are read with every request, of sessions and of tokens alike."""
    with kit.browser("tina") as tina, kit.client("tina") as api:
        assert tina.get("/courses/dl/gradebook").status_code == api.get("/api/v1/courses/dl/roster").status_code == 200
        with kit.service.store.write() as session:
            session.query(Enrolment).filter(Enrolment.user_id == kit.ids["tina"]).one().role = Role.STUDENT
        assert tina.get("/courses/dl/gradebook").status_code == api.get("/api/v1/courses/dl/roster").status_code == 403
        with kit.service.store.write() as session:
            session.delete(session.query(Enrolment).filter(Enrolment.user_id == kit.ids["tina"]).one())
        assert tina.get("/courses/dl").status_code == api.get(f"/api/v1/courses/{COURSE}").status_code == 404


@pytest.mark.parametrize("how", ["disabled", "no member", "no staff"])
def test_a_stream_ends_when_the_right_to_look_ends(kit: Kit, how: str) -> None:
    """Somebody who is disabled or put out of the course is told no more through a stream that is open already."""
    number = kit.hand_in("ada", PASSES_ALL)
    lines: list[str] = []
    opened = threading.Event()

    def listen() -> None:
        with kit.browser("tina") as tina, tina.stream("GET", f"/submissions/{number}/events") as events:
            for line in events.iter_lines():
                lines.append(line)
                opened.set()

    listener = threading.Thread(target=listen)
    listener.start()
    assert opened.wait(5)
    with kit.service.store.write() as session:
        enrolment = session.query(Enrolment).filter(Enrolment.user_id == kit.ids["tina"]).one()
        if how == "disabled":
            accounts.set_active(session, SHELL, session.get_one(User, kit.ids["tina"]), False, kit.service.now())
        elif how == "no staff":
            enrolment.role = Role.STUDENT
        else:
            session.delete(enrolment)
    started = time.monotonic()
    listener.join(6)
    assert not listener.is_alive()
    assert time.monotonic() - started < 5
    kit.grade()
    assert "event: done" not in lines


def test_a_student_does_not_become_staff_by_writing(kit: Kit) -> None:
    """Every write of staff is refused to a student and to staff of another course, whatever the fields say."""
    writes = (
        (f"{SHEET}/students/ada/override", {"score": "100", "reason": "x"}),
        (f"{SHEET}/students/ada/extension", {"extra_attempts": "9", "reason": "x"}),
        ("/courses/dl/roster", {"roster": "login,name,role\nada,Ada,admin\n"}),
        ("/courses/dl/deadlines", {"name": "numpy_autodiff"}),
        (f"/courses/dl/deadlines/{SUMS}", {"opens_at": "2020-01-01T00:00"}),
        ("/courses/dl/regrades", {"what": f"{SUMS}/every", "reason": "x"}),
    )
    for login, status in (("ada", 403), ("oscar", 404), ("olga", 404)):
        with kit.browser(login) as client:
            for path, fields in writes:
                assert send(kit, client, path, fields).status_code == status, (login, path)
    with kit.browser("teacher") as teacher:  # not above one's own role either
        told = send(
            kit, teacher, "/courses/dl/roster", {"roster": "login,name,role\nteacher,T,admin\nroot,R,student\n"}
        )
        assert told.status_code == 422
    with kit.service.store.read() as session:
        roles = {row.user_id: row.role for row in session.query(Enrolment)}
    assert (roles[kit.ids["ada"]], roles[kit.ids["root"]]) == (Role.STUDENT, Role.ADMIN)
