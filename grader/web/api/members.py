"""Who is in a course, and who changed what in it, over REST."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from fastapi import Query, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from grader.reports import Language
from grader.service import access, audit, roster
from grader.service.access import Scope, need_scope
from grader.service.submitting import too_large
from grader.store.models import Course
from grader.store.states import Role
from grader.web.api.answers import LINK_HEADER, before_of, cursor_of, language, link_next, problems
from grader.web.api.parameters import CourseName, Cursor, FilterText, Lang, Limit, Login, Truth
from grader.web.api.routing import CSV, FORM, make_router
from grader.web.api.staff_schemas import (
    AuditAnswer,
    AuditList,
    LineErrorAnswer,
    LinkAnswer,
    MemberAnswer,
    MemberList,
    RosterAnswer,
)
from grader.web.api.submissions import need_any
from grader.web.dependencies import Caller, TokenHolder, opened_form, roster_of

router = make_router("people")
_MOST_BYTES = 2 << 20
_EXAMPLE = "login,name,email,section\nada,Ada Abel,ada@example.org,A\n"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            CSV: {"example": _EXAMPLE},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


@router.get("/courses/{course}/roster", summary="Who is in the course", responses=problems())
def members(who: TokenHolder, course: CourseName) -> MemberList:
    """Staff first, then students by section and name. For staff, with the scope grades:read or manage."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course, Role.TA)
        need_any(who, Scope.READ_GRADES, Scope.MANAGE)
        people = roster.people(session, found.id)
    items = [
        MemberAnswer(login=user.login, name=user.name, email=user.email, section=enrolment.section, role=enrolment.role)
        for enrolment, user in people
    ]
    return MemberList(items=items)


@router.post(
    "/courses/{course}/roster",
    summary="Bring in a roster",
    response_description="What it changed, or with preview=true would change.",
    responses=problems(409, body=True),
    openapi_extra=_BODY,
)
async def bring_in(
    who: TokenHolder, course: CourseName,
    preview: Annotated[Truth, Query(description="Change nothing; say what the file would change.")] = False,
    lang: Lang = None,
) -> RosterAnswer:  # fmt: skip
    """A CSV file with the columns login and name, and optionally email, section, role. A preview lists errors with
    their lines; a file with errors is not applied at all. The answer to an applied one has a sign-in link for everybody
    new. For instructors, with the scope manage."""

    await run_in_threadpool(_may_bring_in, who, course)
    data = await _data(who.request)
    return await run_in_threadpool(_bring_in, who, course, data, preview, language(who, lang))


def _may_bring_in(who: Caller, course: str) -> None:
    """Looked at before the body is read."""
    with who.service.store.read() as session:
        _course(session, who, course)


def _course(session: Session, who: Caller, name: str) -> Course:
    found = access.course(session, who.actor, name, Role.INSTRUCTOR)
    need_scope(who.actor, Scope.MANAGE)
    return found


async def _data(request: Request) -> bytes:
    """The file of a form, or the body itself. Raises Invalid, TooLarge."""
    if request.headers.get("content-type", "").lower().startswith(FORM):
        async with opened_form(request) as form:
            return await roster_of(form)
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MOST_BYTES:
            raise too_large(_MOST_BYTES)
    return bytes(data)


def _bring_in(who: Caller, name: str, data: bytes, only_preview: bool, lang: Language) -> RosterAnswer:
    links: dict[str, str] = {}
    with who.service.store.write() as session:
        course = _course(session, who, name)
        shown = roster.preview(session, who.actor, course, data)
        if not only_preview:
            _refuse(shown, lang)
            links = dict(roster.apply(session, who.actor, course, data, who.now).links)
    return RosterAnswer(
        applied=not only_preview, new=len(shown.new), changed=len(shown.changed), same=shown.same,
        people=[
            MemberAnswer(login=p.login, name=p.name, email=p.email, section=p.section, role=p.role)
            for p in shown.people
        ],
        errors=[LineErrorAnswer(line=error.line, detail=error.text.say(lang)) for error in shown.errors],
        links=[LinkAnswer(login=login, url=link_url(who, token)) for login, token in links.items()],
    )  # fmt: skip


def _refuse(shown: roster.Preview, lang: Language) -> None:
    """Raises the errors of a file, each with its line."""
    if shown.errors:
        raise RequestValidationError(
            [{"loc": ("body", f"line {e.line}"), "msg": e.text.say(lang), "type": "roster"} for e in shown.errors]
        )


def link_url(who: Caller, token: str) -> str:
    """The address of a sign-in link."""
    base = who.service.public_url or f"{who.request.url.scheme}://{who.request.url.netloc}"
    return f"{base.rstrip('/')}/sign-in/link/{token}"


@router.post(
    "/courses/{course}/students/{login}/link", status_code=201, summary="Make a sign-in link", responses=problems(409)
)
def make_link(who: TokenHolder, course: CourseName, login: Login) -> LinkAnswer:
    """For a member who forgot the password or lost the invitation; it works once and ends earlier ones. For instructors
    of every course that the member is in, with the scope manage."""
    with who.service.store.write() as session:
        found = _course(session, who, course)
        token = roster.new_link(session, who.actor, found, login, who.now)
    return LinkAnswer(login=login.casefold(), url=link_url(who, token))


@router.get(
    "/courses/{course}/audit",
    summary="Who changed what",
    response_description="The newest first.",
    responses={200: {"headers": LINK_HEADER}, **problems()},
)
def log(
    who: TokenHolder, response: Response, course: CourseName,
    action: Annotated[FilterText, Query(description="Its beginning.", examples=["override"])] = "",
    person: Annotated[FilterText, Query(description="Login of who did it or whom it concerns.")] = "",
    limit: Limit = 50, cursor: Cursor = None,
) -> AuditList:  # fmt: skip
    """Events of the course. For staff, with the scope grades:read or manage."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course, Role.TA)
        need_any(who, Scope.READ_GRADES, Scope.MANAGE)
        rows = audit.events(
            session, found.id, action=action, person=person, before_id=before_of(cursor), limit=limit + 1
        )
    following = cursor_of(rows[limit - 1].id) if len(rows) > limit else None
    link_next(who.request, response, following)
    items = [AuditAnswer(**{field.name: getattr(row, field.name) for field in fields(row)}) for row in rows[:limit]]
    return AuditList(items=items, next=following)
