"""Parameters that no form sends: numbers, dates, texts and cursors on every route. None of them is a fault of ours."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.routing import iter_route_contexts

from grader.errors import Invalid
from grader.service import roster
from grader.service.publishing import Rules
from grader.store.models import Course, Enrolment, Grade, Published, User
from grader.web import filter_box
from tests.integration.service import NUMPY, SUMS, Kit

from .visits import API_SHEET, SHEET, rename, send

HUGE = "9" * 25
ODD = (
    HUGE,
    "-" + HUGE,
    str(2**63),
    "0",
    "1.5",
    "NaN",
    "1_0",
    "１",
    "a%00b",
    "%ff%fe",
    "%",
    "%0d%0aX:%201",
    "..",
    "%2e%2e%2fetc%2fpasswd",
    "' OR '1'='1",
    "%25",
    "\\",
    "{{7*7}}",
    "null",
    "x" * 3000,
    quote("陈晨"),
    "%f0%9f%98%80",
    "ADA",
    " ",
)
QUERIES = (
    "page",
    "q",
    "sort",
    "assignment",
    "action",
    "person",
    "before",
    "against",
    "saved",
    "first",
    "after",
    "lang",
    "limit",
    "cursor",
    "student",
    "section",
    "status",
    "overridden",
    "late",
    "min_score",
    "max_score",
    "since",
    "until",
    "format",
    "state",
    "preview",
)
GOOD = {
    "course": "dl",
    "name": SUMS,
    "login": "ada",
    "id": "1",
    "submission_id": "1",
    "number": "1",
    "mistake": "swapped",
    "token": "t",
    "token_id": "1",
    "check": "add_works",
    "figure": "loss",
}


def routes(kit: Kit, method: str) -> list[str]:
    found = []
    for route in iter_route_contexts(kit.app.routes):
        path, methods = str(getattr(route, "path", "")), getattr(route, "methods", None) or ()
        if method in methods and path not in ("/static", "/health/ready"):
            found.append(path)
    return found


def names_in(path: str) -> list[str]:
    return [piece.partition("}")[0] for piece in path.split("{")[1:]]


@pytest.fixture(scope="module")
def busy(shared_kit: Kit) -> Kit:
    shared_kit.hand_in("ada", b"x = 1\n")
    shared_kit.grade()
    return shared_kit


@pytest.mark.parametrize("login", ["root", "ada"])
@pytest.mark.parametrize("odd", ODD)
def test_no_address_with_odd_parts_is_a_fault(busy: Kit, login: str, odd: str) -> None:
    """Each part of each address may be anything: the answer is a page, a redirect or a refusal, never a 500."""
    with busy.browser(login) as browser, busy.client(login) as api:
        for path in routes(busy, "GET"):
            client = api if path.startswith(("/api", "/metrics")) else browser
            for name in names_in(path):
                if "/events" in path and odd == "1":
                    continue
                answer = client.get(path.format(**{**GOOD, name: odd}))
                assert answer.status_code < 500, (path, name)


@pytest.mark.parametrize("odd", ODD)
def test_no_query_with_odd_values_is_a_fault(busy: Kit, odd: str) -> None:
    """Every parameter that any route knows, on the routes with queries, with values of every kind; also twice."""
    paths = (
        "/sign-in",
        "/account",
        "/courses/dl/gradebook",
        "/courses/dl/gradebook.csv",
        "/courses/dl/roster",
        "/courses/dl/regrades",
        "/courses/dl/deadlines",
        "/courses/dl/audit",
        "/submissions/1/changes",
        "/api/v1/courses/dl/grades",
        "/api/v1/courses/dl/submissions",
        "/api/v1/courses/dl/audit",
        "/api/v1/submissions/1/report",
    )
    with busy.browser("root") as browser, busy.client("root") as api:
        for path in paths:
            client = api if path.startswith("/api") else browser
            for name in QUERIES:
                answer = client.get(f"{path}?{name}={odd}&{name}={odd}")
                assert answer.status_code < 500, (path, name)


NUMBERS = (
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e400",
    "-1e400",
    "1e-400",
    "-1",
    "-0.0",
    "0x10",
    "1_0",
    "1,5",
    "９",
    "9" * 5000,
    "",
    " ",
    "\0",
    "200.01",
)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_are_none_reach_no_grade(kit: Kit, number: str) -> None:
    """NaN, infinities, negative and endless numbers in every field of every form: refused, and grades stay numbers."""
    terms = {"opens_at": "2020-01-01T00:00", "due_at": "2090-01-01T00:00", "counting": "best", "release": "at_once"}
    with kit.browser("teacher") as teacher:
        answers = [
            send(kit, teacher, f"{SHEET}/students/ada/override", {"score": number, "reason": "x"}),
            send(kit, teacher, f"{SHEET}/students/ada/extension", {"extra_attempts": number, "reason": "x"}),
            *(
                send(kit, teacher, f"/courses/dl/deadlines/{SUMS}", {**terms, field: number})
                for field in ("late_days", "late_percent", "attempt_limit", "opens_at", "due_at")
            ),
        ]
        pages = [
            teacher.get(path).status_code
            for path in ("/courses/dl/gradebook", f"{SHEET}/statistics", "/courses/dl/deadlines")
        ]
    assert all(answer.status_code in (303, 422) for answer in answers)
    assert pages == [200] * 3
    with kit.service.store.read() as session:
        for score in session.query(Grade.score).filter(Grade.score.is_not(None)):
            assert score[0] is not None
            assert 0 <= score[0] <= 200
        for row in session.query(Published):
            assert 0 <= row.late_percent <= 100
            assert 0 <= row.late_days <= 365


BODIES = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1",
    "true",
    '"50"',
    "null",
    "[]",
    "{}",
    "9" * 5000,
    "1e-400",
    "0." + "0" * 5000 + "1",
)


@pytest.mark.parametrize("number", BODIES)
def test_json_numbers_that_are_none_are_refused(shared_kit: Kit, number: str) -> None:
    """The API is as strict, also about what Python's JSON lets through."""
    fields: tuple[tuple[str, str, str], ...] = (
        ("PUT", f"{API_SHEET}/students/bob/override", '{"reason": "x", "score": %s}'),
        ("PUT", f"{API_SHEET}/students/bob/extension", '{"reason": "x", "extra_attempts": %s}'),
        ("PUT", f"/api/v1/courses/dl/assignments/{NUMPY}", '{"opens_at": "2020-01-01T00:00:00Z", "late_percent": %s}'),
        ("PUT", f"/api/v1/courses/dl/assignments/{NUMPY}", '{"opens_at": %s}'),
        ("POST", "/api/v1/tokens", '{"name": "t", "scopes": ["submit"], "days": %s}'),
    )
    with shared_kit.client("root") as api:
        for method, path, body in fields:
            answer = api.request(method, path, content=body % number, headers={"Content-Type": "application/json"})
            assert answer.status_code < 500, (path, number)
            if (
                method == "PUT"
                and "e-400" not in number
                and not number.startswith("0.")
                and number not in ("null", '"50"')
            ):
                assert answer.status_code in (400, 422), (path, number)
        assert api.get("/api/v1/courses/dl/grades").status_code == 200


