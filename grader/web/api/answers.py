"""From the records of the services to the answers of REST, and what every route says about its errors."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from grader.errors import Invalid
from grader.reports import Language, Report
from grader.service import showing
from grader.service.grades import GradeRow
from grader.store.models import Course, Published, Submission, User
from grader.web import illustrations, languages
from grader.web.api.parameters import MOST_ID
from grader.web.api.routing import NOTEBOOK, PROBLEM, STREAM
from grader.web.dependencies import Caller
from grader.web.schemas import CourseAnswer, GradeAnswer, PlaceAnswer, ReportAnswer, SubmissionAnswer

_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_WORDS = {
    400: "The request cannot be read.",
    401: "There is no token, or it is not valid.",
    403: "The token or the role does not allow this.",
    404: "It is not there, or not for the owner of this token.",
    406: "Accept allows none of the answers that are given here.",
    408: "The body did not arrive in time.",
    409: "It does not fit to what is there; `detail` says how.",
    413: "The body is too large.",
    415: "The body is of a kind that is not taken here.",
    422: "A parameter or field makes no sense; `errors` names it.",
    429: "Too many requests; Retry-After says when to try again.",
    503: "The service cannot reach its database just now.",
}
_ALWAYS = (400, 401, 403, 404, 406, 413, 422, 429, 503)
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}, "required": True}}

Responses = dict[int | str, dict[str, Any]]


def problems(*more: int, body: bool = False, anonymous: bool = False) -> Responses:
    """The descriptions of errors for a route. body: it takes one. anonymous: it asks for no token."""
    statuses = {*_ALWAYS, *more, *((408, 415) if body else ())} - ({401, 403, 404, 422} if anonymous else set())
    return {status: _problem(status) for status in sorted(statuses)}


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {"description": _WORDS[status], "content": {PROBLEM: {"schema": _PROBLEM_SCHEMA}}}
    return {**found, "headers": _RETRY} if status == 429 else found


_EVENT = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
_SHAPES: dict[str, dict[str, Any]] = {
    STREAM: {"itemSchema": _EVENT},
    NOTEBOOK: {"schema": {"type": "object", "required": ["cells", "metadata", "nbformat", "nbformat_minor"]}},
}


def gives(kind: str, description: str, *, headers: Iterable[str] = ()) -> dict[str, Any]:
    """The description of an answer that is not JSON."""
    shape = _SHAPES.get(kind, {"schema": {"type": "string"}})
    content = {kind: shape}
    named = {name: {"schema": {"type": "string"}, "required": True} for name in headers}
    return {"description": description, "content": content, "headers": named}


def language(who: Caller, lang: Language | None) -> Language:
    return lang or languages.choose(None, who.request.headers.get("accept-language"))


def course_answer(who: Caller, course: Course) -> CourseAnswer:
    member = who.actor.courses[course.id]
    return CourseAnswer(
        name=course.name, title=course.title, timezone=course.timezone, role=member.role, section=member.section
    )


def submission_fields(
    session: Session, who: Caller, submission: Submission, published: Published, course: str, user: User
) -> dict[str, Any]:
    """A submission as far as the caller may see it, but for its place in the queue."""
    return {
        "id": submission.id, "course": course, "assignment": published.name, "login": user.login, "name": user.name,
        "number": submission.number, "file": submission.file_name, "received_at": submission.received_at,
        "days_late": submission.days_late, "state": submission.state, "finished_at": submission.finished_at,
        "score": showing.visible_score(session, who.actor, submission, who.now),
    }  # fmt: skip


def place_answer(session: Session, who: Caller, submission: Submission) -> PlaceAnswer | None:
    place = None if submission.state.final else who.service.queue.place(session, submission.id)
    return None if place is None else PlaceAnswer(before=place.before, seconds=place.seconds)


def submission_answer(session: Session, who: Caller, submission: Submission) -> SubmissionAnswer:
    published = submission.published
    return SubmissionAnswer(
        **submission_fields(session, who, submission, published, published.course.name, submission.user),
        place=place_answer(session, who, submission),
    )


def report_answer(report: Report, lang: Language, submission_id: int, report_id: int | None = None) -> ReportAnswer:
    """report_id: of a report that need not be the one that counts."""
    bare = replace(report, checks=tuple(replace(check, figures=(), pictures=()) for check in report.checks))
    told = bare.to_json(lang)
    base, query = f"/api/v1/submissions/{submission_id}", "" if report_id is None else f"?report={report_id}"
    for shown, check in zip(told["checks"], report.checks, strict=True):
        shown["figures"] = [
            {"name": view.name, "title": view.title, "alt": view.alt, "href": f"{base}/{view.path}{query}"}
            for view in illustrations.figures_of(check, lang)
        ]
        shown["pictures"] = [
            {
                "width": view.width, "height": view.height, "title": view.check, "alt": view.alt,
                "href": f"{base}/{view.path}{query}",
            }
            for view in illustrations.pictures_of(check, lang)
        ]  # fmt: skip
    return ReportAnswer.model_validate(told)


def grade_answer(row: GradeRow) -> GradeAnswer:
    return GradeAnswer(
        login=row.login, name=row.name, email=row.email, section=row.section, assignment=row.assignment,
        status=row.status, score=row.score, computed_score=row.computed, overridden=row.overridden,
        days_late=row.days_late, attempts=row.attempts, submission_id=row.submission_id, updated_at=row.updated_at,
    )  # fmt: skip


def attachment(name: str) -> str:
    """A Content-Disposition that saves the answer under this name, whatever characters it has (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name).strip() or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """The Link header of a page that another one follows."""
    if cursor is not None:
        kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
        response.headers["Link"] = f'<{request.url.path}?{urlencode([*kept, ("cursor", cursor)])}>; rel="next"'


LINK_HEADER = {"Link": {"description": "The page after this one.", "schema": {"type": "string"}, "required": False}}


def cursor_of(row_id: int) -> str:
    return base64.urlsafe_b64encode(f"id:{row_id}".encode()).decode().rstrip("=")


def before_of(cursor: str | None) -> int | None:
    """The id in a cursor. Raises Invalid."""
    if cursor is None:
        return None
    try:
        word, _, number = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").partition(":")
    except ValueError:
        word, number = "", ""
    if word != "id" or not number.isdigit() or len(number) > 19 or not 0 < int(number) <= MOST_ID:
        raise Invalid(
            "cursor", "This cursor is not one that an earlier page gave.", "这个 cursor 不是之前的某一页给出的。"
        )
    return int(number)
