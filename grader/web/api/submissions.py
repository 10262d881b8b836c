"""Submissions and their reports over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from sqlalchemy import select
from starlette.responses import JSONResponse, StreamingResponse

from grader.errors import Forbidden, NotFound
from grader.reports import Report
from grader.service import access, attempts, regrading, showing
from grader.service.access import Scope, need_scope
from grader.service.attempts import WantedAttempts
from grader.store.codec import unpack, unpack_report
from grader.store.models import Blob, StoredReport, Submission
from grader.store.states import Role, SubmissionState
from grader.web import streams
from grader.web.api.answers import (
    LINK_HEADER,
    attachment,
    before_of,
    cursor_of,
    gives,
    language,
    link_next,
    problems,
    report_answer,
    submission_answer,
    submission_fields,
)
from grader.web.api.parameters import CheckName, CourseName, Cursor, FilterText, Id, Lang, Limit, Moment, ReportId
from grader.web.api.routing import STREAM, make_router
from grader.web.dependencies import Caller, TokenHolder
from grader.web.illustrations import PNG, SVG, Width, figure_answer, picture_answer
from grader.web.schemas import ReportAnswer, StoredReportAnswer, StoredReportList, SubmissionAnswer, SubmissionList

router = make_router("submissions")


def may_read(who: Caller, submission: Submission) -> None:
    """One's own submission with a token for handing in or for grades, others' with one for grades. Raises Forbidden."""
    if submission.user_id == who.actor.user_id:
        need_any(who, Scope.SUBMIT, Scope.READ_GRADES)
    else:
        need_scope(who.actor, Scope.READ_GRADES)


def need_any(who: Caller, *scopes: Scope) -> None:
    """Raises Forbidden for a token that has none of these."""
    if who.actor.scopes is not None and not who.actor.scopes & set(scopes):
        names = ", ".join(scopes)
        raise Forbidden(f"This token has none of the scopes {names}.", f"这个令牌没有以下任一权限：{names}。")


@router.get(
    "/courses/{course}/submissions",
    summary="List submissions",
    response_description="The newest first.",
    responses={200: {"headers": LINK_HEADER}, **problems()},
)
def list_submissions(
    who: TokenHolder, response: Response, course: CourseName,
    assignment: FilterText = "", student: FilterText = "", state: SubmissionState | None = None,
    since: Annotated[Moment | None, Query(description="Received then or later.")] = None,
    until: Annotated[Moment | None, Query(description="Received then or earlier.")] = None,
    limit: Limit = 50, cursor: Cursor = None,
) -> SubmissionList:  # fmt: skip
    """Staff see those of everybody, with the scope grades:read; students their own, with submit or grades:read."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        staff = who.actor.is_staff(found.id)
        need_any(who, *((Scope.READ_GRADES,) if staff else (Scope.SUBMIT, Scope.READ_GRADES)))
        wanted = WantedAttempts(
            course_id=found.id, assignment=assignment, login=student, user_id=None if staff else who.actor.user_id,
            state=state, since=since, until=until, before_id=before_of(cursor),
        )  # fmt: skip
        rows = attempts.page(session, wanted, limit + 1)
        items = [
            SubmissionAnswer(**submission_fields(session, who, submission, published, found.name, user))
            for submission, published, user in rows[:limit]
        ]
    following = cursor_of(items[-1].id) if len(rows) > limit else None
    link_next(who.request, response, following)
    return SubmissionList(items=items, next=following)


@router.get("/submissions/{id}", summary="One submission", responses=problems())
def one_submission(who: TokenHolder, id: Id) -> SubmissionAnswer:
    """Its state, and its place in the queue while it waits. One's own with the scope submit or grades:read; those of
    others, for staff, with grades:read."""
    with who.service.store.read() as session:
        submission = access.submission(session, who.actor, id)
        may_read(who, submission)
        return submission_answer(session, who, submission)


@router.get(
    "/submissions/{id}/report",
    response_model=ReportAnswer,
    summary="The report",
    responses={
        202: {"model": SubmissionAnswer, "description": "There is no verdict yet; the submission as it stands."},
        **problems(),
    },
)
def report(who: TokenHolder, id: Id, lang: Lang = None) -> ReportAnswer | JSONResponse:
    """The report that counts now; for students without checks that are kept back until they are released. Scopes as for
    the submission."""
    with who.service.store.read() as session:
        submission = access.submission(session, who.actor, id)
        may_read(who, submission)
        found = showing.visible_report(session, who.actor, submission, who.now) if submission.state.final else None
        waiting = submission_answer(session, who, submission)
    if found is None:
        return JSONResponse(waiting.model_dump(mode="json"), 202)
    return report_answer(found, language(who, lang), id)


