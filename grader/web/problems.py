"""Every error as an answer: RFC 9457 problem documents below /api, a page elsewhere. Nothing of ours shows in either.

The same table serves both: the class of the error gives the status and the kind, the error its words.
"""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from grader.errors import GraderError, Invalid, NotFound, NotSignedIn, Refused, StoreError, TooMany
from grader.reports import Text
from grader.web import languages, views
from grader.web.security import keep_form_cookie, local_path
from grader.web.shells import plain_shell

log = logging.getLogger("grader")

PROBLEM = "application/problem+json"
_SHEET = re.compile(r"/courses/[^/]+/assignments/[^/]+")  # where files are handed in
_FAULT = Text(
    en="Something went wrong on our side. Nothing of yours is lost. Please try again in a moment.",
    zh="服务器出了问题。你已提交的内容不会丢失，请稍后再试。",
)
_BUSY = Text(
    en="The service cannot reach its database just now. Please try again in a moment.",
    zh="服务暂时无法访问数据库，请稍后再试。",
)


def respond(request: Request, error: Exception) -> Response:
    """The answer to a request that ended with an error."""
    status, code, text = _meaning(error)
    headers: dict[str, str] = {}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, HTTPException) and error.headers:
        headers.update(error.headers)
    if status >= 500:
        if isinstance(error, StoreError):  # where in the program it met the database says nothing
            log.error("request %s failed: %s", request.state.request_id, error)
        else:
            log.error("request %s failed", request.state.request_id, exc_info=error)
    if request.url.path.startswith(("/api", "/metrics", "/health")):
        if status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Bearer realm="grader"'
        return JSONResponse(_document(request, error, status, code, text), status, headers, media_type=PROBLEM)
    if isinstance(error, NotSignedIn) and request.method in ("GET", "HEAD") and "sign-in" not in request.url.path:
        after = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?{urlencode({'after': after})}", 303)
    if isinstance(error, NotSignedIn) and request.method not in ("GET", "HEAD"):
        page = _sign_in_again(request)
    else:
        page = _page(request, error, status, text)
    answer = HTMLResponse(page, status, headers)
    keep_form_cookie(request, answer, secure=request.app.state.service.secure)
    return answer


def _meaning(error: Exception) -> tuple[int, str, Text]:
    if isinstance(error, Refused):
        return error.http_status, error.code, error.text
    if isinstance(error, RequestValidationError):
        return 422, "malformed", _malformed(error)
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.NOT_FOUND:
            return 404, NotFound.code, NotFound().text
        phrase = HTTPStatus(error.status_code).phrase
        return error.status_code, phrase.lower().replace(" ", "-"), Text(en=f"{phrase}.", zh=f"{phrase}。")
    if isinstance(error, GraderError) and error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        return 503, "unavailable", _BUSY
    return 500, "fault", _FAULT


def _malformed(error: RequestValidationError) -> Text:
    places = [f"{'.'.join(str(p) for p in e['loc'][1:]) or e['loc'][0]}: {e['msg']}" for e in error.errors()[:5]]
    said = "; ".join(places)[:600]
    return Text(en=f"The request is not as it should be. {said}", zh=f"请求的格式不正确。{said}")


def _document(request: Request, error: Exception, status: int, code: str, text: Text) -> dict[str, Any]:
    """RFC 9457. type: a name, not an address: there is nothing to fetch."""
    document: dict[str, Any] = {
        "type": f"urn:grader:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text.say(languages.choose(None, request.headers.get("accept-language"))),
        "instance": f"urn:grader:request:{request.state.request_id}",
    }
    if isinstance(error, Invalid):
        document["errors"] = [{"field": error.field, "detail": document["detail"]}]
    if isinstance(error, RequestValidationError):
        document["errors"] = [
            {"field": ".".join(str(part) for part in e["loc"]), "detail": e["msg"]} for e in error.errors()[:20]
        ]
    return document


_NOT_HANDED_IN = Text(
    en="You are not signed in any more, so your file was not handed in. Sign in, then choose the file again.",
    zh="登录已失效，文件没有提交成功。请重新登录，然后再选择一次文件。",
)
_NOT_SAVED = Text(
    en="You are not signed in any more, so what you sent was not saved. Sign in, then send it again.",
    zh="登录已失效，刚才发送的内容没有保存。请重新登录后再发送一次。",
)


def _sign_in_again(request: Request) -> str:
    """For a form that was sent after its session had ended: what became of it, and the way back to where it stood."""
    shell = plain_shell(request)
    came_from = urlsplit(request.headers.get("referer", ""))
    own = came_from.netloc == request.headers.get("host")
    back = came_from.path + (f"?{came_from.query}" if came_from.query else "") if own else request.url.path
    lost = _NOT_HANDED_IN if _SHEET.fullmatch(request.url.path) else _NOT_SAVED
    page = views.SignInPage(after=local_path(back), problem=lost.say(shell.lang))
    return languages.render("sign_in.html", shell, page)


def _page(request: Request, error: Exception, status: int, text: Text) -> str:
    shell = plain_shell(request)
    retry = error.retry_after_s if isinstance(error, TooMany) else None
    page = views.ErrorPage(
        status=status, message=text.say(shell.lang), error_id=request.state.request_id if status >= 500 else "",
        retry_s=retry,
    )  # fmt: skip
    return languages.render("error.html", shell, page)
