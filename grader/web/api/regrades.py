"""Regrades over REST: begin, watch, compare, publish or cancel."""

from __future__ import annotations

from fastapi import Response
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from grader.errors import NotFound
from grader.service import access, regrading
from grader.service.access import Scope, need_scope
from grader.store.models import Published, Regrade
from grader.store.states import Role
from grader.web import streams
from grader.web.api.answers import gives, problems
from grader.web.api.parameters import AssignmentName, CourseName, Id
from grader.web.api.routing import STREAM, make_router
from grader.web.api.staff_schemas import (
    ChangeAnswer,
    ChangeList,
    CheckChangeAnswer,
    PublishedAnswer,
    RegradeAnswer,
    RegradeList,
)
from grader.web.dependencies import Caller, TokenHolder
from grader.web.schemas import RegradeBody

router = make_router("regrades")
_AT = "/courses/{course}/assignments/{name}/regrades"


def _may(session: Session, who: Caller, course: str, name: str, scope: Scope) -> Published:
    published = access.published(session, who.actor, course, name, Role.TA)
    need_scope(who.actor, scope)
    return published


def _find(session: Session, who: Caller, course: str, name: str, regrade_id: int, scope: Scope) -> Regrade:
    published = _may(session, who, course, name, scope)
    regrade = regrading.find(session, published.course_id, regrade_id)
    if regrade.published_id != published.id:
        raise NotFound
    return regrade


def _answer(session: Session, regrade: Regrade, course: str) -> RegradeAnswer:
    progress = regrading.progress(session, regrade)
    return RegradeAnswer(
        id=regrade.id, course=course, assignment=regrade.published.name, every_attempt=regrade.every_attempt,
        reason=regrade.reason, state=regrade.state, created_at=regrade.created_at, ended_at=regrade.ended_at,
        done=progress.done, total=progress.total,
    )  # fmt: skip


@router.post(
    _AT,
    status_code=202,
    summary="Grade an assignment anew",
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}, "required": True}}},
        **problems(409, body=True),
    },
)
def begin(
    who: TokenHolder, response: Response, course: CourseName, name: AssignmentName, body: RegradeBody
) -> RegradeAnswer:
    """The attempts that count, or all. Students see nothing of it before it is published. For staff, with the scope
    grades:write."""
    with who.service.store.write() as session:
        published = _may(session, who, course, name, Scope.WRITE_GRADES)
        made = regrading.begin(
            session, who.service.queue, who.actor, published, who.service.catalogue.get(published.name),
            every_attempt=body.every_attempt, reason=body.reason, now=who.now,
        )  # fmt: skip
        answer = _answer(session, made, course)
    response.headers["Location"] = f"/api/v1/courses/{course}/assignments/{name}/regrades/{answer.id}"
    return answer


@router.get(_AT, summary="The regrades of an assignment", responses=problems())
def list_regrades(who: TokenHolder, course: CourseName, name: AssignmentName) -> RegradeList:
    """The newest first, at most 100. For staff, with the scope grades:read."""
    with who.service.store.read() as session:
        published = _may(session, who, course, name, Scope.READ_GRADES)
        rows = session.scalars(
            select(Regrade).where(Regrade.published_id == published.id).order_by(Regrade.id.desc()).limit(100)
        ).all()
        return RegradeList(items=[_answer(session, row, course) for row in rows])


@router.get(_AT + "/{id}", summary="One regrade", responses=problems())
def one_regrade(who: TokenHolder, course: CourseName, name: AssignmentName, id: Id) -> RegradeAnswer:
    """Its state and progress. For staff, with the scope grades:read."""
    with who.service.store.read() as session:
        return _answer(session, _find(session, who, course, name, id, Scope.READ_GRADES), course)


@router.get(_AT + "/{id}/changes", summary="Before and after", responses=problems())
def changes(who: TokenHolder, course: CourseName, name: AssignmentName, id: Id) -> ChangeList:
    """Every submission of the regrade, changed ones first, with the checks that differ. For staff, with the scope
    grades:read."""
    with who.service.store.read() as session:
        found = regrading.changes(session, _find(session, who, course, name, id, Scope.READ_GRADES))
    return ChangeList(items=[_change(change) for change in found])


def _change(change: regrading.Change) -> ChangeAnswer:
    return ChangeAnswer(
        submission_id=change.submission_id, number=change.number, login=change.login, name=change.name,
        status=change.status, before=change.before, after=change.after, changed=change.changed,
        checks=[CheckChangeAnswer(check=c.check_id, before=c.before, after=c.after) for c in change.checks],
    )  # fmt: skip


@router.post(_AT + "/{id}/publish", summary="Let the new reports count", responses=problems(409))
def publish(who: TokenHolder, course: CourseName, name: AssignmentName, id: Id) -> PublishedAnswer:
    """When all are graded. For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        regrade = _find(session, who, course, name, id, Scope.WRITE_GRADES)
        changed = regrading.publish(session, who.actor, regrade, who.now)
        return PublishedAnswer(regrade=_answer(session, regrade, course), grades_changed=changed)


@router.post(_AT + "/{id}/cancel", summary="Drop a regrade", responses=problems(409))
def cancel(who: TokenHolder, course: CourseName, name: AssignmentName, id: Id) -> RegradeAnswer:
    """Its reports count for nothing. For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        regrade = _find(session, who, course, name, id, Scope.WRITE_GRADES)
        regrading.cancel(session, who.service.queue, who.actor, regrade, who.now)
        return _answer(session, regrade, course)


@router.get(
    _AT + "/{id}/events",
    response_class=StreamingResponse,
    summary="The progress of a regrade",
    responses={200: gives(STREAM, "Events `progress` and, at the end, `done`."), **problems()},
)
async def events(who: TokenHolder, course: CourseName, name: AssignmentName, id: Id) -> StreamingResponse:
    """Server-sent events; the first says how far it is. For staff, with the scope grades:read."""

    def course_id() -> int:
        with who.service.store.read() as session:
            return _find(session, who, course, name, id, Scope.READ_GRADES).published.course_id

    return await streams.regrade_events(who, await run_in_threadpool(course_id), id)
