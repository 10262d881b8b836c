"""Pages of signing in and out, the language, the password and the tokens."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.responses import HTMLResponse, RedirectResponse, Response

from grader.errors import Invalid
from grader.reports import Text
from grader.service import accounts
from grader.service.access import Actor, Scope
from grader.store.models import User
from grader.store.states import Role
from grader.web import languages, security, views
from grader.web.dependencies import Caller, Form, RowId, Visitor, field, service_of
from grader.web.hosting import Service
from grader.web.shells import LANGUAGE_COOKIE, plain_shell

router = APIRouter()

RESET_COOKIE: Final = "grader_reset"
_RESET_S: Final = 3600
_YEAR_S: Final = 365 * 86400
_SCOPES: Final[tuple[tuple[Scope, Role, Text], ...]] = (
    (Scope.SUBMIT, Role.STUDENT, Text(en="hand in, and read what is yours", zh="提交作业，查看自己的内容")),
    (Scope.READ_GRADES, Role.TA, Text(en="read the grades of the course", zh="查看课程成绩")),
    (Scope.WRITE_GRADES, Role.TA, Text(en="change grades and regrade", zh="修改成绩、重评")),
    (Scope.MANAGE, Role.INSTRUCTOR, Text(en="change roster and deadlines", zh="修改名单和截止时间")),
    (Scope.METRICS, Role.ADMIN, Text(en="read the metrics of the service", zh="读取服务指标")),
)


def _stranger_page(request: Request, template: str, page: object, status: int = 200) -> Response:
    """A page for somebody who is not signed in, whose forms need a cookie of their own."""
    service = service_of(request)
    answer = HTMLResponse(languages.render(template, plain_shell(request), page), status)
    security.keep_form_cookie(request, answer, secure=service.secure)
    return answer


def _enter(service: Service, user: User, address: str) -> Response:
    """Goes on to an address as this user."""
    answer = RedirectResponse(address, 303)
    security.open_session(answer, service.secret, user.id, user.session_epoch, secure=service.secure)
    return answer


# Signing in and out --------------------------------------------------------------------------------------------------


@router.get("/sign-in")
def sign_in_page(request: Request, after: str = "/") -> Response:
    return _stranger_page(request, "sign_in.html", views.SignInPage(after=security.local_path(after)))


@router.post("/sign-in")
def sign_in(request: Request, form: Form) -> Response:
    service, login, address = service_of(request), field(form, "login"), request.state.address
    after = security.local_path(field(form, "next", "/"))
    user_id = _guessed(service, login, address, field(form, "password"))
    if user_id is None:
        problem = accounts.wrong_password().text.say(plain_shell(request).lang)
        page = views.SignInPage(after=after, login=login[:100], problem=problem)
        return _stranger_page(request, "sign_in.html", page, 401)
    with service.store.write() as session:
        user = accounts.signed_in(session, user_id, address)
    return _enter(service, user, after)


def _guessed(service: Service, login: str, address: str, password: str) -> int | None:
    """Whose login and password this is; a wrong guess is counted. Raises TooMany."""
    with accounts.few_at_once():
        with service.store.read() as session:
            found = accounts.candidate(session, login, address, service.now())
        if accounts.verify(found, password):
            return found.user_id
        with service.store.write() as session:
            accounts.failed(session, login, address, service.now())
    return None


@router.get("/sign-in/link/{token}")
def link_page(request: Request, token: str) -> Response:
    """Shows whom a link is for. Looking at it, as mail programs do, does not use it up."""
    service = service_of(request)
    with service.store.read() as session:
        user = accounts.peek_link(session, token, service.now())
    return _stranger_page(request, "link.html", views.LinkPage(token=token, name=user.name, login=user.login))


@router.post("/sign-in/link/{token}")
def use_link(request: Request, token: str, form: Form) -> Response:
    service = service_of(request)
    with service.store.write() as session:
        user = accounts.use_link(session, token, service.now())
    answer = _enter(service, user, "/account?first=1")
    value = _resets(service).dumps([user.id, user.session_epoch])
    answer.set_cookie(
        RESET_COOKIE, value, _RESET_S, path="/account", secure=service.secure, httponly=True, samesite="lax"
    )
    return answer


def _resets(service: Service) -> URLSafeTimedSerializer:
    """Signs that somebody came by a link, and so may choose a password without knowing the old one."""
    return URLSafeTimedSerializer(service.secret, salt="reset")


def _came_by_link(request: Request, service: Service, user: User) -> bool:
    try:
        told = _resets(service).loads(request.cookies.get(RESET_COOKIE, ""), max_age=_RESET_S)
    except BadSignature:
        return False
    return bool(told == [user.id, user.session_epoch])


@router.post("/sign-out")
def sign_out(request: Request, form: Form) -> Response:
    answer = RedirectResponse("/sign-in", 303)
    security.end_session(answer)
    return answer


@router.post("/language")
def language(request: Request, form: Form) -> Response:
    chosen = languages.choose(field(form, "lang"), None)
    answer = RedirectResponse(security.local_path(field(form, "next", "/")), 303)
    answer.set_cookie(LANGUAGE_COOKIE, chosen, _YEAR_S, path="/", secure=service_of(request).secure, samesite="lax")
    return answer


# The account ---------------------------------------------------------------------------------------------------------


@router.get("/account")
def account(who: Visitor, first: Annotated[bool, Query()] = False, saved: Annotated[bool, Query()] = False) -> Response:
    return _account_page(who, first=first, saved=saved)


def _account_page(
    who: Caller, *, first: bool = False, saved: bool = False, new_token: str = "", refused: Invalid | None = None
) -> Response:
    with who.service.store.read() as session:
        user = session.get_one(User, who.actor.user_id)
        rows = tuple(
            views.TokenRow(
                id=token.id,
                name=token.name,
                scopes=tuple(token.scopes.split()),
                created_at=token.created_at,
                expires_at=token.expires_at,
                used_at=token.last_used_at,
            )
            for token in accounts.tokens(session, user.id)
        )
    page = views.AccountPage(
        name=user.name,
        login=user.login,
        email=user.email or "",
        has_password=user.password_hash is not None and not _came_by_link(who.request, who.service, user),
        first=first,
        saved=saved,
        tokens=rows,
        scopes=tuple((str(scope), what) for scope, what in _scopes(who.actor)),
        new_token=new_token,
        problems={refused.field: refused.text.say(who.lang)} if refused else {},
    )
    return who.page("account.html", page, section="account", status=refused.http_status if refused else 200)


def _scopes(actor: Actor) -> list[tuple[Scope, Text]]:
    """What a token of this person could be used for at all."""
    rank = actor.highest.rank if actor.highest else Role.STUDENT.rank
    return [(scope, what) for scope, least, what in _SCOPES if least.rank <= rank]


@router.post("/account/password")
def password(who: Visitor, form: Form) -> Response:
    service = who.service
    try:
        user = _checked_owner(who, field(form, "current"))
        hashed = accounts.hash_password(field(form, "password"))
    except Invalid as refused:
        return _account_page(who, refused=refused)
    with service.store.write() as session:
        user = accounts.set_password(session, who.actor, user.id, hashed, who.now)
    answer = _enter(service, user, "/account?saved=1")
    answer.delete_cookie(RESET_COOKIE, path="/account")
    return answer


def _checked_owner(who: Caller, current: str) -> User:
    """The user, who has shown the old password or came by a link. Raises Invalid, TooMany."""
    service, address = who.service, who.request.state.address
    with service.store.read() as session:
        user = session.get_one(User, who.actor.user_id)
        if user.password_hash is None or _came_by_link(who.request, service, user):
            return user
    if _guessed(service, user.login, address, current) is not None:
        return user
    raise Invalid("current", "This is not your current password.", "这不是你的当前密码。")


@router.post("/account/tokens")
def make_token(who: Visitor, form: Form) -> Response:
    """The new token is in this answer and nowhere else."""
    allowed = {str(scope): scope for scope, _ in _scopes(who.actor)}
    chosen = [allowed[str(value)] for value in form.getlist("scopes") if str(value) in allowed]
    try:
        days = _whole(field(form, "days"))
        with who.service.store.write() as session:
            user_id = session.get_one(User, who.actor.user_id).id
            _, text = accounts.make_token(session, who.actor, user_id, field(form, "name"), chosen, days, who.now)
    except Invalid as refused:
        return _account_page(who, refused=refused)
    return _account_page(who, new_token=text)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise Invalid("days", "Days are a whole number.", "天数应为整数。")
    return int(text)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(who: Visitor, token_id: RowId, form: Form) -> Response:
    with who.service.store.write() as session:
        user_id = session.get_one(User, who.actor.user_id).id
        accounts.revoke_token(session, who.actor, user_id, token_id, who.now)
    return RedirectResponse("/account#tokens", 303)