def test_json_that_is_too_deep_or_too_large_is_refused(shared_kit: Kit) -> None:
    """A body is parsed in bounded depth and size."""
    with shared_kit.client("root") as api:
        for body in (
            b"[" * 1_000_000,
            b'{"a":' * 100_000,
            b'"' + b"x" * 9_000_000 + b'"',
            b"\xff\xfe",
            b'{"name": "\\ud800"}',
            b'{"name": "\\u0000"}',
        ):
            answer = api.post("/api/v1/tokens", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 413, 422)


DATES = (
    "0001-01-01T00:00",
    "0001-01-01T23:59+23:59",
    "1969-12-31T23:59",
    "9999-12-31T23:59",
    "9999-12-31T23:59-23:59",
    "3000-01-01T00:00",
    "2026-02-30T00:00",
    "2026-13-01T00:00",
    "2026-01-01T24:30",
    "2026-01-01",
    "now",
    "0",
    "-1",
    "2026-W01-1",
    "20260101T000000",
    "2026-01-01T00:00:00.999999999",
    "２０２６-01-01T00:00",
    "x" * 100_000,
    "\0",
    "2026-01-01T00:00[Asia/Shanghai]",
)


@pytest.mark.parametrize("date", DATES)
def test_no_date_breaks_a_course(kit: Kit, date: str) -> None:
    """A deadline at the edge of the calendar is refused: days are added to it and time zones move it on every page."""
    terms = {"opens_at": "2020-01-01T00:00", "late_days": "365", "counting": "best", "release": "at_once"}
    rules = {"opens_at": "2020-01-01T00:00:00Z", "late_days": 365}
    iso = date.replace(":59-", ":59:00-").replace(":59+", ":59:00+") + (
        ":00Z" if date.endswith(("00:00", "23:59")) else ""
    )
    with kit.browser("teacher") as teacher, kit.client("teacher") as api, kit.browser("ada") as ada:
        answers = [
            send(kit, teacher, f"/courses/dl/deadlines/{SUMS}", {**terms, "due_at": date}),
            send(
                kit, teacher, f"/courses/dl/deadlines/{SUMS}", {**terms, "due_at": "2090-01-01T00:00", "opens_at": date}
            ),
            send(kit, teacher, f"{SHEET}/students/ada/extension", {"due_at": date, "reason": "x"}),
            api.put(API_SHEET, json={**rules, "due_at": iso}),
            api.put(f"{API_SHEET}/students/ada/extension", json={"due_at": iso, "reason": "x"}),
        ]
        assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
        pages = [
            teacher.get(path).status_code
            for path in ("/courses/dl/deadlines", "/courses/dl/audit", "/courses/dl/students/ada")
        ]
        pages += [ada.get(path).status_code for path in ("/courses", "/courses/dl", SHEET)]
    assert [status for status in pages if status not in (200, 404)] == []


