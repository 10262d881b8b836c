"""One student for staff: grades, attempts, history, and the forms that change a grade."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from grader.errors import Invalid
from grader.service import access, audit, publishing, recording, submitting
from grader.store.models import Course, Grade, Published, User
from grader.store.states import GradeStatus, Role
from grader.web import audit_words, filling
from grader.web.dependencies import Caller, Form, Visitor
from grader.web.dependencies import field as text_field
from grader.web.pages.staff_gradebook import cell
from grader.web.security import local_path
from grader.web.shells import course_shell
from grader.web.staff_views import (
    Cell,
    ExtensionInForce,
    GradeForms,
    OverrideInForce,
    StudentGrade,
    StudentPage,
)

router = APIRouter()

HISTORY = 50
LOCAL = "%Y-%m-%dT%H:%M"  # what datetime-local sends


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A form that was not accepted: of which assignment, why by field, and what had been typed."""

    assignment: str
    problems: Mapping[str, str]
    values: Mapping[str, str] = field(default_factory=dict)


def reader(who: Caller) -> filling.Reader:
    return filling.Reader(service=who.service, actor=who.actor, lang=who.lang, now=who.now)


@router.get("/courses/{course}/students/{login}")
def show(who: Visitor, course: str, login: str) -> Response:
    return student(who, course, login)


def student(who: Caller, course: str, login: str, refusal: Refusal | None = None) -> Response:
    """The page; with what was wrong when one of its forms was refused."""
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        member = access.member(session, of.id, login)
        shell = course_shell(who.request, who.actor, of)
        is_student = member.role is Role.STUDENT
        page = StudentPage(
            course=of.name,
            login=member.user.login,
            name=member.user.name,
            section=member.section,
            role=member.role,
            grades=tuple(
                _grade(session, who, of, published, member.user, refusal)
                for published in (publishing.listed(session, of.id) if is_student else ())
            ),
            history=tuple(
                audit_words.line(row, shell)
                for row in audit.events(session, of.id, person=member.user.login, limit=HISTORY)
            ),
        )
    return who.page("staff/student.html", page, course=of, section="gradebook", status=422 if refusal else 200)


def _grade(
    session: Session, who: Caller, course: Course, published: Published, user: User, refusal: Refusal | None
) -> StudentGrade:
    held = submitting.terms(session, published, user.id)
    forms = grade_forms(session, who, course, published, user, f"/courses/{course.name}/students/{user.login}")
    if refusal is not None and refusal.assignment == published.name:
        forms = replace(forms, problems=refusal.problems, values=refusal.values)
    return StudentGrade(
        title=who.service.catalogue.get(published.name).title.say(who.lang),
        forms=forms,
        due_at=held.due_at,
        used=held.attempts_used,
        limit=held.attempt_limit,
        attempts=filling.attempts(session, reader(who), published, user.id),
    )


def grade_forms(
    session: Session, who: Caller, course: Course, published: Published, user: User, after: str
) -> GradeForms:
    """The forms for one student and assignment, with what is in force now."""
    grade = session.scalar(select(Grade).where(Grade.published_id == published.id, Grade.user_id == user.id))
    override = recording.override_in_force(session, published.id, user.id)
    extension = submitting.extension_in_force(session, published.id, user.id)
    due = submitting.terms(session, published, user.id).due_at
    return GradeForms(
        course=course.name,
        assignment=published.name,
        login=user.login,
        max_score=who.service.catalogue.get(published.name).max_score,
        after=after,
        cell=Cell(status=GradeStatus.MISSING) if grade is None else cell(grade),
        local_due="" if due is None else due.astimezone(ZoneInfo(course.timezone)).strftime(LOCAL),
        override=None
        if override is None
        else OverrideInForce(
            score=override.score,
            reason=override.reason,
            by=session.get_one(User, override.actor_id).login,
            at=override.created_at,
        ),
        extension=None
        if extension is None
        else ExtensionInForce(
            due_at=extension.due_at,
            extra_attempts=extension.extra_attempts,
            reason=extension.reason,
            by=session.get_one(User, extension.actor_id).login,
            at=extension.created_at,
        ),
    )