@router.get("/submissions/{id}/reports", summary="Every stored report", responses=problems())
def reports(who: TokenHolder, id: Id, lang: Lang = None) -> StoredReportList:
    """The oldest first; those of regrades too, published or not. For staff, with the scope grades:read."""
    with who.service.store.read() as session:
        submission = access.submission(session, who.actor, id, Role.TA)
        need_scope(who.actor, Scope.READ_GRADES)
        rows = session.scalars(
            select(StoredReport).where(StoredReport.submission_id == submission.id).order_by(StoredReport.id)
        ).all()
    items = [
        StoredReportAnswer(
            id=row.id, created_at=row.created_at, status=row.status, score=row.score, max_score=row.max_score,
            assignment_version=row.assignment_version, current=row.id == submission.report_id, regrade=row.regrade_id,
            reused_from=row.reused_from_id,
            report=report_answer(unpack_report(row.content), language(who, lang), id, row.id),
        )
        for row in rows
    ]  # fmt: skip
    return StoredReportList(items=items)


def _asked_report(who: Caller, submission_id: int, report_id: int | None) -> Report | None:
    """The report that counts, as far as the caller may see it; for staff any stored one. Raises NotFound, Forbidden."""
    with who.service.store.read() as session:
        submission = access.submission(session, who.actor, submission_id)
        may_read(who, submission)
        if report_id is None:
            counts = submission.state.final
            return showing.visible_report(session, who.actor, submission, who.now) if counts else None
        access.submission(session, who.actor, submission_id, Role.TA)
        need_scope(who.actor, Scope.READ_GRADES)
        row = session.get(StoredReport, report_id)
        return unpack_report(row.content) if row is not None and row.submission_id == submission_id else None


@router.get(
    "/submissions/{id}/figures/{check}/{figure}.svg",
    response_class=Response,
    summary="A figure of the report",
    responses={
        200: gives(SVG, "The drawing; a sentence in its place where it cannot be drawn.", headers=["ETag"]),
        304: {"description": "It is the one that If-None-Match names."},
        **problems(),
    },
)
def one_figure(
    who: TokenHolder, id: Id, check: CheckName, figure: CheckName, lang: Lang = None,
    width: Annotated[Width, Query(description="For a page's column, or for a telephone.")] = "wide",
    report: ReportId = None,
) -> Response:  # fmt: skip
    """A chart that a check attached, with its own light and dark colours. `href` in the report is its address. Scopes
    as for the submission."""
    return figure_answer(who.request, _asked_report(who, id, report), check, figure, language(who, lang), width)


@router.get(
    "/submissions/{id}/pictures/{check}/{number}.png",
    response_class=Response,
    summary="A picture that the student's code drew",
    responses={
        200: gives(PNG, "As it was drawn. Nobody has checked what it shows.", headers=["ETag", "Content-Disposition"]),
        304: {"description": "It is the one that If-None-Match names."},
        **problems(),
    },
)
def one_picture(who: TokenHolder, id: Id, check: CheckName, number: Id, report: ReportId = None) -> Response:
    """`href` in the report is its address. Scopes as for the submission."""
    return picture_answer(who.request, _asked_report(who, id, report), check, number)


@router.get(
    "/submissions/{id}/file",
    response_class=Response,
    summary="The uploaded file",
    responses={
        200: gives("application/octet-stream", "As it was uploaded.", headers=["Content-Disposition"]),
        **problems(),
    },
)
def file(who: TokenHolder, id: Id) -> Response:
    """The upload itself, byte for byte. Scopes as for the submission."""
    with who.service.store.read() as session:
        submission = access.submission(session, who.actor, id)
        may_read(who, submission)
        blob = session.get(Blob, submission.blob_digest)
        if blob is None:
            raise NotFound
        packed = blob.data
    headers = {"Content-Disposition": attachment(submission.file_name)}
    return Response(unpack(packed), media_type="application/octet-stream", headers=headers)


@router.get(
    "/submissions/{id}/events",
    response_class=StreamingResponse,
    summary="What happens to a submission",
    responses={
        200: gives(STREAM, "Events `state`, `check` and, when the verdict is stored, `done`; then the stream ends."),
        **problems(),
    },
)
async def events(who: TokenHolder, id: Id) -> StreamingResponse:
    """Server-sent events. The stream begins with the present state and the checks that are known, so nothing is missed
    by whoever comes back. Scopes as for the submission."""
    return await streams.submission_events(who, id, lambda submission: may_read(who, submission))


@router.post(
    "/submissions/{id}/regrade", status_code=202, summary="Grade one submission again", responses=problems(409)
)
def grade_again(who: TokenHolder, id: Id) -> SubmissionAnswer:
    """Its new report counts at once. For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        submission = access.submission(session, who.actor, id, Role.TA)
        need_scope(who.actor, Scope.WRITE_GRADES)
        assignment = who.service.catalogue.get(submission.published.name)
        regrading.again(session, who.service.queue, who.actor, submission, assignment, who.now)
        return submission_answer(session, who, submission)