def test_an_hour_that_does_not_exist_is_an_hour_all_the_same(kit: Kit) -> None:
    """In the gap of daylight saving, and twice in autumn, a time typed is one moment, shown again on every page."""
    with kit.service.store.write() as session:
        session.query(Course).filter(Course.name == "dl").one().timezone = "America/New_York"
    terms = {"opens_at": "2020-01-01T00:00", "counting": "best", "release": "at_once"}
    with kit.browser("teacher") as teacher:
        for due in ("2027-03-14T02:30", "2027-11-07T01:30", "2027-11-07T01:30"):
            assert send(kit, teacher, f"/courses/dl/deadlines/{SUMS}", {**terms, "due_at": due}).status_code == 303
            assert teacher.get("/courses/dl/deadlines").status_code == 200
    with kit.service.store.read() as session:
        found = session.query(Published).filter(Published.name == SUMS, Published.course_id == 1).one().due_at
    assert found == datetime(2027, 11, 7, 5, 30, tzinfo=UTC)


# The database -------------------------------------------------------------------------------------------------------

SQL = (
    "'",
    '"',
    "' OR 1=1 --",
    "'; DELETE FROM users; --",
    "\\' OR 1=1",
    "ada' UNION SELECT login FROM users --",
    "1) OR (1=1",
    ":x",
    "?",
)


@pytest.mark.parametrize("text", SQL)
def test_text_is_never_a_part_of_a_query(shared_kit: Kit, text: str) -> None:
    """In filters, sort words, logins and cursors: nothing is found by it, nothing is lost by it."""
    quoted = quote(text, safe="")
    with shared_kit.browser("tina") as tina, shared_kit.client("tina") as api:
        found = tina.get("/courses/dl/gradebook", params={"q": '"' + text.replace('"', "") + 'x"'})
        assert found.status_code == 200
        assert "/students/" not in found.text
        assert tina.get(f"/courses/dl/gradebook?sort={quoted}").status_code == 422
        assert tina.get(f"/courses/dl/students/{quoted}").status_code == 404
        for name in ("student", "q", "section", "assignment"):
            assert api.get(f"/api/v1/courses/dl/grades?{name}={quoted}").json()["items"] == []
        assert api.get(f"/api/v1/courses/dl/grades?sort={quoted}").status_code == 422
        assert api.get(f"/api/v1/courses/dl/audit?person={quoted}&action={quoted}").json()["items"] == []
    with shared_kit.service.store.read() as session:
        assert session.query(User).count() == 10


