"""Every route, asked by everybody: who is let in, who is told that there is nothing, who that it is not theirs to do.

The table names each route of the application with the answers to: nobody, another student of the course, the student
whose work it is, a TA of another course, a TA, an instructor, an administrator; in this order. Each write has a service
of its own, in which they ask one after the other: the second finds that it was done already (409). A route that is not
in the table fails the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts

from grader.service import publishing, regrading
from grader.service.access import SHELL, Scope
from grader.store.models import Published, Submission

from .drawn import SUBTRACT, draw, picture, plain_figure
from .service import PEOPLE, SUMS, Kit, make_kit, program

WHO = (None, "bob", "ada", "oscar", "tina", "teacher", "root")
TEXT = {"reason": "for the test"}
LATER = "2090-01-01T00:00:00Z"
RULES = {"opens_at": "2020-01-01T00:00:00Z", "due_at": LATER}
FORM_RULES = {
    "opens_at": "2020-01-01T00:00", "due_at": "2090-01-01T00:00", "late_days": "0", "late_percent": "0",
    "attempt_limit": "", "counting": "best", "release": "at_once",
}  # fmt: skip
ROSTER = b"login,name\nnew,New Person\n"
VALUES = {
    "course": "dl", "name": SUMS, "login": "ada", "id": "1", "submission_id": "1", "number": "1", "mistake": "swapped",
    "token": "unknown", "token_id": "1", "check": "subtract_works", "figure": "loss",
}  # fmt: skip

A = "/api/v1/courses/{course}"
B = A + "/assignments/{name}"
C = "/courses/{course}"
D = C + "/assignments/{name}"
TABLE = {
    "GET /api/v1/openapi.json": "200 200 200 200 200 200 200",
    f"POST {B}/submissions": "401 202 202 404 202 202 202",
    f"GET {A}/submissions": "401 200 200 404 200 200 200",
    "GET /api/v1/submissions/{id}": "401 404 200 404 200 200 200",
    "GET /api/v1/submissions/{id}/report": "401 404 200 404 200 200 200",
    "GET /api/v1/submissions/{id}/reports": "401 404 403 404 200 200 200",
    "GET /api/v1/submissions/{id}/file": "401 404 200 404 200 200 200",
    "GET /api/v1/submissions/{id}/events": "401 404 200 404 200 200 200",
    "GET /api/v1/submissions/{id}/figures/{check}/{figure}.svg": "401 404 200 404 200 200 200",
    "GET /api/v1/submissions/{id}/pictures/{check}/{number}.png": "401 404 200 404 200 200 200",
    "POST /api/v1/submissions/{id}/regrade": "401 404 403 404 202 409 409",
    "GET /api/v1/me": "401 200 200 200 200 200 200",
    "GET /api/v1/courses": "401 200 200 200 200 200 200",
    f"GET {A}": "401 200 200 404 200 200 200",
    f"GET {A}/assignments": "401 200 200 404 200 200 200",
    f"GET {B}": "401 200 200 404 200 200 200",
    f"GET {B}/starter.py": "401 200 200 404 200 200 200",
    f"GET {B}/starter.ipynb": "401 200 200 404 200 200 200",
    f"POST {A}/assignments": "401 403 403 404 403 409 409",
    f"PUT {B}": "401 403 403 404 403 200 200",
    f"GET {A}/grades": "401 200 200 404 200 200 200",
    f"GET {A}/students/{{login}}/grades": "401 404 200 404 200 200 200",
    f"PUT {B}/students/{{login}}/override": "401 403 403 404 200 200 200",
    f"DELETE {B}/students/{{login}}/override": "401 403 403 404 200 409 409",
    f"PUT {B}/students/{{login}}/extension": "401 403 403 404 200 200 200",
    f"DELETE {B}/students/{{login}}/extension": "401 403 403 404 204 409 409",
    f"POST {B}/regrades": "401 403 403 404 202 409 409",
    f"GET {B}/regrades": "401 403 403 404 200 200 200",
    f"GET {B}/regrades/{{id}}": "401 403 403 404 200 200 200",
    f"GET {B}/regrades/{{id}}/changes": "401 403 403 404 200 200 200",
    f"POST {B}/regrades/{{id}}/publish": "401 403 403 404 200 409 409",
    f"POST {B}/regrades/{{id}}/cancel": "401 403 403 404 200 409 409",
    f"GET {B}/regrades/{{id}}/events": "401 403 403 404 200 200 200",
    f"GET {B}/statistics": "401 403 403 404 200 200 200",
    f"GET {B}/mistakes/{{mistake}}": "401 403 403 404 200 200 200",
    f"GET {A}/roster": "401 403 403 404 200 200 200",
    f"POST {A}/roster": "401 403 403 404 403 200 200",
    f"POST {A}/students/{{login}}/link": "401 403 403 404 403 201 201",
    f"GET {A}/audit": "401 403 403 404 200 200 200",
    "GET /api/v1/tokens": "401 200 200 200 200 200 200",
    "POST /api/v1/tokens": "401 201 201 201 201 201 201",
    "DELETE /api/v1/tokens/{id}": "401 204 204 204 204 204 204",
    "GET /health/live": "200 200 200 200 200 200 200",
    "GET /health/ready": "503 503 503 503 503 503 503",
    "GET /metrics": "401 200 200 200 200 200 200",
    "GET /sign-in": "200 200 200 200 200 200 200",
    "POST /sign-in": "401 401 401 401 401 401 401",
    "GET /sign-in/link/{token}": "404 404 404 404 404 404 404",
    "POST /sign-in/link/{token}": "404 404 404 404 404 404 404",
    "POST /sign-out": "303 303 303 303 303 303 303",
    "POST /language": "303 303 303 303 303 303 303",
    "GET /account": "303 200 200 200 200 200 200",
    "POST /account/password": "401 422 422 422 422 422 422",
    "POST /account/tokens": "401 200 200 200 200 200 200",
    "POST /account/tokens/{token_id}/revoke": "401 404 404 404 404 404 303",
    "GET /": "303 303 303 303 303 303 303",
    "GET /courses": "303 200 200 200 200 200 200",
    f"GET {C}": "303 200 200 404 200 200 200",
    f"GET {D}": "303 200 200 404 200 200 200",
    f"POST {D}": "401 303 303 404 303 303 303",
    f"POST {D}/look": "401 200 200 404 200 200 200",
    f"GET {D}/starter.py": "303 200 200 404 200 200 200",
    f"GET {D}/starter.ipynb": "303 200 200 404 200 200 200",
    "GET /submissions/{submission_id}": "303 404 200 404 200 200 200",
    "GET /submissions/{submission_id}/events": "303 404 200 404 200 200 200",
    "GET /submissions/{submission_id}/file": "303 404 200 404 200 200 200",
    "GET /submissions/{submission_id}/changes": "303 404 200 404 200 200 200",
    "GET /submissions/{submission_id}/figures/{check}/{figure}.svg": "303 404 200 404 200 200 200",
    "GET /submissions/{submission_id}/pictures/{check}/{number}.png": "303 404 200 404 200 200 200",
    f"GET {C}/gradebook": "303 403 403 404 200 200 200",
    f"GET {C}/gradebook.csv": "303 403 403 404 200 200 200",
    f"GET {C}/students/{{login}}": "303 403 403 404 200 200 200",
    f"POST {D}/students/{{login}}/override": "401 403 403 404 303 303 303",
    f"POST {D}/students/{{login}}/override/remove": "401 403 403 404 303 409 409",
    f"POST {D}/students/{{login}}/extension": "401 403 403 404 303 303 303",
    f"POST {D}/students/{{login}}/extension/remove": "401 403 403 404 303 409 409",
    f"GET {D}/statistics": "303 403 403 404 200 200 200",
    f"GET {D}/mistakes/{{mistake}}": "303 403 403 404 200 200 200",
    f"GET {C}/regrades": "303 403 403 404 200 200 200",
    f"POST {C}/regrades": "401 403 403 404 303 422 422",
    f"GET {C}/regrades/{{number}}": "303 403 403 404 200 200 200",
    f"POST {C}/regrades/{{number}}/publish": "401 403 403 404 303 409 409",
    f"POST {C}/regrades/{{number}}/cancel": "401 403 403 404 303 409 409",
    f"GET {C}/regrades/{{number}}/events": "303 403 403 404 200 200 200",
    f"GET {C}/roster": "303 403 403 404 200 200 200",
    f"POST {C}/roster/preview": "401 403 403 404 403 200 200",
    f"POST {C}/roster": "401 403 403 404 403 200 303",
    f"GET {C}/deadlines": "303 403 403 404 200 200 200",
    f"POST {C}/deadlines/{{name}}": "401 403 403 404 403 303 303",
    f"POST {C}/deadlines": "401 403 403 404 403 409 409",
    f"GET {C}/audit": "303 403 403 404 200 200 200",
    "GET /system": "303 403 403 403 403 200 200",
}
# What a write sends: JSON for REST, fields of a form for pages.
SENT: dict[str, dict[str, Any]] = {
    f"POST {B}/submissions": {"files": {"file": ("a.py", b"y = 2\n")}},
    f"POST {A}/assignments": {"json": {"name": "numpy_autodiff", **RULES}},
    f"PUT {B}": {"json": RULES},
    f"PUT {B}/students/{{login}}/override": {"json": {"score": 50.0, **TEXT}},
    f"DELETE {B}/students/{{login}}/override": {"params": TEXT},
    f"PUT {B}/students/{{login}}/extension": {"json": {"extra_attempts": 1, **TEXT}},
    f"DELETE {B}/students/{{login}}/extension": {"params": TEXT},
    f"POST {B}/regrades": {"json": TEXT},
    f"POST {A}/roster": {"content": ROSTER, "headers": {"Content-Type": "text/csv"}},
    "POST /api/v1/tokens": {"json": {"name": "t", "scopes": ["submit"]}},
    "POST /sign-in": {"data": {"login": "ada", "password": "wrong"}},
    "POST /language": {"data": {"lang": "zh", "next": "/courses"}},
    "POST /account/password": {"data": {"password": "short"}},
    "POST /account/tokens": {"data": {"name": "t", "scopes": "submit", "days": "30"}},
    f"POST {D}": {"data": {"pasted": "y = 2\n"}},
    f"POST {D}/look": {"data": {"pasted": "y = 2\n"}},
    f"POST {D}/students/{{login}}/override": {"data": {"score": "50", **TEXT}},
    f"POST {D}/students/{{login}}/override/remove": {"data": TEXT},
    f"POST {D}/students/{{login}}/extension": {"data": {"due_at": "", "extra_attempts": "1", **TEXT}},
    f"POST {D}/students/{{login}}/extension/remove": {"data": TEXT},
    f"POST {C}/regrades": {"data": {"what": f"{SUMS}/counting", **TEXT}},
    f"POST {C}/roster/preview": {"data": {"pasted": ROSTER.decode()}},
    f"POST {C}/roster": {"data": {"roster": ROSTER.decode()}},
    f"POST {C}/deadlines/{{name}}": {"data": FORM_RULES},
    f"POST {C}/deadlines": {"data": {"name": "numpy_autodiff", **FORM_RULES}},
}


def routes(kit: Kit) -> list[str]:
    """Every route as "METHOD /path", those of files under /static aside."""
    found = []
    for route in iter_route_contexts(kit.app.routes):
        path, methods = getattr(route, "path", None), getattr(route, "methods", None)
        if path != "/static":
            found += [f"{method} {path}" for method in sorted((methods or set()) - {"HEAD"})]
    return found


def prepare(kit: Kit, route: str) -> None:
    """Ada's graded submission with a known mistake, a figure and a picture; an override and an extension of hers; a
    regrade that is ready."""
    draw(kit, {SUBTRACT: [plain_figure()]}, {SUBTRACT: [picture()]})
    kit.hand_in("ada", program(fail=[SUBTRACT], mistake="swapped"))
    kit.grade()
    with kit.service.store.write() as session:
        published = session.get_one(Submission, 1).published
        assert isinstance(published, Published)
        now = kit.service.now()
        publishing.override(session, SHELL, published, "ada", 60, "a test", now, max_score=100)
        publishing.extend(session, SHELL, published, "ada", due_at=None, extra_attempts=1, reason="a test", now=now)
        if "regrades/{" in route:
            regrading.begin(
                session, kit.service.queue, SHELL, published, kit.service.catalogue.get(SUMS), every_attempt=False,
                reason="a test", now=now,
            )  # fmt: skip
    kit.grade()


def ask(kit: Kit, route: str, login: str | None) -> int:
    method, _, path = route.partition(" ")
    if path.endswith("/tokens/{id}"):  # one's own
        number = list(PEOPLE).index(login) + 1 if login else 1
        path = path.replace("{id}", str(number))
    sent = dict(SENT.get(route, {}))
    rest = path.startswith(("/api", "/health", "/metrics"))
    if rest:
        client = kit.client(login)
    else:
        client = kit.browser(login)
        if method == "POST":
            if login is None:
                client.get("/sign-in")  # sets the cookie that a stranger's form needs
            sent["data"] = {"csrf": kit.csrf(client), **sent.get("data", {})}
    return client.request(method, path.format(**VALUES), **sent).status_code


@pytest.fixture(scope="module")
def reading(shared_kit: Kit) -> Kit:
    """One service for all routes that change nothing."""
    prepare(shared_kit, "regrades/{")
    return shared_kit


@pytest.mark.parametrize("route", TABLE)
@pytest.mark.usefixtures("database")
def test_who_gets_what(route: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if route.startswith("GET"):
        kit: Kit = request.getfixturevalue("reading")
        assert " ".join(str(ask(kit, route, login)) for login in WHO) == TABLE[route]
        return
    kit = make_kit(tmp_path)
    try:
        prepare(kit, route)
        assert " ".join(str(ask(kit, route, login)) for login in WHO) == TABLE[route]
    finally:
        kit.close()


def test_every_route_is_in_the_table(shared_kit: Kit) -> None:
    assert sorted(routes(shared_kit)) == sorted(TABLE)


@pytest.mark.parametrize("route", [route for route in TABLE if "/api/v1/" in route and "openapi" not in route])
def test_no_token_of_another_kind_is_taken(reading: Kit, route: str) -> None:
    """A session of the browser, a token that is unknown, and one for metrics alone open nothing of REST."""
    method, _, path = route.partition(" ")
    address, sent = path.format(**VALUES), SENT.get(route, {})
    with reading.browser("root") as browser:
        assert browser.request(method, address, **sent).status_code == 401
    with reading.client(headers={"Authorization": "Bearer grader_unknown"}) as unknown:
        assert unknown.request(method, address, **sent).status_code == 401
    if path != "/api/v1/me":
        with reading.client("root", scopes=[Scope.METRICS]) as metrics:
            assert metrics.request(method, address, **sent).status_code == 403
