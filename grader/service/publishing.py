"""Courses, the assignments they hand out, deadlines, extensions and overrides: what staff set."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.errors import Conflict, Invalid
from grader.service import audit, recording, submitting
from grader.service.access import Actor, acting_id, member
from grader.service.catalogue import Catalogue
from grader.store.models import Course, Extension, Grade, Override, Published, Submission, User
from grader.store.states import Counting, Release, Role

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_FIRST_YEAR, _LAST_YEAR = 1970, 2999


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How an assignment is handed out; see models.Published."""

    opens_at: datetime
    due_at: datetime | None = None
    late_days: int = 0
    late_percent: float = 0.0
    attempt_limit: int | None = None
    counting: Counting = Counting.BEST
    release: Release = Release.AT_ONCE

    def check(self) -> None:
        """Raises Invalid naming the field."""
        in_calendar("opens_at", self.opens_at)
        in_calendar("due_at", self.due_at)
        if self.due_at is not None and self.due_at <= self.opens_at:
            raise Invalid("due_at", "The due date must be after the opening.", "截止时间必须晚于开放时间。")
        if not 0 <= self.late_days <= 365:
            raise Invalid("late_days", "Late days are 0 to 365.", "可迟交天数为 0 到 365。")
        if not 0 <= self.late_percent <= 100:
            raise Invalid("late_percent", "The deduction a day is 0 to 100 percent.", "每天扣分比例为 0 到 100%。")
        if self.attempt_limit is not None and not 1 <= self.attempt_limit <= 1000:
            raise Invalid("attempt_limit", "The number of attempts is 1 to 1000.", "提交次数上限为 1 到 1000。")


def in_calendar(field: str, at: datetime | None) -> None:
    """Raises Invalid for a time that days are added to, or that a time zone moves, beyond what a date can be."""
    if at is not None and not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise Invalid(
            field, f"The year is {_FIRST_YEAR} to {_LAST_YEAR}.", f"年份应在 {_FIRST_YEAR} 到 {_LAST_YEAR} 之间。"
        )