def test_wildcards_of_like_are_letters(kit: Kit) -> None:
    """% and _ in the filter box and in q mean themselves."""
    rename(kit, "bob", "100%_Bob\\x")
    with kit.client("tina") as api, kit.browser("tina") as tina:
        for text, wanted in (
            ("%", {"bob"}),
            ("_", {"bob"}),
            ("\\", {"bob"}),
            ("%_b", {"bob"}),
            ("a%l", set()),
            ("a_a", set()),
        ):
            rows = api.get("/api/v1/courses/dl/grades", params={"q": text}).json()["items"]
            assert {row["login"] for row in rows} == wanted, text
            page = tina.get("/courses/dl/gradebook", params={"q": text}).text
            assert ("/students/bob" in page) == bool(wanted)
            assert "/students/ada" not in page
        assert api.get("/api/v1/courses/dl/audit", params={"action": "%"}).json()["items"] == []


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize("sort", ["name", "-score", "updated", "section"])
def test_a_cursor_is_checked_like_any_input(shared_kit: Kit, sort: str) -> None:
    """It is readable, so it can be rewritten: wrong types, ends of the calendar, halves of characters are 422."""
    word = sort.removeprefix("-")
    values: tuple[Any, ...] = (
        "\ud800",
        10**400,
        -(10**400),
        True,
        None,
        [],
        {},
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2026-01-01",
        1e308,
    )
    cursors = [encoded([word, value, 1]) for value in values]
    cursors += [
        encoded(["name" if word != "name" else "score", "x", 1]),
        encoded([word, "x", 2**63]),
        encoded([word, "x", True]),
    ]
    cursors += [encoded([word]), encoded({}), encoded("x"), "AAAA", "=", "x" * 1999]
    cursors += [base64.urlsafe_b64encode(b"[" * 1400).decode().rstrip("=")]
    with shared_kit.client("tina") as api:
        for cursor in cursors:
            assert api.get("/api/v1/courses/dl/grades", params={"sort": sort, "cursor": cursor}).status_code in (
                200,
                422,
            )


def test_a_cursor_of_a_list_holds_a_number_that_the_database_takes(shared_kit: Kit) -> None:
    """Also one with zeros before it."""
    cursor = base64.urlsafe_b64encode(b"id:" + b"0" * 19 + b"9" * 1400).decode().rstrip("=")
    with shared_kit.client("tina") as api:
        for path in ("submissions", "audit"):
            assert api.get(f"/api/v1/courses/dl/{path}", params={"cursor": cursor}).status_code == 422


# Text that is expensive ---------------------------------------------------------------------------------------------

EXPENSIVE = (
    '"' * 99_999,
    '"a' * 50_000,
    "a:" * 50_000,
    "section:" * 12_500,
    "score<" * 16_000,
    " " * 100_000,
    "a" * 100_000,
    '"" ' * 33_000,
    "<" * 100_000,
)


@pytest.mark.parametrize("text", EXPENSIVE, ids=range(len(EXPENSIVE)))
def test_the_filter_box_takes_no_time_for_any_text(shared_kit: Kit, text: str) -> None:
    """Its expressions are never run on more than a line, and do not backtrack on that."""
    started = time.monotonic()
    with pytest.raises(filter_box.FilterNotUnderstood):
        filter_box.parse(text, ["sums"])
    with contextlib.suppress(filter_box.FilterNotUnderstood):
        filter_box.parse(text[: filter_box.LONGEST], ["sums"])
    with shared_kit.browser("tina") as tina:
        assert tina.get("/courses/dl/gradebook", params={"q": text[:20_000]}).status_code == 422
    assert time.monotonic() - started < 10


ROSTERS: dict[str, bytes] = {
    "a million wrong lines": b"login,name\n" + b"!\n" * 1_000_000,
    "wrong and long": b"login,name\n" + (b"!" * 100_000 + b",x\n") * 20,
    "long cells": b"login,name\n" + b"x" * 2_000_000,
    "many columns": b"login,name" + b",x" * 900_000,
    "open quote": b'login,name\n"' + b"a\n" * 900_000,
    "empty lines": b"login,name\n" + b"\n" * 1_900_000,
    "no lines": b"," * 1_900_000,
    "nul": b"login,name\na\0b,c\n",
    "utf-16": "login,name\nada,Ada\n".encode("utf-16"),
    "people": b"login,name\n" + b"".join(b"u%d,U\n" % n for n in range(100_000)),
}


