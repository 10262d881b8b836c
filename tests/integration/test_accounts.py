"""Passwords, links and tokens: what is guessed too often, used twice, too old or somebody else's opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from grader.errors import GraderError, Invalid, NotFound, NotSignedIn, TooMany
from grader.service import accounts
from grader.service.access import SHELL, Scope
from grader.store.models import SignInFailure, User

from .service import PASSWORD, Kit

MINUTE = timedelta(minutes=1)


def sign_in(kit: Kit, login: str, password: str, *, address: str = "192.0.2.1", after: timedelta = timedelta()) -> bool:
    now = kit.service.now() + after
    with kit.service.store.read() as session:
        found = accounts.candidate(session, login, address, now)
    if accounts.verify(found, password):
        with kit.service.store.write() as session:
            accounts.signed_in(session, found.user_id or 0, address)
        return True
    with kit.service.store.write() as session:
        accounts.failed(session, login, address, now)
    return False


def test_the_right_password_signs_in_whatever_the_case_of_the_login(kit: Kit) -> None:
    assert sign_in(kit, " Ada ", PASSWORD)
    assert not sign_in(kit, "ada", PASSWORD + "x")
    assert not sign_in(kit, "nobody", PASSWORD)


def test_guessing_is_slowed_down_for_a_login_and_for_an_address(kit: Kit) -> None:
    for number in range(10):
        assert not sign_in(kit, "ada", "wrong", address=f"192.0.2.{number}")
    with pytest.raises(TooMany) as caught:
        sign_in(kit, "ada", PASSWORD, address="192.0.2.99")
    assert 0 < caught.value.retry_after_s <= 900
    assert sign_in(kit, "bob", PASSWORD, address="192.0.2.99")
    assert sign_in(kit, "ada", PASSWORD, after=16 * MINUTE)
    with kit.service.store.write() as session:
        for number in range(50):
            accounts.failed(session, f"user{number}", "198.51.100.7", kit.service.now())
    assert sign_in(kit, "bob", PASSWORD, address="198.51.100.7"), "a class behind one address may mistype"
    with kit.service.store.write() as session:
        for number in range(50):
            accounts.failed(session, f"user{number}", "198.51.100.7", kit.service.now())
    with pytest.raises(TooMany):
        sign_in(kit, "bob", PASSWORD, address="198.51.100.7")


def test_somebody_who_does_not_exist_costs_the_same_hashing(kit: Kit) -> None:
    with kit.service.store.read() as session:
        unknown = accounts.candidate(session, "nobody", "", kit.service.now())
        known = accounts.candidate(session, "ada", "", kit.service.now())
    assert (
        unknown.password_hash.rpartition("$")[0].split("$")[:4] == known.password_hash.rpartition("$")[0].split("$")[:4]
    )
    assert not accounts.verify(unknown, "")


def test_what_was_typed_is_not_kept(kit: Kit) -> None:
    sign_in(kit, "my-password-in-the-wrong-box", "x")
    with kit.service.store.read() as session:
        keys = session.scalars(select(SignInFailure.key)).all()
        dump = " ".join(str(row) for row in session.execute(text("SELECT * FROM sign_in_failures")))
    assert len(keys) == 2
    assert "wrong-box" not in dump


def test_a_link_works_once_for_two_weeks_and_a_newer_one_ends_it(kit: Kit) -> None:
    def use(token: str, after: timedelta = timedelta()) -> str:
        with kit.service.store.write() as session:
            return accounts.use_link(session, token, kit.service.now() + after).login

    first = link(kit, "ada")
    with kit.service.store.read() as session:
        assert accounts.peek_link(session, first, kit.service.now()).login == "ada"
    assert use(first) == "ada"
    for token, after in ((first, MINUTE), ("guess", MINUTE), (link(kit, "ada"), timedelta(days=15))):
        with pytest.raises(NotFound):
            use(token, after)
    older, newer = link(kit, "bob"), link(kit, "bob")
    with pytest.raises(NotFound):
        use(older)
    assert use(newer) == "bob"


def link(kit: Kit, login: str) -> str:
    with kit.service.store.write() as session:
        return accounts.make_link(session, session.get_one(User, kit.ids[login]), kit.service.now())


def test_a_token_is_shown_once_and_kept_as_a_hash(kit: Kit) -> None:
    made = kit.token("ada", [Scope.SUBMIT])
    with kit.service.store.read() as session:
        dump = " ".join(str(row) for row in session.execute(text("SELECT * FROM tokens")))
        assert accounts.bearer(session, made, kit.service.now()).user_id == kit.ids["ada"]
    assert made not in dump


def test_a_token_ends_when_it_is_old_or_revoked_or_its_owner_may_not_enter(kit: Kit) -> None:
    def use(text: str, after: timedelta = timedelta()) -> None:
        with kit.service.store.read() as session:
            accounts.bearer(session, text, kit.service.now() + after)

    old, revoked, owned = (kit.token("ada", [Scope.SUBMIT], days) for days in (1, None, None))
    use(old)
    with pytest.raises(NotSignedIn):
        use(old, timedelta(days=2))
    with kit.service.store.write() as session:
        token = accounts.bearer(session, revoked, kit.service.now())
        accounts.revoke_token(session, SHELL, kit.ids["ada"], token.id, kit.service.now())
    with pytest.raises(NotSignedIn):
        use(revoked)
    with kit.service.store.write() as session:
        session.get_one(User, kit.ids["ada"]).active = False
    with pytest.raises(NotSignedIn):
        use(owned)
    with pytest.raises(NotSignedIn):
        use("grader_nonsense")


def test_nobody_revokes_the_token_of_somebody_else(kit: Kit) -> None:
    made = kit.token("ada", [Scope.SUBMIT])
    with kit.service.store.read() as session:
        number = accounts.bearer(session, made, kit.service.now()).id
    with pytest.raises(NotFound):
        revoke(kit, "bob", number)


def revoke(kit: Kit, login: str, number: int) -> None:
    with kit.service.store.write() as session:
        accounts.revoke_token(session, kit.actor(login), kit.ids[login], number, kit.service.now())


@pytest.mark.parametrize(
    "make",
    [
        lambda kit: kit.token("ada", []),
        lambda kit: kit.token("ada", [Scope.SUBMIT], 0),
        lambda kit: accounts.hash_password("short"),
        lambda kit: accounts.hash_password("x" * 201),
        lambda kit: [kit.token("ada", [Scope.SUBMIT]) for _ in range(21)],
    ],
)
def test_tokens_and_passwords_that_make_no_sense_are_refused(kit: Kit, make: Callable[[Kit], object]) -> None:
    with pytest.raises(Invalid):
        make(kit)


def test_a_new_password_ends_every_session(kit: Kit) -> None:
    with kit.service.store.write() as session:
        before = session.get_one(User, kit.ids["ada"]).session_epoch
        hashed = accounts.hash_password("a new password")
        user = accounts.set_password(session, kit.actor("ada"), kit.ids["ada"], hashed, kit.service.now())
        assert user.session_epoch == before + 1
    assert sign_in(kit, "ada", "a new password")
    assert not sign_in(kit, "ada", PASSWORD)


def test_only_administrators_make_tokens_for_the_metrics(kit: Kit) -> None:
    for login in ("ada", "tina", "teacher", "root"):
        with kit.service.store.write() as session, pytest.raises(Invalid) if login != "root" else nullcontext():
            scopes = [Scope.METRICS]
            accounts.make_token(session, kit.actor(login), kit.ids[login], "x", scopes, None, kit.service.now())


def test_a_token_makes_none_that_may_do_more(kit: Kit) -> None:
    weak = replace(kit.actor("ada"), scopes=frozenset({Scope.SUBMIT}))
    with kit.service.store.write() as session, pytest.raises(GraderError):
        accounts.make_token(session, weak, kit.ids["ada"], "x", [Scope.MANAGE], None, kit.service.now())
