"""Courses and their assignments over REST: terms, statements, starters, and how they are handed out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.errors import NotFound
from grader.reports import Language
from grader.service import access, grades, publishing, showing, submitting
from grader.service.access import Scope, need_scope
from grader.service.publishing import Rules
from grader.store.models import Course, Published
from grader.store.states import Role
from grader.web.api.answers import attachment, course_answer, gives, language, problems
from grader.web.api.parameters import AssignmentName, CourseName, Lang
from grader.web.api.routing import NOTEBOOK, make_router
from grader.web.api.starters import notebook
from grader.web.api.submissions import need_any
from grader.web.dependencies import Caller, TokenHolder
from grader.web.schemas import (
    AssignmentAnswer,
    AssignmentList,
    CourseAnswer,
    CourseList,
    MeAnswer,
    PartAnswer,
    PublishBody,
    RulesBody,
    TermsAnswer,
)

router = make_router("courses")
_READING = (Scope.SUBMIT, Scope.READ_GRADES, Scope.WRITE_GRADES, Scope.MANAGE)  # all but the one for metrics


@router.get("/me", summary="Whose token this is", responses=problems())
def me(who: TokenHolder) -> MeAnswer:
    """Its owner, what it may do, and the courses. Any token."""
    return MeAnswer(
        login=who.actor.login, name=who.actor.name, scopes=sorted(who.actor.scopes or ()), courses=_courses(who)
    )


@router.get("/courses", summary="My courses", responses=problems())
def list_courses(who: TokenHolder) -> CourseList:
    """Those that the owner of the token belongs to. Any scope but metrics."""
    need_any(who, *_READING)
    return CourseList(items=_courses(who))


def _courses(who: Caller) -> list[CourseAnswer]:
    with who.service.store.read() as session:
        found = session.scalars(select(Course).where(Course.id.in_(who.actor.courses)).order_by(Course.name)).all()
    return [course_answer(who, course) for course in found]


@router.get("/courses/{course}", summary="One course", responses=problems())
def one_course(who: TokenHolder, course: CourseName) -> CourseAnswer:
    """Any scope but metrics."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        need_any(who, *_READING)
    return course_answer(who, found)


