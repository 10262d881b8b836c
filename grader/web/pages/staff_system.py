"""What happened and what runs: the audit log of a course, the state of the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from sqlalchemy import select
from starlette.responses import Response

from grader import __version__
from grader.errors import Forbidden
from grader.service import access, audit, pace
from grader.service.catalogue import Catalogue
from grader.store.models import Job, Worker
from grader.store.states import JobState, Role
from grader.web import audit_words
from grader.web.dependencies import BeforeId, Visitor
from grader.web.management_views import AuditPage, FailedJob, LayerRow, SystemPage, WorkerRow
from grader.web.shells import course_shell

router = APIRouter()

EVENTS = 50  # a page
_FAILED = 20


@router.get("/courses/{course}/audit")
def show_log(who: Visitor, course: str, action: str = "", person: str = "", before: BeforeId = None) -> Response:
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        rows = audit.events(session, of.id, action=action, person=person.strip(), before_id=before, limit=EVENTS + 1)
    shell = course_shell(who.request, who.actor, of)
    page = AuditPage(
        course=of.name,
        rows=tuple(audit_words.line(row, shell) for row in rows[:EVENTS]),
        actions=audit_words.actions(who.lang),
        action=action,
        person=person,
        newest=before is None,
        older=rows[EVENTS - 1].id if len(rows) > EVENTS else None,
    )
    return who.page("staff/audit.html", page, course=of, section="audit")


@router.get("/system")
def show_system(who: Visitor) -> Response:
    """For instructors and administrators of any course."""
    highest = who.actor.highest
    if highest is None or highest.rank < Role.INSTRUCTOR.rank:
        raise Forbidden("Only instructors see the state of the service.", "只有教师可以查看系统状态。")
    service = who.service
    posture = service.posture()
    with service.store.read() as session:
        depth = service.queue.depth(session)
        failed = session.scalars(
            select(Job).where(Job.state == JobState.FAILED).order_by(Job.id.desc()).limit(_FAILED)
        ).all()
        workers = session.scalars(select(Worker).order_by(Worker.name)).all()
        time = pace.clock(session, who.now)
    examined = _examined(workers)
    page = SystemPage(
        queued=depth.queued,
        running=depth.running,
        failed_jobs=depth.failed,
        oldest=who.now - timedelta(seconds=depth.oldest_s) if depth.queued else None,
        version=__version__,
        mode="" if posture.mode is None else str(posture.mode),
        missing=posture.missing,
        advice=service.advice,
        absent=tuple(service.absent.items()),
        failed=tuple(
            FailedJob(
                id=j.id, submission=j.submission_id, error=j.last_error, tries=j.attempts, at=j.ended_at or j.created_at
            )
            for j in failed
        ),
        workers=tuple(_worker(w, alive=pace.alive(w, time), catalogue=service.catalogue) for w in workers),
        layers=tuple(
            LayerRow(name=x["name"], held=x["present"], evidence=x["evidence"], command=x["command"])
            for x in examined.get("layers", ())
        ),
        attempts=tuple(
            LayerRow(name=x["name"], held=x["held"], evidence=x["evidence"]) for x in examined.get("self_test", ())
        ),
    )
    return who.page("staff/system.html", page, section="system")


def _worker(worker: Worker, *, alive: bool, catalogue: Catalogue) -> WorkerRow:
    """A worker as it announced itself; what an older one does not tell stays empty."""
    detail, examined = worker.detail, worker.detail.get("examined") or {}
    host, process, _ = f"{worker.name}::".split(":")[:3]
    version = detail.get("version", "")
    known = {name: catalogue.get(name).version for name in catalogue.names}
    differs = [name for name, has in detail.get("assignments", {}).items() if known.get(name) != has]
    return WorkerRow(
        host=host.partition("/")[0], process=process, mode=worker.mode, runtimes=tuple(detail.get("runtimes", ())),
        slots=int(detail.get("slots", 1)), started_at=worker.started_at, seen_at=worker.seen_at, alive=alive,
        version=version, libraries=tuple((examined.get("runtimes") or {}).items()),
        differs=tuple([f"grader {version}"] if version not in ("", __version__) else []) + tuple(sorted(differs)),
        examined_at=datetime.fromisoformat(examined["at"]) if examined.get("at") else None,
        failed=examined.get("failed", ""), held=bool(detail.get("held")),
    )  # fmt: skip


def _examined(workers: Sequence[Worker]) -> dict[str, Any]:
    """Doctor's examination by the worker that was seen last; empty while there is none."""
    told = [w for w in workers if w.detail.get("examined", {}).get("layers")]
    found: dict[str, Any] = max(told, key=lambda w: w.seen_at).detail["examined"] if told else {}
    return found
