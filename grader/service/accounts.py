"""Signing in: passwords (argon2), one-time links, sessions, bearer tokens, and how often one may guess.

Of links and tokens only the SHA-256 is stored: they are random, so a slow hash would add nothing. Whether a login
exists is not said: an unknown one costs the same time and gives the same answer as a wrong password.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from pwdlib import PasswordHash
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from grader.errors import Conflict, Invalid, NotFound, NotSignedIn, TooMany
from grader.service import audit
from grader.service.access import Actor, Scope
from grader.store.models import Course, Enrolment, SignInFailure, SignInLink, Token, User
from grader.store.states import Role

LINK_LIFE = timedelta(days=14)
_WINDOW = timedelta(minutes=15)
_MOST_FAILURES, _MOST_OF_AN_ADDRESS = 10, 100  # a whole class may share an address
_LEAST_PASSWORD, _MOST_PASSWORD = 10, 200
_MOST_TOKENS = 20
_hasher = PasswordHash.recommended()
_NOBODY = _hasher.hash(secrets.token_hex(16))
_TOKEN_PREFIX = "grader_"
_SEEN_EVERY = timedelta(minutes=1)
_at_once = threading.BoundedSemaphore(4)  # hashes; each needs 64 MiB
_in_line = threading.BoundedSemaphore(20)  # of the 40 threads that answer requests


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What is needed to check a password, read before the slow hash so that no transaction is open meanwhile."""

    user_id: int | None
    password_hash: str


def candidate(session: Session, login: str, address: str, now: datetime) -> Candidate:
    """Raises TooMany after too many failures of the login or the address within a quarter of an hour."""
    for key, most in zip(_keys(login, address), (_MOST_FAILURES, _MOST_OF_AN_ADDRESS), strict=True):
        times = session.scalars(
            select(SignInFailure.at)
            .where(SignInFailure.key == key, SignInFailure.at > now - _WINDOW)
            .order_by(SignInFailure.at)
        ).all()
        if len(times) >= most:
            wait = math.ceil((times[-most] + _WINDOW - now).total_seconds())
            raise TooMany(
                f"There were too many wrong passwords. Try again in {math.ceil(wait / 60)} minutes, or ask your "
                "teacher for a sign-in link.",
                f"密码错误次数过多。请在 {math.ceil(wait / 60)} 分钟后重试，或向老师索取登录链接。",
                retry_after_s=wait,
            )
    user = session.scalar(select(User).where(User.login == login.strip().casefold(), User.active))
    if user is None or user.password_hash is None:
        return Candidate(user_id=None, password_hash=_NOBODY)
    return Candidate(user_id=user.id, password_hash=user.password_hash)


@contextmanager
def few_at_once() -> Iterator[None]:
    """Around a guess, from asking whether it may be made to writing down that it failed: few run at once, so guesses
    started together neither escape the count nor take the memory or every thread. Raises TooMany."""
    if not _in_line.acquire(blocking=False):
        raise TooMany(
            "Many people are signing in at this moment. Try again in a few seconds.",
            "此刻登录的人很多，请过几秒再试。",
            retry_after_s=2,
        )
    try:
        with _at_once:
            yield
    finally:
        _in_line.release()


def verify(found: Candidate, password: str) -> bool:
    """Takes about 50 ms, also for somebody who does not exist."""
    right = _hasher.verify(password[:_MOST_PASSWORD], found.password_hash)
    return right and found.user_id is not None


def failed(session: Session, login: str, address: str, now: datetime) -> None:
    session.add_all(SignInFailure(key=key, at=now) for key in _keys(login, address))


def wrong_password() -> NotSignedIn:
    return NotSignedIn(
        "Login or password is not right. If you have never set a password, use the link you were sent.",
        "用户名或密码不正确。如果还没有设置过密码，请使用发给你的登录链接。",
    )


