"""Who asks, and what they may see and do. Everything that is not theirs is "not found", never "forbidden"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.errors import Conflict, Forbidden, NotFound, NotSignedIn
from grader.store.models import Course, Enrolment, Published, Submission, User
from grader.store.states import Role


class Scope(StrEnum):
    """What a token may be used for; a session of the browser may do everything its owner may."""

    SUBMIT = "submit"  # hand in, and read what is one's own
    READ_GRADES = "grades:read"
    WRITE_GRADES = "grades:write"  # override, extension, regrade
    MANAGE = "manage"  # roster, deadlines, tokens
    METRICS = "metrics"  # /metrics alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    role: Role
    section: str


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who asks. courses: by id. scopes: of the token; None for a session and for the shell."""

    user_id: int | None
    login: str
    name: str
    courses: Mapping[int, Membership]
    scopes: frozenset[Scope] | None = None
    via: str = "web"  # web, api, cli
    request_id: str = ""
    everything: bool = field(default=False)  # the shell of the machine: whoever has it has the database anyway

    def role(self, course_id: int) -> Role | None:
        if self.everything:
            return Role.ADMIN
        member = self.courses.get(course_id)
        return None if member is None else member.role

    def is_staff(self, course_id: int) -> bool:
        role = self.role(course_id)
        return role is not None and role.rank >= Role.TA.rank

    @property
    def highest(self) -> Role | None:
        """The most that this person is anywhere."""
        if self.everything:
            return Role.ADMIN
        return max((m.role for m in self.courses.values()), key=lambda role: role.rank, default=None)


SHELL = Actor(user_id=None, login="shell", name="shell", courses={}, via="cli", everything=True)


def actor_of(
    session: Session, user: User, *, scopes: frozenset[Scope] | None = None, via: str = "web", request_id: str = ""
) -> Actor:
    rows = session.execute(
        select(Enrolment.course_id, Enrolment.role, Enrolment.section).where(Enrolment.user_id == user.id)
    )
    courses = {course: Membership(role=role, section=section) for course, role, section in rows}
    return Actor(
        user_id=user.id, login=user.login, name=user.name, courses=courses, scopes=scopes, via=via,
        request_id=request_id,
    )  # fmt: skip


def still(session: Session, actor: Actor) -> Actor:
    """The same person with the roles of now, for whoever looks on for long. Raises NotSignedIn."""
    user = None if actor.user_id is None else session.get(User, actor.user_id)
    if user is None or not user.active:
        raise NotSignedIn("Please sign in again.", "请重新登录。")
    return actor_of(session, user, scopes=actor.scopes, via=actor.via, request_id=actor.request_id)


def need_scope(actor: Actor, scope: Scope) -> None:
    """Raises Forbidden when a token was not made for this."""
    if actor.scopes is not None and scope not in actor.scopes:
        raise Forbidden(
            f"This token does not have the scope {scope}. Make one that has it, or sign in.",
            f"这个令牌没有 {scope} 权限。请创建有该权限的令牌，或直接登录。",
        )


def need_role(actor: Actor, course_id: int, least: Role) -> Role:
    """Raises NotFound for strangers to the course, Forbidden for members who are less than asked."""
    role = actor.role(course_id)
    if role is None:
        raise NotFound
    if role.rank < least.rank:
        raise Forbidden(
            "Only the staff of this course can do this." if least is Role.TA else f"This needs the role {least}.",
            "只有本课程的教师和助教可以这样做。" if least is Role.TA else f"这需要 {least} 角色。",
        )
    return role


def course(session: Session, actor: Actor, name: str, least: Role = Role.STUDENT) -> Course:
    """A course by its name, for members of at least this role. Raises NotFound, Forbidden."""
    found = session.scalar(select(Course).where(Course.name == name))
    if found is None:
        raise NotFound
    need_role(actor, found.id, least)
    return found


def published(session: Session, actor: Actor, course_name: str, name: str, least: Role = Role.STUDENT) -> Published:
    """A course's assignment by name. Whether it is open yet is for `submitting` and the pages. Raises NotFound."""
    of = course(session, actor, course_name, least)
    found = session.scalar(select(Published).where(Published.course_id == of.id, Published.name == name))
    if found is None:
        raise NotFound
    return found


def submission(session: Session, actor: Actor, submission_id: int, least: Role | None = None) -> Submission:
    """A submission of one's own, or of a course whose staff one is; least: only for this role. Raises NotFound."""
    found = session.get(Submission, submission_id)
    if found is None:
        raise NotFound
    course_id = found.published.course_id
    if least is not None:
        if actor.role(course_id) is None or (not actor.is_staff(course_id) and found.user_id != actor.user_id):
            raise NotFound
        need_role(actor, course_id, least)
        return found
    own = found.user_id == actor.user_id and actor.role(course_id) is not None
    if not own and not actor.is_staff(course_id):
        raise NotFound
    return found


def member(session: Session, course_id: int, login: str) -> Enrolment:
    """Somebody of a course by login. Raises NotFound."""
    found = session.scalar(
        select(Enrolment).join(User).where(Enrolment.course_id == course_id, User.login == login.casefold())
    )
    if found is None:
        raise NotFound(f"Nobody called {login[:60]!r} is in this course.", f"本课程中没有名为 {login[:60]!r} 的成员。")
    return found


def acting_id(session: Session, actor: Actor) -> int:
    """Who is written down as the one who did it: for the shell, the first person there is. Raises Conflict."""
    if actor.user_id is not None:
        return actor.user_id
    first: int | None = session.scalar(select(func.min(User.id)))
    if first is None:
        raise Conflict("There is nobody yet; make a user first.", "还没有任何用户，请先创建用户。")
    return first
