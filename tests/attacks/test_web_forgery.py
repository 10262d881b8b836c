"""Requests that another site starts in somebody's browser, and addresses that lead somewhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers

from grader.service import accounts
from grader.store.models import AuditEvent, Submission, User
from grader.web import guards, security
from tests.integration.service import PASSWORD, SUMS, Kit, make_kit

from .visits import SHEET, get, send, status_of

VALUES = {
    "course": "dl",
    "name": SUMS,
    "login": "ada",
    "submission_id": "1",
    "number": "1",
    "token": "x",
    "token_id": "1",
}


def writes(kit: Kit) -> list[str]:
    """Every address of a page that takes a POST."""
    found = []
    for route in iter_route_contexts(kit.app.routes):
        path, methods = str(getattr(route, "path", "")), getattr(route, "methods", None) or ()
        if "POST" in methods and not path.startswith("/api"):
            found.append(path.format(**VALUES))
    assert len(found) > 18
    return found


def state(kit: Kit) -> tuple[int, ...]:
    with kit.service.store.read() as session:
        return tuple(session.query(table).count() for table in (Submission, AuditEvent, User))


FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Origin": "https://evil.example"},
    "no origin of its own": {"Origin": "null"},
    "a port of the same host": {"Origin": "http://127.0.0.1:1"},
    "the same host over TLS": {"Origin": "https://127.0.0.1"},
    "an origin that is none": {"Origin": "http://["},
    "said by the browser": {"Sec-Fetch-Site": "cross-site"},
    "a sister site": {"Sec-Fetch-Site": "same-site"},
    "both disagree": {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_form_from_elsewhere_is_refused_even_with_the_right_token(shared_kit: Kit, kind: str) -> None:
    """Every page that takes a POST looks at where the request began; the token alone is not enough."""
    before = state(shared_kit)
    with shared_kit.browser("teacher") as teacher:
        for path in writes(shared_kit):
            answer = send(shared_kit, teacher, path, {"lang": "zh"}, headers=FOREIGN[kind])
            assert answer.status_code == 403, path
    assert state(shared_kit) == before


@pytest.mark.parametrize("token", [None, "", "x" * 64, "0" * 64, "of bob", "of a stranger", "half", "é" * 64, "\0"])
def test_a_form_without_its_own_token_is_refused(shared_kit: Kit, token: str | None) -> None:
    """No token, a made-up one, that of another person or of an earlier session open no form."""
    before = state(shared_kit)
    with shared_kit.browser("teacher") as teacher, shared_kit.browser("bob") as bob, shared_kit.browser() as stranger:
        stranger.get("/sign-in")
        told = {
            "of bob": shared_kit.csrf(bob),
            "of a stranger": shared_kit.csrf(stranger),
            "half": shared_kit.csrf(teacher)[:32],
        }.get(token or "", token)
        for path in writes(shared_kit):
            fields = {} if told is None else {"csrf": told}
            for sent in ({"data": fields}, {"params": fields}, {"data": {}, "params": fields}):
                assert teacher.post(path, **sent).status_code == 403, path  # type: ignore[arg-type]
    assert state(shared_kit) == before


def test_a_token_sent_twice_or_as_a_file_is_no_token(shared_kit: Kit) -> None:
    """The token is one text field."""
    with shared_kit.browser("teacher") as teacher:
        own = shared_kit.csrf(teacher)
        assert teacher.post("/language", files={"csrf": ("a", own.encode())}).status_code == 403
        assert teacher.post("/language", data={"csrf": [own, "x"]}).status_code == 403


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/plain; charset=utf-8", "", "application/xml"])
def test_bodies_that_need_no_permission_of_the_browser_change_nothing(shared_kit: Kit, kind: str) -> None:
    """A page of another site may send text/plain without asking: neither forms nor the API take JSON in it."""
    before = state(shared_kit)
    body = b'{"csrf": "x", "reason": "x", "name": "t", "scopes": ["submit"]}'
    with shared_kit.browser("teacher") as teacher, shared_kit.client("teacher") as api:
        for path in writes(shared_kit):
            assert teacher.post(path, content=body, headers={"Content-Type": kind}).status_code == 403, path
        if kind != "application/json":
            assert api.post("/api/v1/tokens", content=body, headers={"Content-Type": kind}).status_code == 415
    assert state(shared_kit) == before


def test_the_cookie_of_a_browser_opens_no_api_and_a_token_no_page(shared_kit: Kit) -> None:
    """The API needs a header that no other site can make a browser send; pages take the cookie only."""
    with shared_kit.browser("teacher") as teacher, shared_kit.client("teacher") as api:
        assert teacher.get("/api/v1/me").status_code == 401
        assert teacher.put(f"/api/v1{SHEET}", json={}).status_code == 401
        assert api.get("/courses").headers["location"].startswith("/sign-in")
        for path in writes(shared_kit):
            assert api.post(path).status_code in (401, 403)


def test_no_page_changes_anything_when_it_is_read(kit: Kit) -> None:
    """GET on every page, also on those that take a POST, leaves the database as it was."""
    kit.hand_in("ada")
    kit.grade()
    before = state(kit)
    with kit.browser("teacher") as teacher:
        for route in iter_route_contexts(kit.app.routes):
            path = str(getattr(route, "path", ""))
            if path.startswith("/") and not re.search("static|events|health", path):
                assert teacher.get(re.sub(r"\{(\w+)\}", lambda m: VALUES.get(m[1], "1"), path)).status_code < 500
    assert state(kit) == before


def test_nobody_is_signed_in_as_somebody_else_by_another_site(kit: Kit) -> None:
    """Login CSRF: a site cannot send its own password or link through somebody's browser."""
    with kit.service.store.write() as session:
        link = accounts.make_link(session, session.get_one(User, kit.ids["bob"]), kit.service.now())
    own = {"login": "bob", "password": PASSWORD}
    with kit.browser() as victim, kit.browser() as attacker:
        victim.get("/sign-in")
        attacker.get("/sign-in")
        token = kit.csrf(attacker)
        for path, fields in (("/sign-in", own), (f"/sign-in/link/{link}", {})):
            assert victim.post(path, data={**fields, "csrf": token}).status_code == 403
            assert send(kit, victim, path, fields, headers={"Origin": "https://evil.example"}).status_code == 403
        assert security.SESSION_COOKIE not in victim.cookies


