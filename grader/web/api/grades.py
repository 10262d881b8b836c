"""Grades over REST: asked for in many ways, as JSON or files for spreadsheets, Canvas and Moodle; and set by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Header, Query
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse, Response

from grader.errors import NotFound
from grader.service import access, exports, publishing, showing
from grader.service import grades as grading
from grader.service.access import Scope, need_scope
from grader.service.exports import Shape
from grader.service.grades import GradeRow, Wanted
from grader.store.models import Course, Published
from grader.store.states import GradeStatus, Role
from grader.web.api.answers import (
    LINK_HEADER,
    attachment,
    before_of,
    cursor_of,
    grade_answer,
    link_next,
    problems,
)
from grader.web.api.parameters import (
    AssignmentName,
    CourseName,
    Cursor,
    FilterText,
    Limit,
    Login,
    Moment,
    Number,
    Reason,
    Truth,
)
from grader.web.api.routing import CSV, make_router, prefers_csv
from grader.web.api.submissions import need_any
from grader.web.dependencies import Caller, TokenHolder
from grader.web.schemas import ExtensionAnswer, ExtensionBody, GradeAnswer, GradeList, OverrideBody, StudentGrades

router = make_router("grades")
SortWord = Literal["name", "-name", "login", "-login", "section", "-section", "score", "-score", "updated", "-updated"]
Format = Literal["json", "csv", "canvas", "moodle"]
_CSV = {"schema": {"type": "string"}, "example": "login,name,email,section,assignment,status,score,…"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """Which grades, as the query says."""

    assignment: FilterText = ""
    student: FilterText = ""
    section: Annotated[str | None, Query(pattern="^[^\\u0000]*$", max_length=40)] = None
    status: GradeStatus | None = None
    overridden: Truth | None = None
    late: Truth | None = None
    min_score: Annotated[Number | None, Query(description="Points, this included.")] = None
    max_score: Annotated[Number | None, Query(description="Points, this included.")] = None
    since: Annotated[Moment | None, Query(description="Changed then or later.")] = None
    until: Annotated[Moment | None, Query(description="Changed then or earlier.")] = None
    q: Annotated[FilterText, Query(description="Part of a name or login.")] = ""

    def wanted(self, course_id: int) -> Wanted:
        return Wanted(
            course_id=course_id, assignment=self.assignment, login=self.student, section=self.section,
            status=self.status, overridden=self.overridden, late=self.late, least=self.min_score, most=self.max_score,
            since=self.since, until=self.until, text=self.q,
        )  # fmt: skip


@router.get(
    "/courses/{course}/grades",
    response_model=GradeList,
    summary="Ask for grades",
    responses={
        200: {
            "description": "A page of them; as CSV everything that matches.",
            "content": {CSV: _CSV},
            "headers": LINK_HEADER,
        },
        **problems(),
    },
)
def list_grades(
    who: TokenHolder, course: CourseName, filter: Annotated[Filter, Depends()], sort: SortWord = "name",
    limit: Limit = 100, cursor: Cursor = None,
    format: Annotated[Format | None, Query(description="Instead of what Accept says.")] = None,
    accept: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> Response:  # fmt: skip
    """Staff see all of a course, with the scope grades:read; a student their own, with submit or grades:read, computed
    from what they may see. Filters hold together. `Accept: text/csv` or `format=csv` gives everything that matches in
    one file; `canvas` and `moodle` give one line a student, to be imported there."""
    shape = {"csv": Shape.GRADER, "canvas": Shape.CANVAS, "moodle": Shape.MOODLE}.get(
        format or ("csv" if prefers_csv(accept) else "")
    )
    following: str | None = None
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        wanted = filter.wanted(found.id)
        if not who.actor.is_staff(found.id):
            rows = own_grades(session, who, found, wanted, sort)
            if shape is None:
                rows, following = _slice(rows, limit, cursor)
        else:
            need_scope(who.actor, Scope.READ_GRADES)
            if shape is None:
                page = grading.page(session, wanted, sort=sort, limit=limit, cursor=cursor)
                rows, following = list(page.rows), page.next
            else:
                rows = grading.everything(session, wanted, sort=sort)
        names = _assignments(session, found, filter.assignment)
    if shape is not None:
        headers = {"Content-Disposition": attachment(f"grades-{course}.csv"), "Vary": "Accept"}
        return Response(exports.to_csv(rows, shape, assignments=names), media_type=CSV, headers=headers)
    answer = JSONResponse(
        GradeList(items=[grade_answer(row) for row in rows], next=following).model_dump(mode="json"),
        headers={"Vary": "Accept"},
    )
    link_next(who.request, answer, following)
    return answer


def own_grades(session: Session, who: Caller, course: Course, wanted: Wanted, sort: str = "name") -> list[GradeRow]:
    """A student's own grades as far as they may see them. Raises Forbidden."""
    need_any(who, Scope.SUBMIT, Scope.READ_GRADES)
    if who.actor.user_id is None:
        raise NotFound
    rows = grading.of_student(session, course.id, who.actor.user_id)
    seen = [showing.visible_grade(session, row, who.actor, who.now) for row in rows]
    return grading.chosen(seen, wanted, sort)


