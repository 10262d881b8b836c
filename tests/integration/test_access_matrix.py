"""Every route, asked by everybody: who is let in, who is told that there is nothing, who that it is not theirs to do.

The table names each route of the application with the answers to: nobody, another student of the course, the student whose
work it is, a TA of another course, a TA, an instructor, an administrator; in this order, in one service that is new for each
route, so a second DELETE finds nothing to delete (409). A route that is not in the table fails the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from grader.service import publishing, regrading
from grader.service.access import SHELL, Scope
from grader.store.models import Published, Submission

from .service import SUMS, Kit, make_kit, program

WHO = (None, "bob", "ada", "oscar", "tina", "teacher", "root")
TEXT = {"reason": "for the test"}
LATER = "2090-01-01T00:00:00Z"
RULES = {"opens_at": "2020-01-01T00:00:00Z", "due_at": LATER}
ROSTER = b"login,name\nnew,New Person\n"
VALUES = {
    "course": "dl", "name": SUMS, "login": "ada", "id": "1", "submission_id": "1", "number": "1", "mistake": "swapped",
    "token": "unknown", "token_id": "1",
}  # fmt: skip

A = "/api/v1/courses/{course}"
B = A + "/assignments/{name}"
C = "/courses/{course}"
D = C + "/assignments/{name}"
TABLE: dict[str, str] = {}
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
    f"POST {C}/regrades": {"data": {"assignment": SUMS, **TEXT}},
    f"POST {C}/roster/preview": {"data": {"pasted": ROSTER.decode()}},
    f"POST {C}/roster": {"data": {"pasted": ROSTER.decode()}},
    f"POST {C}/deadlines/{{name}}": {"data": {"opens_at": "2020-01-01T00:00", "due_at": "2090-01-01T00:00"}},
    f"POST {C}/deadlines": {"data": {"name": "numpy_autodiff", "opens_at": "2020-01-01T00:00"}},
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
    """Ada's graded submission with a known mistake; an override, an extension or a regrade where the route is about one."""
    kit.hand_in("ada", program(fail=["subtract_works"], mistake="swapped"))
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
        number = list(kit.ids).index(login) + 1 if login else 1
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
    with client:
        return client.request(method, path.format(**VALUES), **sent).status_code


def asked(folder: Path, route: str) -> str:
    kit = make_kit(folder)
    try:
        prepare(kit, route)
        return " ".join(str(ask(kit, route, login)) for login in WHO)
    finally:
        kit.close()