@pytest.mark.usefixtures("database")
def test_the_cookies_are_for_nobody_else(tmp_path: Path) -> None:
    """HttpOnly and SameSite always; Secure, and a promise to stay with TLS, when served over TLS."""
    kit = make_kit(tmp_path, public_url="https://grader.example", hosts=frozenset({"127.0.0.1", "grader.example"}))
    try:
        with kit.browser() as client:
            page = client.get("/sign-in")
            form = {"login": "ada", "password": PASSWORD, "csrf": _csrf(kit, page)}
            holder = page.headers["set-cookie"].partition(";")[0]
            headers = {"Cookie": holder, "Origin": "https://grader.example"}
            done = client.post("/sign-in", data=form, headers=headers)
        assert done.status_code == 303
        for cookie in (page.headers["set-cookie"], *done.headers.get_list("set-cookie")[:1]):
            assert {"HttpOnly", "Secure"} <= set(cookie.split("; "))
            assert "samesite=lax" in cookie.lower()
            assert "domain" not in cookie.lower()
        assert "max-age" in page.headers["strict-transport-security"]
    finally:
        kit.close()


def _csrf(kit: Kit, page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page.text)
    assert found is not None
    return found[1]


# Where answers lead -------------------------------------------------------------------------------------------------

ELSEWHERE = (
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "http://evil.example",
    "https:evil.example",
    "http:/evil",
    "///evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    " //evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nX-Evil: 1",
    "/\r\nSet-Cookie: a=b",
    "//[",
    "//[::1]",
    "http://[",
    "/\u2028/evil.example",
    "evil.example",
    "?x",
    "",
    "@evil.example",
    "/\0",
    "/" + "x" * 5000,
    "/\\/evil.example",
    "//evil.example\\@127.0.0.1",
)