def _slice(rows: list[GradeRow], limit: int, cursor: str | None) -> tuple[list[GradeRow], str | None]:
    """A page of rows that are all here; the cursor holds how many came before."""
    start = before_of(cursor) or 0
    return rows[start : start + limit], cursor_of(start + limit) if start + limit < len(rows) else None


def _assignments(session: Session, course: Course, only: str) -> list[str]:
    query = select(Published.name).where(Published.course_id == course.id).order_by(Published.position)
    return [name for name in session.scalars(query) if only in ("", name)]


@router.get("/courses/{course}/students/{login}/grades", summary="One student's grades", responses=problems())
def student_grades(who: TokenHolder, course: CourseName, login: Login) -> StudentGrades:
    """One for each assignment, in the order of the course. Access as for the grades of the course."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        if who.actor.is_staff(found.id):
            need_scope(who.actor, Scope.READ_GRADES)
            rows = grading.of_student(session, found.id, access.member(session, found.id, login).user_id)
        elif login.casefold() == who.actor.login:
            need_any(who, Scope.SUBMIT, Scope.READ_GRADES)
            kept = grading.of_student(session, found.id, access.member(session, found.id, login).user_id)
            rows = [showing.visible_grade(session, row, who.actor, who.now) for row in kept]
        else:
            raise NotFound
    return StudentGrades(items=[grade_answer(row) for row in rows])


# What staff set ----------------------------------------------------------------------------------------------------


def may_set(session: Session, who: Caller, course: str, name: str) -> Published:
    """An assignment whose grades the caller may set. Raises NotFound, Forbidden."""
    published = access.published(session, who.actor, course, name, Role.TA)
    need_scope(who.actor, Scope.WRITE_GRADES)
    return published


def _grade(session: Session, published: Published, user_id: int) -> GradeAnswer:
    row = grading.one(session, published.id, user_id)
    if row is None:
        raise NotFound
    return grade_answer(row)


@router.put(
    "/courses/{course}/assignments/{name}/students/{login}/override",
    summary="Set a score by hand",
    responses=problems(409, body=True),
)
def set_override(
    who: TokenHolder, course: CourseName, name: AssignmentName, login: Login, body: OverrideBody
) -> GradeAnswer:
    """It counts instead of the computed score until it is removed. For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        published = may_set(session, who, course, name)
        grade = publishing.override(
            session, who.actor, published, login, body.score, body.reason, who.now,
            max_score=who.service.catalogue.get(published.name).max_score,
        )  # fmt: skip
        return _grade(session, published, grade.user_id)


@router.delete(
    "/courses/{course}/assignments/{name}/students/{login}/override",
    summary="Let the computed score count again",
    responses=problems(409),
)
def remove_override(
    who: TokenHolder, course: CourseName, name: AssignmentName, login: Login, reason: Reason
) -> GradeAnswer:
    """For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        published = may_set(session, who, course, name)
        grade = publishing.remove_override(session, who.actor, published, login, reason, who.now)
        return _grade(session, published, grade.user_id)


@router.put(
    "/courses/{course}/assignments/{name}/students/{login}/extension",
    summary="Give one student more time or attempts",
    responses=problems(409, body=True),
)
def set_extension(
    who: TokenHolder, course: CourseName, name: AssignmentName, login: Login, body: ExtensionBody
) -> ExtensionAnswer:
    """It replaces an earlier one; lateness and grade follow at once. For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        published = may_set(session, who, course, name)
        made = publishing.extend(
            session, who.actor, published, login, due_at=body.due_at, extra_attempts=body.extra_attempts,
            reason=body.reason, now=who.now,
        )  # fmt: skip
        return ExtensionAnswer(
            login=login.casefold(), assignment=published.name, due_at=made.due_at, extra_attempts=made.extra_attempts,
            reason=made.reason,
        )  # fmt: skip


@router.delete(
    "/courses/{course}/assignments/{name}/students/{login}/extension",
    status_code=204,
    response_class=Response,
    summary="Take an extension back",
    responses=problems(409),
)
def remove_extension(
    who: TokenHolder, course: CourseName, name: AssignmentName, login: Login, reason: Reason
) -> Response:
    """Lateness and grade follow at once. For staff, with the scope grades:write."""
    with who.service.store.write() as session:
        published = may_set(session, who, course, name)
        publishing.remove_extension(session, who.actor, published, login, reason, who.now)
    return Response(status_code=204)
