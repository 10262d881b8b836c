"""A course for staff: its roster and the terms of its assignments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from grader.errors import Invalid
from grader.service import access, accounts, publishing, roster
from grader.service.publishing import Rules
from grader.store.models import Course, Enrolment, Published, Submission, User
from grader.store.states import Counting, Release, Role
from grader.web.dependencies import Caller, Form, Visitor, field, roster_of
from grader.web.management_views import (
    DeadlinesPage,
    RosterEntry,
    RosterError,
    RosterPage,
    RosterPreview,
    RosterRow,
    TermsForm,
)
from grader.web.pages.staff_students import LOCAL, local_time, whole_number

router = APIRouter()

PEOPLE = 100  # a page


# Roster ----------------------------------------------------------------------------------------------------------


@router.get("/courses/{course}/roster")
def show_roster(who: Visitor, course: str, page: int = 1) -> Response:
    return _roster(who, course, page=page)


def _roster(
    who: Caller, course: str, *, page: int = 1, preview: RosterPreview | None = None,
    links: tuple[tuple[str, str, str], ...] = (), status: int = 200,
) -> Response:  # fmt: skip
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        people = roster.people(session, of.id)
    students = sum(enrolment.role is Role.STUDENT for enrolment, _ in people)
    page = max(1, min(page, 1_000_000))
    made = RosterPage(
        course=of.name,
        rows=tuple(_person(enrolment, user) for enrolment, user in people[PEOPLE * (page - 1) : PEOPLE * page]),
        students=students,
        staff=len(people) - students,
        may_import=_may_manage(who, of),
        preview=preview,
        links=links,
        links_days=accounts.LINK_LIFE.days,
        page=page,
        pages=max(1, -(-len(people) // PEOPLE)),
    )
    return who.page("staff/roster.html", made, course=of, section="roster", status=status)


def _person(enrolment: Enrolment, user: User) -> RosterRow:
    return RosterRow(
        login=user.login,
        name=user.name,
        email=user.email or "",
        section=enrolment.section,
        role=enrolment.role,
        state="left" if not user.active else "invited" if user.password_hash is None else "joined",
    )


def _may_manage(who: Caller, course: Course) -> bool:
    role = who.actor.role(course.id)
    return role is not None and role.rank >= Role.INSTRUCTOR.rank


@router.post("/courses/{course}/roster/preview")
async def preview_roster(who: Visitor, course: str, form: Form) -> Response:
    return await run_in_threadpool(_preview, who, course, await roster_of(form))


def _preview(who: Caller, course: str, data: bytes) -> Response:
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.INSTRUCTOR)
        found = roster.preview(session, who.actor, of, data)
        known = {user.login: _person(enrolment, user) for enrolment, user in roster.people(session, of.id)}
    shown = RosterPreview(
        text=roster.decoded(data) or "",
        entries=tuple(
            _entry(person, known.get(person.login))
            for person in found.people
            if person.login in found.new | found.changed
        ),
        unchanged=found.same,
        errors=tuple(RosterError(line=error.line, text=error.text.say(who.lang)) for error in found.errors),
        warnings=tuple(warning.text.say(who.lang) for warning in found.warnings),
    )
    return _roster(who, course, preview=shown, status=422 if found.errors else 200)


def _entry(person: roster.Person, was: RosterRow | None) -> RosterEntry:
    pairs = () if was is None else (
        (was.name, person.name), (was.section, person.section), (was.role, str(person.role)),
        (was.email, person.email or was.email),
    )  # fmt: skip
    return RosterEntry(
        line=person.line,
        login=person.login,
        name=person.name,
        section=person.section,
        role=person.role,
        was=", ".join(before or "–" for before, after in pairs if before != after),
    )


@router.post("/courses/{course}/roster")
def apply_roster(who: Visitor, course: str, form: Form) -> Response:
    """The links are in this answer and nowhere else: only their hashes are stored."""
    data = field(form, "roster").encode()
    with who.service.store.write() as session:
        of = access.course(session, who.actor, course, Role.INSTRUCTOR)
        done = roster.apply(session, who.actor, of, data, who.now)
        names = {user.login: user.name for _, user in roster.people(session, of.id)}
    base = who.service.public_url.rstrip("/") or str(who.request.base_url).rstrip("/")
    links = tuple((login, names[login], f"{base}/sign-in/link/{token}") for login, token in done.links.items())
    if not links:
        return RedirectResponse(f"/courses/{course}/roster", 303)
    return _roster(who, course, links=links)


# Deadlines -------------------------------------------------------------------------------------------------------


@router.get("/courses/{course}/deadlines")
def show_deadlines(who: Visitor, course: str, saved: str = "") -> Response:
    return _deadlines(who, course, saved=saved)


def _deadlines(who: Caller, course: str, *, saved: str = "", refused: TermsForm | None = None) -> Response:
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        listed = publishing.listed(session, of.id)
        forms = [_terms(session, who, of, published) for published in listed]
    if refused is not None:
        forms = [replace(refused, handed_in=f.handed_in, title=f.title) if f.name == refused.name else f for f in forms]
    taken = {form.name for form in forms}
    page = DeadlinesPage(
        course=of.name,
        forms=tuple(replace(form, saved=form.name == saved and refused is None) for form in forms),
        addable=tuple((name, _title(who, name)) for name in who.service.catalogue.names if name not in taken),
        may_change=_may_manage(who, of),
    )
    return who.page("staff/deadlines.html", page, course=of, section="deadlines", status=422 if refused else 200)


def _title(who: Caller, name: str) -> str:
    return who.service.catalogue.get(name).title.say(who.lang)


def _terms(session: Session, who: Caller, course: Course, published: Published) -> TermsForm:
    handed_in = session.scalar(select(func.count()).where(Submission.published_id == published.id))

    def local(at: datetime | None) -> str:
        return "" if at is None else at.astimezone(ZoneInfo(course.timezone)).strftime(LOCAL)

    return TermsForm(
        name=published.name,
        title=_title(who, published.name),
        opens_at=local(published.opens_at),
        due_at=local(published.due_at),
        late_days=str(published.late_days),
        late_percent=f"{published.late_percent:g}",
        attempt_limit="" if published.attempt_limit is None else str(published.attempt_limit),
        counting=published.counting,
        release=published.release,
        handed_in=handed_in or 0,
    )


_FIELDS = ("opens_at", "due_at", "late_days", "late_percent", "attempt_limit", "counting", "release")


@router.post("/courses/{course}/deadlines/{name}")
def change_terms(who: Visitor, course: str, name: str, form: Form) -> Response:
    """New terms that change scores are shown first, and hold when they are sent again."""
    typed = {key: field(form, key) for key in _FIELDS}
    sure, reason = field(form, "sure") == "yes", field(form, "reason").strip()[:1000]
    scores = 0
    try:
        with who.service.store.write() as session:
            published = access.published(session, who.actor, course, name, Role.INSTRUCTOR)
            rules = _rules(typed, published.course, published)
            if not sure and (scores := publishing.effect(session, who.actor, published, rules, who.now)):
                raise Invalid(
                    "form",
                    f"Nothing is saved yet: this changes the scores of {scores} students. Say why and save again.",
                    f"尚未保存：这会改变 {scores} 名学生的分数。请写明原因后再次保存。",
                )
            if sure and not reason:
                raise Invalid("reason", "Say why; the log keeps it.", "请写明原因，日志会保存。")
            publishing.change(session, who.actor, published, rules, who.now, reason)
    except Invalid as error:
        refused = TermsForm(
            name=name, title=name, opens_at=typed["opens_at"], due_at=typed["due_at"], late_days=typed["late_days"],
            late_percent=typed["late_percent"], attempt_limit=typed["attempt_limit"],
            counting=_word(typed["counting"], Counting, Counting.BEST),
            release=_word(typed["release"], Release, Release.AT_ONCE),
            problems={error.field: error.text.say(who.lang)}, sure=sure or scores > 0, reason=reason,
        )  # fmt: skip
        return _deadlines(who, course, refused=refused)
    return RedirectResponse(f"/courses/{course}/deadlines?saved={name}#{name}", 303)


def _rules(typed: Mapping[str, str], course: Course, now_in_force: Published) -> Rules:
    """What a form of terms asks for. A time that was not touched keeps its seconds. Raises Invalid."""
    opens = _kept(typed["opens_at"], "opens_at", course, now_in_force.opens_at)
    if opens is None:
        raise Invalid("opens_at", "Say when it opens.", "请填写开放时间。")
    limit = typed["attempt_limit"].strip()
    return Rules(
        opens_at=opens,
        due_at=_kept(typed["due_at"], "due_at", course, now_in_force.due_at),
        late_days=whole_number(typed["late_days"] or "0", "late_days"),
        late_percent=_percent(typed["late_percent"] or "0"),
        attempt_limit=whole_number(limit, "attempt_limit") if limit else None,
        counting=_chosen(typed["counting"], Counting, "counting"),
        release=_chosen(typed["release"], Release, "release"),
    )


def _kept(text: str, name: str, course: Course, before: datetime | None) -> datetime | None:
    if before is not None and text.strip() == before.astimezone(ZoneInfo(course.timezone)).strftime(LOCAL):
        return before
    return local_time(text, name, course)


def _percent(text: str) -> float:
    """What is no number is refused like one that is out of range."""
    try:
        return float(text)
    except ValueError:
        return -1.0


_Word = TypeVar("_Word", Counting, Release)


def _chosen(text: str, words: type[_Word], name: str) -> _Word:
    """Raises Invalid for a word that is no choice."""
    if text not in list(words):
        known = ", ".join(words)
        raise Invalid(name, f"Choose one of: {known}.", f"请选择其中之一：{known}。")
    return words(text)


def _word(text: str, words: type[_Word], otherwise: _Word) -> _Word:
    """The same for showing a form again, where a word that is no choice becomes the first one."""
    return words(text) if text in list(words) else otherwise


@router.post("/courses/{course}/deadlines")
def publish(who: Visitor, course: str, form: Form) -> Response:
    """Hands out another assignment, open from now on; its terms are set on the page that follows."""
    name = field(form, "name")
    with who.service.store.write() as session:
        of = access.course(session, who.actor, course, Role.INSTRUCTOR)
        publishing.publish(session, who.actor, of, who.service.catalogue, name, Rules(opens_at=who.now), who.now)
    return RedirectResponse(f"/courses/{course}/deadlines?saved={name}#{name}", 303)