def make_course(session: Session, actor: Actor, name: str, title: str, timezone: str, now: datetime) -> Course:
    """Raises Invalid, Conflict."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            "name",
            "A course's name has 1 to 40 small letters, digits, - and _.",
            "课程名由 1 到 40 个小写字母、数字、- 和 _ 组成。",
        )
    _check_course(title, timezone)
    if session.scalar(select(Course.id).where(Course.name == name)) is not None:
        raise Conflict(f"There is a course {name} already.", f"已经有名为 {name} 的课程。")
    course = Course(name=name, title=title.strip()[:200], timezone=timezone, created_at=now)
    session.add(course)
    session.flush()
    audit.note(session, actor, "course.make", name, now, course_id=course.id)
    return course


def publish(
    session: Session, actor: Actor, course: Course, catalogue: Catalogue, name: str, rules: Rules, now: datetime
) -> Published:
    """Hands out an assignment. Raises Invalid, Conflict when it is handed out already."""
    rules.check()
    if name not in catalogue.names:
        raise Invalid(
            "name", f"There is no assignment {name[:60]!r}; there are: {', '.join(catalogue.names)}.",
            f"没有作业 {name[:60]!r}；现有：{'、'.join(catalogue.names)}。",
        )  # fmt: skip
    if session.scalar(select(Published.id).where(Published.course_id == course.id, Published.name == name)) is not None:
        raise Conflict(f"{name} is in this course already.", f"{name} 已经在本课程中。")
    last = session.scalar(select(func.max(Published.position)).where(Published.course_id == course.id))
    published = Published(course_id=course.id, name=name, position=(last or 0) + 1, created_at=now)
    _apply(published, rules)
    session.add(published)
    session.flush()
    recording.make_rows(session, course.id, now)
    audit.note(session, actor, "assignment.publish", name, now, course_id=course.id, after=_shown(published))
    return published


def change(session: Session, actor: Actor, published: Published, rules: Rules, now: datetime, reason: str = "") -> int:
    """New rules for a published assignment; lateness and grades follow from them at once.

    Returns how many scores changed; each is in the log with before and after. Raises Invalid.
    """
    rules.check()
    before = _shown(published)
    _apply(published, rules)
    session.flush()
    if _shown(published) == before:
        return 0
    users = session.scalars(select(Grade.user_id).where(Grade.published_id == published.id)).all()
    changed = sum(reassess(session, actor, published, user_id, now, reason) for user_id in users)
    audit.note(
        session, actor, "assignment.change", published.name, now, course_id=published.course_id, before=before,
        after={**_shown(published), "scores_changed": changed}, reason=reason,
    )  # fmt: skip
    return changed


def effect(session: Session, actor: Actor, published: Published, rules: Rules, now: datetime) -> int:
    """How many scores new rules would change, without changing any. Raises Invalid."""
    with session.begin_nested() as trial:
        changed = change(session, actor, published, rules, now)
        trial.rollback()
    session.expire_all()
    return changed


def reassess(session: Session, actor: Actor, published: Published, user_id: int, now: datetime, reason: str) -> bool:
    """Lateness of what was handed in and the grade, after a deadline has moved. Whether the score changed."""
    submissions = session.scalars(
        select(Submission).where(Submission.published_id == published.id, Submission.user_id == user_id)
    ).all()
    grade = recording.lock_grade(session, published.id, user_id)
    if not submissions or grade is None:
        return False
    held = submitting.terms(session, published, user_id)
    for submission in submissions:
        submission.days_late = held.days_late(submission.received_at)
    session.flush()
    score = grade.score
    recording.recompute(session, published, user_id, now)
    if grade.score == score:
        return False
    audit.note(
        session, actor, "grade.reassessed", published.name, now, course_id=published.course_id, user_id=user_id,
        before={"score": score}, after={"score": grade.score}, reason=reason,
    )  # fmt: skip
    return True


def _apply(published: Published, rules: Rules) -> None:
    published.opens_at, published.due_at = rules.opens_at, rules.due_at
    published.late_days, published.late_percent = rules.late_days, rules.late_percent
    published.attempt_limit, published.counting, published.release = rules.attempt_limit, rules.counting, rules.release


def _shown(published: Published) -> dict[str, object]:
    return {
        "opens_at": published.opens_at.isoformat(),
        "due_at": None if published.due_at is None else published.due_at.isoformat(),
        "late_days": published.late_days,
        "late_percent": published.late_percent,
        "attempt_limit": published.attempt_limit,
        "counting": str(published.counting),
        "release": str(published.release),
    }


def listed(session: Session, course_id: int) -> list[Published]:
    return list(session.scalars(select(Published).where(Published.course_id == course_id).order_by(Published.position)))


# One student's exceptions ------------------------------------------------------------------------------------------


def _student(session: Session, published: Published, login: str) -> User:
    enrolment = member(session, published.course_id, login)
    if enrolment.role is not Role.STUDENT:
        raise Conflict(f"{login} is not a student of this course.", f"{login} 不是本课程的学生。")
    return enrolment.user


def _reason(reason: str) -> str:
    if not reason.strip():
        raise Invalid("reason", "Say why; the log keeps it.", "请写明原因，日志会保存。")
    return reason.strip()[:1000]


def override(
    session: Session, actor: Actor, published: Published, login: str, score: float, reason: str, now: datetime, *,
    max_score: float,
) -> Grade:  # fmt: skip
    """Sets a student's score. Raises Invalid for a score outside of 0 to twice the maximum or without a reason."""
    reason = _reason(reason)
    if not (math.isfinite(score) and 0 <= score <= 2 * max_score):
        raise Invalid(
            "score", f"The score is a number from 0 to {2 * max_score:g}.", f"分数应在 0 到 {2 * max_score:g} 之间。"
        )
    user = _student(session, published, login)
    grade = _grade(session, published, user)
    before = {"score": grade.score, "overridden": grade.overridden}
    earlier = recording.override_in_force(session, published.id, user.id)
    if earlier is not None:
        earlier.removed_at = now
    session.add(
        Override(
            published_id=published.id, user_id=user.id, score=score, reason=reason, actor_id=acting_id(session, actor),
            created_at=now,
        )
    )  # fmt: skip
    session.flush()
    recording.recompute(session, published, user.id, now)
    audit.note(
        session, actor, "override.set", published.name, now, course_id=published.course_id, user_id=user.id,
        before=before, after={"score": grade.score, "overridden": True}, reason=reason,
    )  # fmt: skip
    return grade