@pytest.mark.parametrize("target", ELSEWHERE)
def test_no_answer_leads_to_another_site(kit: Kit, target: str) -> None:
    """`after` and `next` name a place of this service; everything else becomes the front page."""
    with kit.browser() as client:
        page = client.get("/sign-in", params={"after": target})
        assert page.status_code == 200
        assert 'name="next" value="/"' in page.text
        signed = send(kit, client, "/sign-in", {"login": "tina", "password": PASSWORD, "next": target})
    with kit.browser("tina") as tina:
        answers = [
            signed,
            send(kit, tina, "/language", {"lang": "en", "next": target}),
            send(
                kit,
                tina,
                f"{SHEET}/students/ada/override",
                {"score": "1", "reason": "x", "after": target or "//evil.example"},
            ),
        ]
    for answer in answers:
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "x-evil" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "//evil.example/..", "/%2f/evil.example", "/%5cevil.example", "/courses/..//evil.example"],
)
def test_an_odd_path_redirects_nowhere(shared_kit: Kit, path: str) -> None:
    """No slash is added, removed or followed for anybody."""
    answer = get(shared_kit, path.encode())
    location = re.search(rb"\r\nlocation: ([^\r]*)", answer.lower())
    assert location is None or location[1].startswith(b"/sign-in?after=%2f")
    assert status_of(answer) in (303, 404)


HOSTS = (
    b"evil.example",
    b"evil.example:80",
    b"127.0.0.1.evil.example",
    b"127.0.0.1@evil.example",
    b"[",
    b"[::1",
    b"",
    b"a b",
    b"127.0.0.1:x",
    b"\xff",
    b"127.0.0.1,evil.example",
    b"127.0.0.1/evil",
    b"127.0.0.1#",
    b"x" * 5000,
    b"..",
    b"%31",
)


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_not_served(shared_kit: Kit, host: bytes) -> None:
    """A Host header of somebody's choice gets 400: it is in no link, no redirect, no cache."""
    for path in (b"/sign-in", b"/api/v1/me", b"/", b"/health/ready"):
        answer = get(shared_kit, path, host=host)
        assert status_of(answer) == 400
        assert b"evil" not in answer


@pytest.mark.usefixtures("database")
def test_links_for_people_name_the_public_address(tmp_path: Path) -> None:
    """An invitation is built from the setting, not from what a request says about itself."""
    kit = make_kit(tmp_path, public_url="https://grader.example", hosts=frozenset({"127.0.0.1"}))
    try:
        with kit.client("teacher", headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"}) as api:
            told: Any = api.post("/api/v1/courses/dl/students/ada/link").json()
        assert told["url"].startswith("https://grader.example/sign-in/link/")
    finally:
        kit.close()


def test_what_a_client_says_about_its_address_is_believed_from_proxies_only() -> None:
    """Without a trusted proxy X-Forwarded-For says nothing; with one, only what that one wrote counts."""
    scope: Any = {"client": ("192.0.2.1", 1)}
    headers = Headers({"x-forwarded-for": "6.6.6.6, 7.7.7.7, 192.0.2.9"})
    assert guards.address(scope, headers, 0) == "192.0.2.1"
    assert guards.address(scope, headers, 1) == "192.0.2.9"
    assert guards.address(scope, Headers({}), 1) == "192.0.2.1"


def test_every_answer_carries_the_rules_for_browsers(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, files, redirects, refusals and faults: nothing is framed, sniffed, cached, or told to other sites."""
    with kit.browser("ada") as ada:
        answers = [
            ada.get(path)
            for path in ("/courses", "/nowhere", "/", f"{SHEET}/starter.py", "/api/v1/me", "/static/nowhere")
        ]
        answers.append(ada.post("/language"))
        monkeypatch.setattr(kit.service.catalogue, "get", lambda name: 1 / 0)
        answers.append(ada.get(f"{SHEET}/starter.py"))
    assert [answer.status_code for answer in answers] == [200, 404, 303, 200, 401, 404, 403, 500]
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