def signed_in(session: Session, user_id: int, address: str) -> User:
    """The user, whose earlier failures are forgotten; those of the address are not."""
    user = session.get_one(User, user_id)
    login_key, _ = _keys(user.login, address)
    for failure in session.scalars(select(SignInFailure).where(SignInFailure.key == login_key)):
        session.delete(failure)
    return user


def _keys(login: str, address: str) -> tuple[str, str]:
    """Hashed, so that what people type into the wrong box is not kept."""
    texts = (f"login\0{login.strip().casefold()[:200]}", f"address\0{address}")
    return hashlib.sha256(texts[0].encode()).hexdigest(), hashlib.sha256(texts[1].encode()).hexdigest()


def hash_password(password: str) -> str:
    """Raises Invalid for a password that is too short or too long, TooMany when many are hashed at once."""
    if not _LEAST_PASSWORD <= len(password) <= _MOST_PASSWORD:
        raise Invalid(
            "password",
            f"A password has {_LEAST_PASSWORD} to {_MOST_PASSWORD} characters.",
            f"密码长度应为 {_LEAST_PASSWORD} 到 {_MOST_PASSWORD} 个字符。",
        )
    with few_at_once():
        return _hasher.hash(password)


def set_password(session: Session, actor: Actor, user_id: int, password_hash: str, now: datetime) -> User:
    """Ends every session of the user; the caller opens a new one."""
    user = session.get_one(User, user_id)
    user.password_hash = password_hash
    user.session_epoch += 1
    audit.note(session, actor, "password.set", user.login, now, user_id=user.id)
    return user


def set_active(session: Session, actor: Actor, user: User, active: bool, now: datetime) -> None:
    """Lets somebody in or not. Sessions end at once; tokens and links of a user who is not active are refused.

    Raises Conflict for the last active administrator of a course.
    """
    if user.active == active:
        return
    administered = select(Course).join(Enrolment).where(Enrolment.user_id == user.id, Enrolment.role == Role.ADMIN)
    for course in [] if active else session.scalars(administered.order_by(Course.name)):
        if not other_admins(session, course.id, user.id):
            raise Conflict(
                f"{user.login} is the only administrator of {course.name} who may sign in; make another one first.",
                f"{user.login} 是课程 {course.name} 唯一可以登录的管理员；请先指定另一位管理员。",
            )
    user.active = active
    user.session_epoch += 1
    action = "user.enable" if active else "user.disable"
    audit.note(session, actor, action, user.login, now, user_id=user.id)


def other_admins(session: Session, course_id: int, user_id: int) -> bool:
    """Whether somebody else who may sign in administers a course."""
    found = (
        select(Enrolment.id)
        .join(User)
        .where(
            Enrolment.course_id == course_id, Enrolment.role == Role.ADMIN, Enrolment.user_id != user_id, User.active
        )
    )  # fmt: skip
    return session.scalar(found.limit(1)) is not None


# Links -------------------------------------------------------------------------------------------------------------


def make_link(session: Session, user: User, now: datetime) -> str:
    """A new one-time token for a sign-in link; earlier unused ones of the user end."""
    session.execute(
        update(SignInLink)
        .where(SignInLink.user_id == user.id, SignInLink.used_at.is_(None), SignInLink.expires_at > now)
        .values(expires_at=now)
    )
    token = secrets.token_urlsafe(24)
    session.add(SignInLink(user_id=user.id, digest=_digest(token), created_at=now, expires_at=now + LINK_LIFE))
    return token


def peek_link(session: Session, token: str, now: datetime) -> User:
    """Whom a link would sign in. Looking does not use it up, since mail programs look too. Raises NotFound."""
    return _link(session, select(SignInLink), token, now).user


def use_link(session: Session, token: str, now: datetime) -> User:
    """Raises NotFound for a link that is unknown, used or too old."""
    link = _link(session, select(SignInLink).with_for_update(), token, now)
    link.used_at = now
    return link.user


def has_signed_in(session: Session, user: User) -> bool:
    """Whether somebody ever came in as this user: by a link, or with a password that was set."""
    used = select(SignInLink.id).where(SignInLink.user_id == user.id, SignInLink.used_at.is_not(None)).limit(1)
    return user.password_hash is not None or session.scalar(used) is not None


