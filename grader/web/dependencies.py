"""Who asks, for routes. Pages know people by their session cookie, the API by a bearer token; neither takes the other.

A route opens its own transaction (`with who.service.store.write() as session`) and ends it before it answers. It is not
a dependency: waiting writers would fill the pool of threads that the one who writes needs to go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import HTMLResponse, Response

from grader.errors import Invalid, NotSignedIn
from grader.reports import Language
from grader.service import accounts
from grader.service.access import Actor, Scope, actor_of
from grader.service.submitting import KINDS, Upload, too_large
from grader.store.models import Course, User
from grader.web import languages, security
from grader.web.hosting import Service
from grader.web.shells import course_shell, plain_shell

_MOST_FIELDS, _FIELD_BYTES, _MOST_ROSTER = 60, 5 << 20, 2 << 20
_MOST_ID = 2**31 - 1  # as far as PostgreSQL numbers our rows
_bearer = HTTPBearer(auto_error=False, description="A token made on the account page or by `grader token make`.")


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who may ask. now: when this was looked up; arrived: when the request began."""

    actor: Actor
    service: Service
    request: Request
    now: datetime

    @property
    def arrived(self) -> datetime:
        found: datetime = self.request.state.arrived
        return found

    def page(
        self, template: str, page: Any, *, course: Course | None = None, section: str = "", status: int = 200
    ) -> Response:
        """A page as the answer. page: the record of views that the template wants."""
        if course is None:
            shell = plain_shell(self.request, self.actor, section=section)
        else:
            shell = course_shell(self.request, self.actor, course, section=section)
        return HTMLResponse(languages.render(template, shell, page), status)

    @property
    def lang(self) -> Language:
        return plain_shell(self.request).lang


def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def visitor(request: Request) -> Caller:
    """Whoever is signed in by the browser's cookie. Raises NotSignedIn."""
    service = service_of(request)
    found = security.read_session(request, service.secret)
    if found is None:
        raise NotSignedIn("Please sign in.", "请先登录。")
    with service.store.read() as session:
        user = session.get(User, found.user_id)
        if user is None or not user.active or user.session_epoch != found.epoch:
            raise NotSignedIn("Please sign in again.", "请重新登录。")
        actor = actor_of(session, user, via="web", request_id=request.state.request_id)
    return Caller(actor=actor, service=service, request=request, now=service.now())


def token_holder(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Whoever the bearer token belongs to. Raises NotSignedIn."""
    service = service_of(request)
    if credentials is None:
        raise NotSignedIn(
            "Send a token: Authorization: Bearer grader_...", "请携带令牌：Authorization: Bearer grader_..."
        )
    now = service.now()
    with service.store.read() as session:
        token = accounts.bearer(session, credentials.credentials, now)
        scopes = frozenset(Scope(word) for word in token.scopes.split() if word in list(Scope))
        actor = actor_of(session, token.user, scopes=scopes, via="api", request_id=request.state.request_id)
        touch = accounts.wants_touch(token, now)
    if touch:
        with service.store.write(shared=True) as session:
            accounts.touch(session, token.id, now)
    return Caller(actor=actor, service=service, request=request, now=now)


RowId = Annotated[int, Path(ge=1, le=_MOST_ID)]
BeforeId = Annotated[int | None, Query(ge=1, le=_MOST_ID)]
Visitor = Annotated[Caller, Depends(visitor)]
TokenHolder = Annotated[Caller, Depends(token_holder)]


async def read_form(request: Request) -> AsyncIterator[FormData]:
    """The fields of a form, its token and its source checked. Raises Forbidden, Invalid.

    A file in it has at most the size that the guard lets through and waits on disk, not in memory.
    """
    security.check_source(request, service_of(request).public_url)
    async with opened_form(request) as form:
        security.check_form(request, form.get("csrf"), service_of(request).secret)
        yield form


@asynccontextmanager
async def opened_form(request: Request) -> AsyncIterator[FormData]:
    """A form, whose file is gone from the disk afterwards. Raises Invalid."""
    form = await _parse_form(request)
    try:
        yield form
    finally:
        await form.close()


async def _parse_form(request: Request) -> FormData:
    """Raises Invalid for a form that cannot be read.

    Texts are in UTF-8. The parser would take any codec that Python has, some of which need time that grows with the
    square of the text or give characters that no database takes.
    """
    _, told = parse_options_header(request.headers.get("content-type", ""))
    if told.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
        raise Invalid("form", "Send the form in UTF-8.", "请用 UTF-8 编码提交表单。")
    try:
        return await request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_FIELD_BYTES)
    except MultiPartException as error:
        raise Invalid("form", f"The form cannot be read: {error.message}", f"无法读取表单：{error.message}") from None
    except HTTPException as error:  # starlette turns its parser's complaint into one
        raise Invalid("form", "The form cannot be read.", "无法读取表单。") from error


Form = Annotated[FormData, Depends(read_form)]


def field(form: FormData, name: str, default: str = "") -> str:
    """A text field; a file under this name counts as absent."""
    value = form.get(name, default)
    return value if isinstance(value, str) else default


async def upload_of(form: FormData) -> Upload:
    """The file or pasted text of a form. Raises Invalid, TooLarge."""
    file = form.get("file")
    if isinstance(file, UploadFile) and file.filename:
        if file.size is not None and file.size > max(KINDS.values()):
            raise too_large(max(KINDS.values()))
        data = await file.read()
        return await run_in_threadpool(Upload.of, file.filename, data)
    pasted = form.get("pasted")
    if isinstance(pasted, str) and pasted.strip():
        text = pasted.replace("\r\n", "\n").encode()
        return await run_in_threadpool(Upload.of, "pasted.py", text)
    raise Invalid("file", "Choose a file, or paste your code.", "请选择文件，或粘贴代码。")


async def roster_of(form: FormData) -> bytes:
    """The CSV file or pasted lines of a roster form. Raises Invalid, TooLarge."""
    file = form.get("file")
    data = await file.read() if isinstance(file, UploadFile) and file.filename else field(form, "pasted").encode()
    if len(data) > _MOST_ROSTER:
        raise too_large(_MOST_ROSTER)
    if not data.strip():
        raise Invalid("file", "Choose a CSV file, or paste its lines.", "请选择 CSV 文件，或粘贴其内容。")
    return data