@router.get("/courses/{course}/assignments", summary="The assignments of a course", responses=problems(409))
def list_assignments(who: TokenHolder, course: CourseName, lang: Lang = None) -> AssignmentList:
    """In the order of the course, with the terms that hold for the caller. Any scope but metrics."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        need_any(who, *_READING)
        rows = session.scalars(select(Published).where(Published.course_id == found.id).order_by(Published.position))
        items = [TermsAnswer(**_terms(session, who, row, course, language(who, lang))) for row in rows.all()]
    return AssignmentList(items=items)


@router.get("/courses/{course}/assignments/{name}", summary="One assignment", responses=problems(409))
def one_assignment(who: TokenHolder, course: CourseName, name: AssignmentName, lang: Lang = None) -> AssignmentAnswer:
    """Terms for the caller, parts with their points, and the statement in Markdown. Students find it from its opening
    on. Any scope but metrics."""
    with who.service.store.read() as session:
        published = open_assignment(session, who, course, name)
        return _assignment(session, who, published, course, language(who, lang))


@router.get(
    "/courses/{course}/assignments/{name}/starter.py",
    response_class=Response,
    summary="The starter as a script",
    responses={200: gives("text/x-python", "The script.", headers=["Content-Disposition"]), **problems(409)},
)
def starter_script(who: TokenHolder, course: CourseName, name: AssignmentName) -> Response:
    """What students begin with. Any scope but metrics."""
    with who.service.store.read() as session:
        published = open_assignment(session, who, course, name)
    headers = {"Content-Disposition": attachment(f"{published.name}.py")}
    return Response(who.service.catalogue.get(published.name).starter, media_type="text/x-python", headers=headers)


@router.get(
    "/courses/{course}/assignments/{name}/starter.ipynb",
    response_class=Response,
    summary="The starter as a notebook",
    responses={
        200: gives(NOTEBOOK, "The notebook.", headers=["Content-Disposition"]),
        **problems(409),
    },
)
def starter_notebook(who: TokenHolder, course: CourseName, name: AssignmentName, lang: Lang = None) -> Response:
    """The starter script in cells. Any scope but metrics."""
    with who.service.store.read() as session:
        published = open_assignment(session, who, course, name)
    found = who.service.catalogue.get(published.name)
    headers = {"Content-Disposition": attachment(f"{published.name}.ipynb")}
    made = notebook(found.starter, found.title.say(language(who, lang)))
    return Response(made, media_type=NOTEBOOK, headers=headers)


def open_assignment(session: Session, who: Caller, course: str, name: str) -> Published:
    """An assignment that the caller may read: students from its opening on. Raises NotFound, Forbidden."""
    published = access.published(session, who.actor, course, name)
    need_any(who, *_READING)
    if published.opens_at > who.now and not who.actor.is_staff(published.course_id):
        raise NotFound
    return published


# How it is handed out ----------------------------------------------------------------------------------------------


@router.post(
    "/courses/{course}/assignments",
    status_code=201,
    summary="Hand out an assignment",
    responses=problems(409, body=True),
)
def publish(who: TokenHolder, course: CourseName, body: PublishBody, lang: Lang = None) -> AssignmentAnswer:
    """One that is installed on this server and that the course does not have yet. For instructors, with the scope
    manage."""
    with who.service.store.write() as session:
        found = access.course(session, who.actor, course, Role.INSTRUCTOR)
        need_scope(who.actor, Scope.MANAGE)
        made = publishing.publish(session, who.actor, found, who.service.catalogue, body.name, _rules(body), who.now)
        return _assignment(session, who, made, course, language(who, lang))


@router.put(
    "/courses/{course}/assignments/{name}", summary="Change how it is handed out", responses=problems(409, body=True)
)
def change(
    who: TokenHolder, course: CourseName, name: AssignmentName, body: RulesBody, lang: Lang = None
) -> AssignmentAnswer:
    """All rules at once; lateness and grades follow from the new ones immediately. For instructors, with the scope
    manage."""
    with who.service.store.write() as session:
        published = access.published(session, who.actor, course, name, Role.INSTRUCTOR)
        need_scope(who.actor, Scope.MANAGE)
        publishing.change(session, who.actor, published, _rules(body), who.now, body.reason)
        return _assignment(session, who, published, course, language(who, lang))


def _rules(body: RulesBody) -> Rules:
    return Rules(
        opens_at=body.opens_at, due_at=body.due_at, late_days=body.late_days, late_percent=body.late_percent,
        attempt_limit=body.attempt_limit, counting=body.counting, release=body.release,
    )  # fmt: skip


def _assignment(session: Session, who: Caller, published: Published, course: str, lang: Language) -> AssignmentAnswer:
    found = who.service.catalogue.get(published.name)
    parts = [
        PartAnswer(
            name=part.name, title=part.title.say(lang), asks=list(part.asks),
            points=sum(check.points for check in found.checks if check.part == part.name),
        )
        for part in found.parts
    ]  # fmt: skip
    return AssignmentAnswer(
        **_terms(session, who, published, course, lang), runtime=found.runtime, version=found.version,
        late_days=published.late_days, parts=parts, statement=found.statement(lang),
    )  # fmt: skip


def _terms(session: Session, who: Caller, published: Published, course: str, lang: Language) -> dict[str, Any]:
    found = who.service.catalogue.get(published.name)
    held = submitting.terms(session, published, who.actor.user_id or 0)
    row = grades.one(session, published.id, who.actor.user_id or 0)
    grade = None if row is None else showing.visible_grade(session, row, who.actor, who.now)
    return {
        "course": course, "name": published.name, "title": found.title.say(lang), "max_score": found.max_score,
        "open": _is_open(held, who.now), "opens_at": held.opens_at, "due_at": held.due_at, "closes_at": held.closes_at,
        "late_percent": published.late_percent, "attempt_limit": held.attempt_limit,
        "attempts_used": held.attempts_used, "attempts_left": held.attempts_left, "extended": held.extended,
        "counting": published.counting, "release": published.release,
        "status": None if grade is None else grade.status, "score": None if grade is None else grade.score,
    }  # fmt: skip


def _is_open(held: submitting.Terms, now: datetime) -> bool:
    return held.opens_at <= now and not held.closed(now)