def _link(session: Session, question: Select[SignInLink], token: str, now: datetime) -> SignInLink:
    link = session.scalar(question.where(SignInLink.digest == _digest(token)))
    if link is None or link.used_at is not None or link.expires_at <= now or not link.user.active:
        raise NotFound(
            "This sign-in link was used already or is too old. Ask your teacher for a new one.",
            "这个登录链接已经用过或已过期。请向老师索取新的链接。",
        )
    return link


# Tokens ------------------------------------------------------------------------------------------------------------


def make_token(
    session: Session, actor: Actor, user_id: int, name: str, scopes: Collection[Scope], days: int | None, now: datetime
) -> tuple[Token, str]:
    """A bearer token and, only this once, its text. days: its life; none for ever. Raises Invalid."""
    if not name.strip():
        raise Invalid(
            "name", "Give the token a name, so that you know later what it is for.", "请给令牌起个名字，方便以后辨认。"
        )
    if not scopes:
        raise Invalid("scopes", f"Choose at least one of: {', '.join(Scope)}.", f"请至少选择一项：{', '.join(Scope)}。")
    if days is not None and not 1 <= days <= 3650:
        raise Invalid("days", "A token lives 1 to 3650 days.", "令牌有效期为 1 到 3650 天。")
    if actor.scopes is not None and not set(scopes) <= actor.scopes:
        raise Invalid("scopes", "A token cannot make one that may do more.", "令牌不能创建权限更大的令牌。")
    if Scope.METRICS in scopes and actor.highest is not Role.ADMIN:
        raise Invalid("scopes", "The scope metrics is for administrators.", "metrics 权限仅限管理员使用。")
    count = session.scalar(select(func.count()).where(Token.user_id == user_id, Token.revoked_at.is_(None)))
    if (count or 0) >= _MOST_TOKENS:
        raise Invalid(
            "name",
            f"You have {_MOST_TOKENS} tokens. Revoke one first.",
            f"你已有 {_MOST_TOKENS} 个令牌，请先撤销一个。",
        )
    text = _TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = Token(
        user_id=user_id, name=name.strip()[:100], digest=_digest(text), scopes=" ".join(sorted(scopes)),
        created_at=now, expires_at=None if days is None else now + timedelta(days=days),
    )  # fmt: skip
    session.add(token)
    session.flush()
    audit.note(session, actor, "token.make", token.name, now, user_id=user_id, after={"scopes": token.scopes})
    return token, text


def tokens(session: Session, user_id: int) -> list[Token]:
    return list(
        session.scalars(select(Token).where(Token.user_id == user_id, Token.revoked_at.is_(None)).order_by(Token.id))
    )


def revoke_token(session: Session, actor: Actor, user_id: int, token_id: int, now: datetime) -> None:
    """Raises NotFound for a token of somebody else."""
    token = session.get(Token, token_id)
    if token is None or token.user_id != user_id or token.revoked_at is not None:
        raise NotFound
    token.revoked_at = now
    audit.note(session, actor, "token.revoke", token.name, now, user_id=user_id)


def bearer(session: Session, text: str, now: datetime) -> Token:
    """The token that a request carries. Raises NotSignedIn."""
    token = session.scalar(select(Token).where(Token.digest == _digest(text)))
    if (
        token is None
        or token.revoked_at is not None
        or (token.expires_at is not None and token.expires_at < now)
        or not token.user.active
    ):
        raise NotSignedIn("This token is not valid or has expired.", "这个令牌无效或已过期。")
    return token


def wants_touch(token: Token, now: datetime) -> bool:
    """Whether the last use is worth writing down again: once a minute is enough."""
    return token.last_used_at is None or now - token.last_used_at > _SEEN_EVERY


def touch(session: Session, token_id: int, now: datetime) -> None:
    session.execute(update(Token).where(Token.id == token_id).values(last_used_at=now))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
