"""Grading many submissions again: what it would run, its progress, before and after, publish or cancel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response, StreamingResponse

from grader.errors import Invalid, Refused
from grader.service import access, pace, publishing, regrading
from grader.service.regrading import Change, Progress
from grader.store.models import Regrade, User
from grader.store.states import RegradeState, Role
from grader.web import streams
from grader.web.dependencies import Caller, Form, RowId, Visitor, field
from grader.web.staff_views import RegradeChoice, RegradePage, RegradeRow, RegradesPage

router = APIRouter()

ROWS = 100


@router.get("/courses/{course}/regrades")
def show(who: Visitor, course: str, assignment: str = "") -> Response:
    return _listed(who, course, assignment)


def _listed(
    who: Caller, course: str, chosen: str = "", problems: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        choices = []
        for published in publishing.listed(session, of.id):
            each = pace.seconds_each(session, published, who.now)
            counting = regrading.plan(session, published, False, each)
            every = regrading.plan(session, published, True, each)
            choices.append(
                RegradeChoice(
                    name=published.name, title=_title(who, published.name), counting=counting.submissions,
                    counting_s=counting.seconds, every=every.submissions, every_s=every.seconds,
                )
            )  # fmt: skip
        page = RegradesPage(
            course=of.name,
            choices=tuple(choices),
            rows=tuple(_row(session, who, regrade) for regrade in regrading.listed(session, of.id)),
            chosen=chosen if any(choice.name == chosen for choice in choices) else "",
            problems=problems or {},
            values=values or {},
        )
    return who.page("staff/regrades.html", page, course=of, section="regrades", status=422 if problems else 200)


def _title(who: Caller, name: str) -> str:
    return who.service.catalogue.get(name).title.say(who.lang)


def _row(session: Session, who: Caller, regrade: Regrade) -> RegradeRow:
    return RegradeRow(
        id=regrade.id,
        title=_title(who, regrade.published.name),
        state=regrade.state,
        submissions=regrading.progress(session, regrade).total,
        every_attempt=regrade.every_attempt,
        reason=regrade.reason,
        by=session.get_one(User, regrade.actor_id).login,
        created_at=regrade.created_at,
    )


@router.post("/courses/{course}/regrades")
def begin(who: Visitor, course: str, form: Form) -> Response:
    """what: "NAME/counting" or "NAME/every"."""
    what, reason = field(form, "what"), field(form, "reason")
    name, _, which = what.partition("/")
    try:
        with who.service.store.write() as session:
            access.course(session, who.actor, course, Role.TA)
            if which not in ("counting", "every"):
                raise Invalid("form", "Choose what is graded again.", "请选择重新评分的范围。")
            published = access.published(session, who.actor, course, name, Role.TA)
            regrade = regrading.begin(
                session, who.service.queue, who.actor, published, who.service.catalogue.get(name),
                every_attempt=which == "every", reason=reason, now=who.now,
            )  # fmt: skip
    except Refused as error:
        if error.http_status not in (409, 422):
            raise
        where = "reason" if isinstance(error, Invalid) and error.field == "reason" else "form"
        return _listed(who, course, name, {where: error.text.say(who.lang)}, {"what": what, "reason": reason})
    return RedirectResponse(f"/courses/{course}/regrades/{regrade.id}", 303)


@router.get("/courses/{course}/regrades/{number}")
def show_one(who: Visitor, course: str, number: RowId, page: int = 1) -> Response:
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        regrade = regrading.find(session, of.id, number)
        assignment = who.service.catalogue.get(regrade.published.name)
        progress = regrading.progress(session, regrade)
        running = regrade.state is RegradeState.RUNNING
        changes = [] if running else regrading.changes(session, regrade)
        page = max(1, min(page, 1_000_000))
        made = RegradePage(
            course=of.name,
            row=_row(session, who, regrade),
            assignment=regrade.published.name,
            max_score=assignment.max_score,
            done=progress.done,
            total=progress.total,
            seconds_left=_seconds_left(progress, regrade.created_at, who.now) if running else None,
            changes=tuple(changes[ROWS * (page - 1) : ROWS * page]),
            changed=sum(change.changed and change.status != "grader_error" for change in changes),
            better=sum(_difference(change) > 0 for change in changes),
            worse=sum(_difference(change) < 0 for change in changes),
            faults=sum(change.status == "grader_error" for change in changes),
            titles={check.id: check.title.say(who.lang) for check in assignment.checks},
            page=page,
            pages=max(1, -(-len(changes) // ROWS)),
        )
    return who.page("staff/regrade.html", made, course=of, section="regrades")


def _difference(change: Change) -> float:
    return 0.0 if change.before is None or change.after is None else change.after - change.before


def _seconds_left(progress: Progress, since: datetime, now: datetime) -> float | None:
    """As fast as until now; none before the first is done."""
    if not progress.done:
        return None
    return (now - since).total_seconds() / progress.done * (progress.total - progress.done)


@router.post("/courses/{course}/regrades/{number}/publish")
def publish(who: Visitor, course: str, number: RowId, form: Form) -> Response:
    with who.service.store.write() as session:
        of = access.course(session, who.actor, course, Role.TA)
        regrading.publish(session, who.actor, regrading.find(session, of.id, number), who.now)
    return RedirectResponse(f"/courses/{course}/regrades/{number}", 303)


@router.post("/courses/{course}/regrades/{number}/cancel")
def cancel(who: Visitor, course: str, number: RowId, form: Form) -> Response:
    with who.service.store.write() as session:
        of = access.course(session, who.actor, course, Role.TA)
        regrading.cancel(session, who.service.queue, who.actor, regrading.find(session, of.id, number), who.now)
    return RedirectResponse(f"/courses/{course}/regrades", 303)


@router.get("/courses/{course}/regrades/{number}/events")
async def events(who: Visitor, course: str, number: RowId) -> StreamingResponse:
    return await streams.regrade_events(who, await run_in_threadpool(_course_id, who, course), number)


def _course_id(who: Caller, course: str) -> int:
    with who.service.store.read() as session:
        return access.course(session, who.actor, course, Role.TA).id