# Forms -----------------------------------------------------------------------------------------------------------

_PLACE = "/courses/{course}/assignments/{name}/students/{login}"


def _back(form: FormData, course: str, login: str) -> Response:
    after = text_field(form, "after")
    return RedirectResponse(local_path(after) if after else f"/courses/{course}/students/{login}", 303)


@router.post(_PLACE + "/override")
def override(who: Visitor, course: str, name: str, login: str, form: Form) -> Response:
    typed = {"score": text_field(form, "score"), "reason": text_field(form, "reason")}
    try:
        with who.service.store.write() as session:
            published = access.published(session, who.actor, course, name, Role.TA)
            publishing.override(
                session, who.actor, published, login, _number(typed["score"]), typed["reason"], who.now,
                max_score=who.service.catalogue.get(name).max_score,
            )  # fmt: skip
    except Invalid as error:
        problems = {error.field: error.text.say(who.lang)}
        return student(who, course, login, Refusal(assignment=name, problems=problems, values=typed))
    return _back(form, course, login)


@router.post(_PLACE + "/override/remove")
def remove_override(who: Visitor, course: str, name: str, login: str, form: Form) -> Response:
    with who.service.store.write() as session:
        published = access.published(session, who.actor, course, name, Role.TA)
        publishing.remove_override(session, who.actor, published, login, text_field(form, "reason"), who.now)
    return _back(form, course, login)


@router.post(_PLACE + "/extension")
def extension(who: Visitor, course: str, name: str, login: str, form: Form) -> Response:
    """A deadline that was left as it is gives only more attempts."""
    typed = {key: text_field(form, key) for key in ("due_at", "extra_attempts", "reason")}
    try:
        with who.service.store.write() as session:
            published = access.published(session, who.actor, course, name, Role.TA)
            due = local_time(typed["due_at"], "due_at", published.course)
            unchanged = due is not None and published.due_at is not None and due <= published.due_at
            more = whole_number(typed["extra_attempts"] or "0", "extra_attempts")
            publishing.extend(
                session, who.actor, published, login, due_at=None if unchanged and more else due,
                extra_attempts=more, reason=typed["reason"], now=who.now,
            )  # fmt: skip
    except Invalid as error:
        where = "extension_reason" if error.field == "reason" else error.field
        values = {**typed, "reason": "", "extension_reason": typed["reason"]}
        problems = {where: error.text.say(who.lang)}
        return student(who, course, login, Refusal(assignment=name, problems=problems, values=values))
    return _back(form, course, login)


@router.post(_PLACE + "/extension/remove")
def remove_extension(who: Visitor, course: str, name: str, login: str, form: Form) -> Response:
    with who.service.store.write() as session:
        published = access.published(session, who.actor, course, name, Role.TA)
        publishing.remove_extension(session, who.actor, published, login, text_field(form, "reason"), who.now)
    return _back(form, course, login)


def _number(text: str) -> float:
    """What is no number is refused like one that is out of range."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def whole_number(text: str, name: str) -> int:
    """Raises Invalid."""
    try:
        return int(text.strip())
    except ValueError:  # also for more digits than Python reads
        raise Invalid(name, "Give a whole number.", "请填写整数。") from None


def local_time(text: str, name: str, course: Course) -> datetime | None:
    """A time as datetime-local sends it, in the course's zone; none when empty. Raises Invalid."""
    if not text.strip():
        return None
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=ZoneInfo(course.timezone))
    except (ValueError, OverflowError):
        raise Invalid(name, "Give the time as 2026-11-22T23:59.", "请按 2026-11-22T23:59 的格式填写时间。") from None