def remove_override(
    session: Session, actor: Actor, published: Published, login: str, reason: str, now: datetime
) -> Grade:
    """The computed score counts again. Raises Conflict when there is no override, Invalid without a reason."""
    reason = _reason(reason)
    user = _student(session, published, login)
    grade = _grade(session, published, user)
    override = recording.override_in_force(session, published.id, user.id)
    if override is None:
        raise Conflict("This score was not overridden.", "这个分数没有被改动过。")
    before = {"score": grade.score, "overridden": True}
    override.removed_at = now
    session.flush()
    recording.recompute(session, published, user.id, now)
    audit.note(
        session, actor, "override.remove", published.name, now, course_id=published.course_id, user_id=user.id,
        before=before, after={"score": grade.score, "overridden": False}, reason=reason,
    )  # fmt: skip
    return grade


def extend(
    session: Session, actor: Actor, published: Published, login: str, *, due_at: datetime | None, extra_attempts: int,
    reason: str, now: datetime,
) -> Extension:  # fmt: skip
    """A later deadline, more attempts or both for one student; replaces an earlier extension. Raises Invalid."""
    reason = _reason(reason)
    if due_at is None and extra_attempts == 0:
        raise Invalid(
            "due_at", "Give a later deadline, more attempts, or both.", "请填写新的截止时间、增加的次数，或两者。"
        )
    if not 0 <= extra_attempts <= 1000:
        raise Invalid("extra_attempts", "Extra attempts are 0 to 1000.", "增加的次数为 0 到 1000。")
    in_calendar("due_at", due_at)
    if due_at is not None and (published.due_at is None or due_at <= published.due_at):
        raise Invalid(
            "due_at",
            "The new deadline must be later than the assignment's.",
            "新的截止时间必须晚于作业原来的截止时间。",
        )
    user = _student(session, published, login)
    earlier = submitting.extension_in_force(session, published.id, user.id)
    if earlier is not None:
        earlier.removed_at = now
    extension = Extension(
        published_id=published.id, user_id=user.id, due_at=due_at, extra_attempts=extra_attempts, reason=reason,
        actor_id=acting_id(session, actor), created_at=now,
    )  # fmt: skip
    session.add(extension)
    session.flush()
    reassess(session, actor, published, user.id, now, reason)
    audit.note(
        session, actor, "extension.set", published.name, now, course_id=published.course_id, user_id=user.id,
        before=_extended(earlier), after=_extended(extension), reason=reason,
    )  # fmt: skip
    return extension


def remove_extension(
    session: Session, actor: Actor, published: Published, login: str, reason: str, now: datetime
) -> None:
    """Raises Conflict when there is none, Invalid without a reason."""
    reason = _reason(reason)
    user = _student(session, published, login)
    extension = submitting.extension_in_force(session, published.id, user.id)
    if extension is None:
        raise Conflict("This student has no extension.", "这名学生没有延期。")
    extension.removed_at = now
    session.flush()
    reassess(session, actor, published, user.id, now, reason)
    audit.note(
        session, actor, "extension.remove", published.name, now, course_id=published.course_id, user_id=user.id,
        before=_extended(extension), reason=reason,
    )  # fmt: skip


def _extended(extension: Extension | None) -> dict[str, object] | None:
    if extension is None:
        return None
    due = None if extension.due_at is None else extension.due_at.isoformat()
    return {"due_at": due, "extra_attempts": extension.extra_attempts}


def _grade(session: Session, published: Published, user: User) -> Grade:
    grade = recording.lock_grade(session, published.id, user.id)
    assert grade is not None  # make_rows runs with every enrolment and publication
    return grade


# The course itself -------------------------------------------------------------------------------------------------


def rename(
    session: Session, actor: Actor, course: Course, title: str | None, timezone: str | None, now: datetime
) -> None:
    """Another title, another time zone, or both; none: as it is. Moments of deadlines stay. Raises Invalid."""
    before = {"title": course.title, "timezone": course.timezone}
    after = {"title": course.title if title is None else title.strip()[:200], "timezone": timezone or course.timezone}
    _check_course(after["title"], after["timezone"])
    course.title, course.timezone = after["title"], after["timezone"]
    if before != after:
        audit.note(
            session, actor, "course.change", course.name, now, course_id=course.id, before=before, after=after
        )  # fmt: skip


def _check_course(title: str, timezone: str) -> None:
    if not title.strip():
        raise Invalid("title", "Give the course a title.", "请填写课程标题。")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Invalid(
            "timezone", f"There is no time zone {timezone[:60]!r}; an example is Asia/Shanghai.",
            f"没有名为 {timezone[:60]!r} 的时区，例如 Asia/Shanghai。",
        ) from None  # fmt: skip
