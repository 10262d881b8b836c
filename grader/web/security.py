"""Sessions in signed cookies, tokens in forms, where a write may come from, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from grader.errors import Forbidden

SESSION_COOKIE, FORM_COOKIE = "grader_session", "grader_form"
_SESSION_S = 30 * 86400
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionData:
    """Who is signed in. epoch: of the user when the session began; a later one ends it. nonce: tells sessions apart."""

    user_id: int
    epoch: int
    nonce: str


def _serializer(secret: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(hmac.new(secret, b"session", hashlib.sha256).digest(), salt="session")


def open_session(response: Response, secret: bytes, user_id: int, epoch: int, *, secure: bool) -> None:
    """A new session cookie; one that somebody planted before is replaced, never taken over."""
    text = _serializer(secret).dumps([user_id, epoch, secrets.token_hex(8)])
    response.set_cookie(
        SESSION_COOKIE, text, max_age=_SESSION_S, path="/", secure=secure, httponly=True, samesite="lax"
    )
    response.delete_cookie(FORM_COOKIE, path="/")


def end_session(response: Response) -> None:
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")


def read_session(request: HTTPConnection, secret: bytes) -> SessionData | None:
    """None without a cookie and for one that is forged or too old."""
    text = request.cookies.get(SESSION_COOKIE)
    if text is None:
        return None
    try:
        user_id, epoch, nonce = _serializer(secret).loads(text, max_age=_SESSION_S)
    except (BadSignature, ValueError, TypeError):
        return None
    return SessionData(user_id=user_id, epoch=epoch, nonce=nonce)


def form_token(request: HTTPConnection, secret: bytes) -> str:
    """The token that forms of this browser carry: follows from its session, or from a cookie set for strangers."""
    holder = request.cookies.get(SESSION_COOKIE) or request.cookies.get(FORM_COOKIE) or fresh_form_cookie(request)
    return hmac.new(secret, b"form\0" + holder.encode(), hashlib.sha256).hexdigest()


def fresh_form_cookie(request: HTTPConnection) -> str:
    """The value that the answer to this request will set as the stranger's cookie."""
    found: str = getattr(request.state, "form_cookie", "")
    if not found:
        found = request.state.form_cookie = secrets.token_urlsafe(16)
    return found


def keep_form_cookie(request: Request, response: Response, *, secure: bool) -> None:
    """Sets the stranger's cookie when a form was made for somebody who had none."""
    value: str = getattr(request.state, "form_cookie", "")
    if value:
        response.set_cookie(FORM_COOKIE, value, path="/", secure=secure, httponly=True, samesite="lax")


def check_form(request: Request, token: object, secret: bytes) -> None:
    """Raises Forbidden for a form that was not made for this browser."""
    if not isinstance(token, str) or not hmac.compare_digest(token.encode(), form_token(request, secret).encode()):
        raise Forbidden(
            "This form is too old, or you signed in again meanwhile. Go back, reload the page and send it again.",
            "这个表单已过期，或者你在此期间重新登录过。请返回并刷新页面后再提交。",
        )


def check_source(request: HTTPConnection, public_url: str) -> None:
    """Raises Forbidden when a browser says that a write was started by another site."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = public_url or f"{request.url.scheme}://{request.headers.get('host', '')}"
    foreign = origin is not None and _site(origin) != _site(own)
    if foreign or site not in (None, "same-origin", "none"):
        raise Forbidden("This request was started by another site.", "这个请求来自其他网站，已被拒绝。")


def _site(address: str) -> tuple[str, str]:
    """Scheme and host of an address; that of nobody for what is no address."""
    try:
        return urlsplit(address)[:2]
    except ValueError:
        return "", ""


def local_path(text: str) -> str:
    """An address of this service to go to next; anything else becomes the front page."""
    plain = text.startswith("/") and not text.startswith("//") and "\\" not in text
    return text if plain and text.isprintable() and len(text) < 2000 else "/"
