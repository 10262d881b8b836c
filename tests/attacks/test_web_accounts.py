"""Passwords, links, sessions and tokens under attack."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text as sql

from grader.service import accounts
from grader.service.access import SHELL, Scope
from grader.store.models import Base, SignInLink, Token, User
from grader.web import security
from tests.integration.service import PASSWORD, PEOPLE, Kit

from .visits import at_once, resident_mib, send


def sign_in(kit: Kit, login: str, password: str) -> httpx.Response:
    with kit.browser() as client:
        client.get("/sign-in")
        return send(kit, client, "/sign-in", {"login": login, "password": password})


def link_for(kit: Kit, login: str) -> str:
    with kit.service.store.write() as session:
        return accounts.make_link(session, session.get_one(User, kit.ids[login]), kit.service.now())


def test_guessing_ends_after_ten_wrong_passwords(kit: Kit) -> None:
    """Also the right one is refused then, for a quarter of an hour, and Retry-After says so."""
    statuses = [sign_in(kit, "ada", f"wrong {number}").status_code for number in range(11)]
    assert statuses == [401] * 10 + [429]
    last = sign_in(kit, " ADA", PASSWORD)
    assert last.status_code == 429
    assert 0 < int(last.headers["retry-after"]) <= 900


def test_guesses_at_the_same_moment_gain_little_and_take_little(kit: Kit) -> None:
    """Hundreds of guesses started together are bounded in number and in memory: each hash needs 64 MiB."""
    before = resident_mib()
    peak = 0.0

    def guess() -> int:
        nonlocal peak
        status = sign_in(kit, "ada", "wrong").status_code
        peak = max(peak, resident_mib())
        return status

    statuses = at_once([guess] * 60)
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 13  # ten, and those that were under way
    assert peak - before < 600


def test_nobody_learns_who_exists_from_what_is_said(kit: Kit) -> None:
    """A login that does not exist, one without a password and one that is disabled get the same answer."""
    with kit.service.store.write() as session:
        session.get_one(User, kit.ids["bob"]).password_hash = None
        accounts.set_active(session, SHELL, session.get_one(User, kit.ids["chen"]), False, kit.service.now())
    answers = [sign_in(kit, login, PASSWORD + "x") for login in ("ada", "nobody", "bob", "chen", "Ａda", "a" * 5000)]
    answers.append(sign_in(kit, "chen", PASSWORD))
    assert {answer.status_code for answer in answers} == {401}
    said = {
        _without(answer.text, login)
        for answer, login in zip(answers[:4], ("ada", "nobody", "bob", "chen"), strict=True)
    }
    assert len(said) == 1


def _without(page: str, login: str) -> str:
    """A page without the token of its form and what was typed."""
    start = page.index('name="csrf" value="') + len('name="csrf" value="')
    token = page[start : start + 64]
    return page.replace(token, "").replace(f'value="{login}"', "")


def test_nobody_learns_who_exists_from_how_long_it_takes(kit: Kit) -> None:
    """One password is hashed for whatever login, so times differ by noise only."""

    def seconds(login: str) -> float:
        with kit.service.store.read() as session:
            found = accounts.candidate(session, login, "192.0.2.1", kit.service.now())
        started = time.perf_counter()
        accounts.verify(found, "wrong")
        return time.perf_counter() - started

    there = statistics.median(seconds("ada") for _ in range(5))
    not_there = statistics.median(seconds("nobody") for _ in range(5))
    assert 0.3 < there / not_there < 3


def test_a_link_is_not_used_up_by_looking_and_only_once_by_using(kit: Kit) -> None:
    """Mail programs open links: GET changes nothing. Of many POSTs at once one signs in."""
    token = link_for(kit, "ada")
    with kit.browser() as client:
        for _ in range(5):
            assert client.get(f"/sign-in/link/{token}").status_code == 200
        assert security.SESSION_COOKIE not in client.cookies

    def use() -> int:
        with kit.browser() as client:
            client.get("/sign-in")
            return send(kit, client, f"/sign-in/link/{token}").status_code

    assert sorted(at_once([use] * 12)) == [303] + [404] * 11
    with kit.browser() as client:
        assert client.get(f"/sign-in/link/{token}").status_code == 404


def test_a_link_that_is_old_replaced_or_of_somebody_disabled_opens_nothing(kit: Kit) -> None:
    """And all of them get the same words, as one that never existed."""
    old = link_for(kit, "ada")
    with kit.service.store.write() as session:
        session.query(SignInLink).update({"expires_at": kit.service.now() - timedelta(seconds=1)})
    replaced, _ = link_for(kit, "bob"), link_for(kit, "bob")
    disabled = link_for(kit, "chen")
    with kit.service.store.write() as session:
        accounts.set_active(session, SHELL, session.get_one(User, kit.ids["chen"]), False, kit.service.now())
    texts = set()
    with kit.browser() as client:
        client.get("/sign-in")
        for token in (old, replaced, disabled, "x" * 32, "%00", "x" * 3000):
            looked, used = client.get(f"/sign-in/link/{token}"), send(kit, client, f"/sign-in/link/{token}")
            assert (looked.status_code, used.status_code) == (404, 404)
            texts.add("used already or is too old" in looked.text)
    assert texts == {True}


def everything_stored(kit: Kit) -> bytes:
    """Of SQLite also what its files still hold of rows that are gone."""
    if kit.service.store.file is not None:
        return b"".join(path.read_bytes() for path in kit.folder.glob("grader.sqlite*"))
    with kit.service.store.read() as session:
        rows = [session.scalars(sql(f"SELECT t::text FROM {name} t")).all() for name in Base.metadata.tables]
    return "\n".join(row for found in rows for row in found).encode()


def test_secrets_are_in_no_log_no_address_and_no_database(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """Links are masked in the access log, tokens and passwords appear nowhere; the database has hashes alone."""
    link = link_for(kit, "ada")
    token = kit.token("ada", [Scope.SUBMIT])
    with caplog.at_level(logging.DEBUG), kit.browser() as client:
        client.get(f"/sign-in/link/{link}")
        used = send(kit, client, f"/sign-in/link/{link}")
        sign_in(kit, "ada", "a wrong secret")
        sign_in(kit, "my secret typed as login", PASSWORD)
        client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}x"})
    assert link not in used.headers["location"]
    log = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("grader"))
    assert "/sign-in/link/..." in log
    stored = everything_stored(kit)
    for secret in (link, token, "a wrong secret", "my secret typed as login", PASSWORD):
        assert secret not in log
        assert secret.encode() not in stored
    assert b"ada@example.org" in stored


def test_a_secret_in_an_address_is_told_to_no_other_site(kit: Kit) -> None:
    """The page of a link refers to nothing elsewhere and tells no other site where one came from."""
    with kit.browser() as client:
        page = client.get(f"/sign-in/link/{link_for(kit, 'ada')}")
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert "http://" not in page.text.replace(kit.url, "")
    assert "https://" not in page.text


def test_a_planted_session_is_never_taken_over(kit: Kit) -> None:
    """Session fixation: whatever cookie was there before signing in, another one is there after it."""
    with kit.browser("bob") as bob:
        planted = bob.cookies[security.SESSION_COOKIE]
    for value in (planted, "planted", "x" * 4000, ""):
        with kit.browser() as client:
            client.get("/sign-in")
            client.cookies.set(security.SESSION_COOKIE, value, domain="127.0.0.1")
            done = send(kit, client, "/sign-in", {"login": "ada", "password": PASSWORD})
            assert done.status_code == 303
            given = done.cookies[security.SESSION_COOKIE]
            assert given not in (planted, value)
        with kit.browser() as fresh:
            fresh.cookies.set(security.SESSION_COOKIE, given, domain="127.0.0.1")
            assert "Ada Abel" in fresh.get("/account").text


FORGED: dict[str, Callable[[str], str]] = {
    "cut": lambda cookie: cookie[:-1],
    "changed": lambda cookie: cookie.replace(cookie[5], "A" if cookie[5] != "A" else "B", 1),
    "unsigned": lambda cookie: cookie.partition(".")[0],
    "empty parts": lambda _: "..",
    "no text": lambda _: "\x80\xff",
    "compressed bomb": lambda _: "." + "eJ" * 2000 + ".x.y",
    "long": lambda _: "x" * 7000,
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_session_that_we_did_not_sign_is_none(kit: Kit, kind: str) -> None:
    """Who changes a cookie is a stranger, on every page."""
    with kit.browser("teacher") as teacher:
        cookie = FORGED[kind](teacher.cookies[security.SESSION_COOKIE])
    with kit.browser() as client:
        answer = client.get("/courses", headers={b"Cookie": f"{security.SESSION_COOKIE}={cookie}".encode("latin-1")})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?after=%2Fcourses")


def test_cookies_of_other_purposes_open_no_session(kit: Kit) -> None:
    """What one key signs for one purpose is nothing for another: a reset cookie is no session."""
    with kit.browser() as client:
        client.get("/sign-in")
        used = send(kit, client, f"/sign-in/link/{link_for(kit, 'ada')}")
        reset = used.cookies["grader_reset"]
    with kit.browser() as client:
        client.cookies.set(security.SESSION_COOKIE, reset, domain="127.0.0.1")
        assert client.get("/account").status_code == 303


def test_a_session_ends_with_the_password_and_with_the_account(kit: Kit) -> None:
    """A stolen cookie is worth nothing after a new password or when somebody is disabled; tokens of the latter too."""
    with kit.browser("ada") as thief, kit.browser("ada") as ada:
        changed = send(kit, ada, "/account/password", {"current": PASSWORD, "password": "another long password"})
        assert changed.status_code == 303
        assert thief.get("/courses").status_code == 303
        assert ada.get("/courses").status_code == 200
    with kit.browser("bob") as bob, kit.client("bob") as api:
        with kit.service.store.write() as session:
            accounts.set_active(session, SHELL, session.get_one(User, kit.ids["bob"]), False, kit.service.now())
        assert bob.get("/courses").status_code == 303
        assert api.get("/api/v1/me").status_code == 401


def test_a_password_is_changed_by_its_owner_only(kit: Kit) -> None:
    """The old one is asked for, guesses of it are counted, and a link of another person does not stand in for it."""
    with kit.browser("ada") as ada, kit.browser() as other:
        other.get("/sign-in")
        reset = send(kit, other, f"/sign-in/link/{link_for(kit, 'bob')}").cookies["grader_reset"]
        ada.cookies.set("grader_reset", reset, domain="127.0.0.1")
        statuses = [
            send(kit, ada, "/account/password", {"current": f"no {n}", "password": "x" * 20}).status_code
            for n in range(12)
        ]
    assert statuses == [422] * 10 + [429] * 2


def test_tokens_do_what_their_scopes_say_and_end(kit: Kit) -> None:
    """Scopes that a role does not have cannot be chosen; another person's token cannot be revoked or seen."""
    with kit.browser("ada") as ada:
        asked = {"name": "t", "scopes": "manage", "days": "1"}
        assert send(kit, ada, "/account/tokens", asked).status_code == 422
        with kit.service.store.read() as session:
            foreign = session.query(Token).filter(Token.user_id != kit.ids["ada"]).first()
        assert foreign is not None
        assert send(kit, ada, f"/account/tokens/{foreign.id}/revoke").status_code == 404
        for days in ("0", "-1", "nan", "1e3", "99999", "٣", "9" * 5000, "1.5", ""):
            assert send(kit, ada, "/account/tokens", {"name": "t", "scopes": "submit", "days": days}).status_code == 422
    for text in ("grader_", "Bearer", "grader_" + "x" * 60_000, "\x80", "grader_test-token-of-ada"):
        with kit.browser() as client:
            answer = client.get("/api/v1/me", headers={b"Authorization": b"Bearer " + text.encode("latin-1")})
            assert answer.status_code in (200, 401, 400)
            assert (answer.status_code == 200) == (text == "grader_test-token-of-ada")


@pytest.mark.parametrize(
    "login",
    ["ADA", " ada ", "ada\0", "аda", "ａda", "ada\u200b", "ad\u0430", "ADA\u0307", "ſam", "%61da", "ada' OR 1=1 --"],
)
def test_a_login_is_one_login(kit: Kit, login: str) -> None:
    """Case and spaces around do not matter; look-alikes, invisible characters and tricks are somebody else: nobody."""
    same = login.strip().casefold() == "ada"
    assert sign_in(kit, login, PASSWORD).status_code == (303 if same else 401)


def test_look_alike_logins_are_not_enrolled(kit: Kit) -> None:
    """A roster takes ASCII logins only, folded, so that two people cannot look or be the same."""
    from grader.service import roster

    text = "login,name\n" + "\n".join(
        f"{login},X" for login in ("аda", "ada\u200b", "ａda", "ADA", "ada", "K\u212ael", "ada\u0307")
    )
    found = roster.read(text.encode())
    assert [person.login for person in found.people] == ["ada", "kkel"]
    assert len(found.errors) == 5
    assert len(PEOPLE) == 10
