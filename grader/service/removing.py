"""Taking back what was a mistake: a member who handed in nothing, an assignment for which nothing was handed in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from grader.errors import Conflict
from grader.service import audit, roster
from grader.service.access import Actor, member
from grader.store.models import Course, Extension, Grade, Override, Published, Submission, User


def remove_member(session: Session, actor: Actor, course: Course, login: str, now: datetime) -> User:
    """Takes somebody out of a course; the account stays. Raises NotFound, Forbidden, Conflict."""
    enrolment = member(session, course.id, login)
    user = enrolment.user
    roster.may_give(actor, course, enrolment.role)
    roster.keep_an_admin(session, course, enrolment)
    published = select(Published.id).where(Published.course_id == course.id)
    submissions = (Submission.published_id.in_(published), Submission.user_id == user.id)
    if session.scalar(select(func.count(Submission.id)).where(*submissions)):
        raise Conflict(
            f"{user.login} has handed in files, which stay; users disable keeps somebody out.",
            f"{user.login} 已经提交过文件，这些文件会保留；users disable 可以禁止其登录。",
        )
    _no_score_was_set(session, Override.published_id.in_(published) & (Override.user_id == user.id))
    for table in (Grade, Extension, Override):
        session.execute(delete(table).where(table.published_id.in_(published), table.user_id == user.id))
    before = {"name": user.name, "email": user.email, "section": enrolment.section, "role": str(enrolment.role)}
    session.delete(enrolment)
    audit.note(session, actor, "roster.remove", user.login, now, course_id=course.id, user_id=user.id, before=before)
    session.flush()
    return user


def unpublish(session: Session, actor: Actor, published: Published, now: datetime) -> None:
    """Takes an assignment out of a course, with its rules and extensions. Raises Conflict."""
    if session.scalar(select(func.count(Submission.id)).where(Submission.published_id == published.id)):
        raise Conflict(
            f"Files were handed in for {published.name}, which stay; a later opening hides it.",
            f"{published.name} 已经有人提交，提交会保留；把开放时间改晚可以隐藏它。",
        )
    _no_score_was_set(session, Override.published_id == published.id)
    for table in (Grade, Extension, Override):
        session.execute(delete(table).where(table.published_id == published.id))
    before = {
        "opens_at": published.opens_at.isoformat(),
        "due_at": None if published.due_at is None else published.due_at.isoformat(),
    }
    audit.note(
        session, actor, "assignment.unpublish", published.name, now, course_id=published.course_id, before=before
    )
    session.delete(published)
    session.flush()


def _no_score_was_set(session: Session, whose: ColumnElement[bool]) -> None:
    if session.scalar(select(func.count(Override.id)).where(whose, Override.removed_at.is_(None))):
        raise Conflict(
            "A score was set by hand here; remove it first.", "这里有教师手动设置的分数，请先取消。"
        )  # fmt: skip