@pytest.mark.parametrize("kind", ROSTERS)
def test_a_roster_bomb_is_answered_soon_and_shortly(kit: Kit, kind: str) -> None:
    """A file of another kind gives the first hundred complaints, not a page of a hundred megabytes."""
    data = ROSTERS[kind][: 2 << 20]
    started = time.monotonic()
    with kit.browser("teacher") as teacher, kit.client("teacher") as api:
        page = send(kit, teacher, "/courses/dl/roster/preview", files={"file": ("a.csv", data)})
        answer = api.post("/api/v1/courses/dl/roster?preview=true", content=data, headers={"Content-Type": "text/csv"})
        applied = send(kit, teacher, "/courses/dl/roster", {"roster": data.decode("latin-1")})
    assert page.status_code == applied.status_code == 422
    assert answer.status_code == 200
    assert answer.json()["errors"]
    assert len(page.content) < 6 << 20  # the file itself comes back in its box
    assert len(answer.content) < 1 << 20
    assert time.monotonic() - started < 8
    with kit.service.store.read() as session:
        assert session.query(Enrolment).count() == 10


def test_the_first_errors_of_a_roster_are_said_and_the_rest_is_not() -> None:
    """A hundred lines are more than anybody mends at once."""
    found = roster.read(b"login,name\n" + b"!,x\n" * 5000)
    assert len(found.errors) == roster.MOST_ERRORS
    assert found.errors[0].line == 2


def test_long_texts_are_cut_or_refused_everywhere(kit: Kit) -> None:
    """Megabytes as a reason, a login, a password, a token's name: 4xx or cut, and no page grows by them."""
    long = "x" * 4_000_000
    with kit.browser("teacher") as teacher:
        answers = [
            send(kit, teacher, f"{SHEET}/students/ada/override", {"score": "50", "reason": long}),
            send(kit, teacher, f"{SHEET}/students/bob/override", {"score": "9" * 4_000_000, "reason": "x"}),
            send(kit, teacher, "/courses/dl/regrades", {"what": long, "reason": long}),
            send(kit, teacher, "/account/tokens", {"name": long, "scopes": "submit", "days": "1"}),
            send(kit, teacher, "/account/password", {"current": long, "password": long}),
            send(kit, teacher, f"/courses/dl/deadlines/{SUMS}", {"opens_at": long, "release": long}),
            send(kit, teacher, "/courses/dl/deadlines", {"name": long}),
            send(kit, teacher, "/language", {"lang": long, "next": "/" + long}),
        ]
        log = teacher.get("/courses/dl/audit")
    assert all(answer.status_code in (200, 303, 422) for answer in answers)
    assert len(log.content) < 100_000
    with kit.browser() as stranger:
        stranger.get("/sign-in")
        assert (
            send(kit, stranger, "/sign-in", dict.fromkeys(("login", "password", "next"), long[:3_000_000])).status_code
            == 401
        )


def test_accept_headers_without_measure_cost_nothing(shared_kit: Kit) -> None:
    """Accept, Accept-Language, Prefer, Cookie and Range with thousands of entries, NaN and rubbish."""
    rubbish = (
        "en;q=nan,zh;q=inf," * 2000,
        "," * 30_000,
        ";q=" * 9000,
        "*/*;q=1e999",
        "\x80\xff",
        "wait=99999999999999999999",
    )
    started = time.monotonic()
    with shared_kit.client("ada") as api:
        for text in rubbish:
            for name in ("Accept", "Accept-Language", "Prefer", "Range", "If-None-Match", "Cookie", "Idempotency-Key"):
                header = {name.encode(): text.encode("latin-1")}
                for path in ("/sign-in", "/api/v1/courses/dl/grades", "/static/grader.css"):
                    assert api.get(path, headers=header).status_code < 500, (name, text[:30], path)
    assert time.monotonic() - started < 5


def test_moments_of_the_service_are_in_the_calendar() -> None:
    """What the forms refuse the service refuses too, whoever asks it."""
    now = datetime.now(UTC)
    Rules(opens_at=now, due_at=now + timedelta(days=1)).check()
    for at in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(Invalid):
            Rules(opens_at=at, due_at=None).check()
