"""Grading many submissions anew: nothing is shown to students before somebody has compared and published it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from grader.assignments import Assignment
from grader.errors import Conflict, Invalid, NotFound
from grader.queue import Priority, Queue
from grader.service import audit, recording
from grader.service.access import Actor, acting_id
from grader.store.models import Grade, Published, Regrade, RegradeItem, StoredCheck, StoredReport, Submission, User
from grader.store.states import RegradeState, SubmissionState


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a regrade would run. seconds: a guess from the gradings of late; none when nothing is known."""

    submissions: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    done: int
    total: int
    state: RegradeState


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckChange:
    """How one check went before and after. Points; before is none when there was no such check."""

    check_id: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One submission of a regrade. before, after: score of the report; none without a verdict."""

    submission_id: int
    number: int
    login: str
    name: str
    before: float | None
    after: float | None
    status: str  # of the new report; "waiting" without one
    checks: tuple[CheckChange, ...] = ()

    @property
    def changed(self) -> bool:
        return self.before != self.after or any(c.before != c.after for c in self.checks)


def affected(session: Session, published: Published, every_attempt: bool) -> list[tuple[int, int]]:
    """(submission, user) of all that a regrade would run: those that count, or every attempt. Those without a verdict
    are always among them."""
    done = [s for s in SubmissionState if s.final]
    query = select(Submission.id, Submission.user_id).where(
        Submission.published_id == published.id, Submission.state.in_(done)
    )
    if not every_attempt:
        counting = select(Grade.submission_id).where(
            Grade.published_id == published.id, Grade.submission_id.is_not(None)
        )
        query = query.where(Submission.id.in_(counting) | (Submission.state == SubmissionState.GRADER_ERROR))
    return list(session.execute(query.order_by(Submission.id)))


def plan(session: Session, published: Published, every_attempt: bool, seconds_each: float | None) -> Plan:
    count = len(affected(session, published, every_attempt))
    return Plan(submissions=count, seconds=None if seconds_each is None else count * seconds_each)


def begin(
    session: Session, queue: Queue, actor: Actor, published: Published, assignment: Assignment, *,
    every_attempt: bool, reason: str, now: datetime,
) -> Regrade:  # fmt: skip
    """Starts a regrade. Raises Invalid without a reason, Conflict when one is under way or nothing is to be graded."""
    if not reason.strip():
        raise Invalid("reason", "Say why this is graded again; the log keeps it.", "请写明重新评分的原因，日志会保存。")
    open_states = (RegradeState.RUNNING, RegradeState.READY)
    other = session.scalar(select(Regrade).where(Regrade.published_id == published.id, Regrade.state.in_(open_states)))
    if other is not None:
        raise Conflict(
            f"Regrade {other.id} of this assignment is not published or cancelled yet.",
            f"这个作业的第 {other.id} 次重新评分还没有发布或取消。",
        )
    submissions = affected(session, published, every_attempt)
    if not submissions:
        raise Conflict("There is no submission to grade again.", "没有可以重新评分的提交。")
    regrade = Regrade(
        published_id=published.id, every_attempt=every_attempt, reason=reason.strip()[:1000],
        actor_id=acting_id(session, actor), state=RegradeState.RUNNING, created_at=now,
    )  # fmt: skip
    session.add(regrade)
    session.flush()
    now_current = select(Submission.id, Submission.report_id).where(Submission.published_id == published.id)
    reports = {submission: report for submission, report in session.execute(now_current)}
    session.add_all(
        RegradeItem(regrade_id=regrade.id, submission_id=sid, before_id=reports[sid]) for sid, _ in submissions
    )
    session.flush()
    queue.put_many(
        session, submissions, runtime=assignment.runtime, regrade_id=regrade.id, now=now,
        version=assignment.version, request_id=actor.request_id,
    )  # fmt: skip
    audit.note(
        session, actor, "regrade.begin", published.name, now, course_id=published.course_id, reason=regrade.reason,
        after={"submissions": len(submissions), "every_attempt": every_attempt, "regrade": regrade.id},
    )  # fmt: skip
    return regrade


def again(
    session: Session, queue: Queue, actor: Actor, submission: Submission, assignment: Assignment, now: datetime
) -> None:
    """Grades one submission anew, for staff; the report counts at once. Raises Conflict while it is being graded."""
    if not submission.state.final:
        raise Conflict("This submission is being graded already.", "这份提交正在评分。")
    submission.state = SubmissionState.QUEUED
    queue.put(
        session, submission_id=submission.id, user_id=submission.user_id, runtime=assignment.runtime,
        priority=Priority.STAFF, now=now, version=assignment.version, request_id=actor.request_id,
    )  # fmt: skip
    recording.recompute(session, submission.published, submission.user_id, now)
    audit.note(
        session, actor, "submission.regrade", f"submission {submission.id}", now,
        course_id=submission.published.course_id, user_id=submission.user_id, before={"score": submission.score},
    )  # fmt: skip


def find(session: Session, course_id: int, regrade_id: int) -> Regrade:
    """Raises NotFound."""
    regrade = session.get(Regrade, regrade_id)
    if regrade is None or regrade.published.course_id != course_id:
        raise NotFound
    return regrade


def advance(session: Session, regrade_id: int, now: datetime) -> None:
    """After a submission of a regrade was graded: the last one makes it ready."""
    # Locked before it is counted: of two last ones that end at the same moment, the second sees the first. Not against
    # rows that refer to it, since both have stored their report by now.
    regrade = session.scalar(select(Regrade).where(Regrade.id == regrade_id).with_for_update(key_share=True))
    waiting = session.scalar(
        select(func.count()).where(RegradeItem.regrade_id == regrade_id, RegradeItem.after_id.is_(None))
    )
    if not waiting and regrade is not None and regrade.state is RegradeState.RUNNING:
        regrade.state, regrade.ended_at = RegradeState.READY, now


def progress(session: Session, regrade: Regrade) -> Progress:
    total, done = session.execute(
        select(func.count(), func.count(RegradeItem.after_id)).where(RegradeItem.regrade_id == regrade.id)
    ).one()
    return Progress(done=done, total=total, state=regrade.state)


def changes(session: Session, regrade: Regrade) -> list[Change]:
    """Every submission of a regrade, changed ones first, then by name."""
    before, after = aliased(StoredReport), aliased(StoredReport)
    rows = session.execute(
        select(RegradeItem, Submission.number, User.login, User.name, before, after)
        .join(Submission, Submission.id == RegradeItem.submission_id)
        .join(User, User.id == Submission.user_id)
        .outerjoin(before, before.id == RegradeItem.before_id)
        .outerjoin(after, after.id == RegradeItem.after_id)
        .where(RegradeItem.regrade_id == regrade.id)
    )
    found = [(item, number, login, name, old, new) for item, number, login, name, old, new in rows]
    points = _points(session, regrade.id)
    made = [
        Change(
            submission_id=item.submission_id, number=number, login=login, name=name, before=_score(old),
            after=_score(new), status="waiting" if new is None else new.status,
            checks=() if new is None else _check_changes(points.get(item.before_id, {}), points.get(item.after_id, {})),
        )
        for item, number, login, name, old, new in found
    ]  # fmt: skip
    return sorted(made, key=lambda change: (not change.changed, change.name, change.number))


def _score(report: StoredReport | None) -> float | None:
    return report.score if report is not None and report.status == "graded" else None


def _points(session: Session, regrade_id: int) -> dict[int | None, dict[str, float]]:
    """Points by check by report, for all reports of a regrade."""
    items = select(RegradeItem).where(RegradeItem.regrade_id == regrade_id).subquery()
    found: dict[int | None, dict[str, float]] = {}
    for column in (items.c.before_id, items.c.after_id):
        rows = session.execute(
            select(StoredCheck.report_id, StoredCheck.check_id, StoredCheck.points)
            .join(items, column == StoredCheck.report_id)
            .order_by(StoredCheck.report_id, StoredCheck.position)
        )
        for report_id, check_id, value in rows:
            found.setdefault(report_id, {})[check_id] = value
    return found


def _check_changes(before: dict[str, float], after: dict[str, float]) -> tuple[CheckChange, ...]:
    names = dict.fromkeys([*after, *before])
    return tuple(
        CheckChange(check_id=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def publish(session: Session, actor: Actor, regrade: Regrade, now: datetime) -> int:
    """Makes the new reports current and recomputes the grades. Returns how many grades changed. Raises Conflict.

    A new report without a verdict is our fault and replaces nothing; a submission that got a newer report meanwhile
    keeps it.
    """
    if regrade.state is not RegradeState.READY:
        raise Conflict("This regrade is not ready to be published.", "这次重新评分还不能发布。")
    published = regrade.published
    before = _grades(session, published.id)
    rows = session.execute(
        select(RegradeItem, Submission, StoredReport)
        .join(Submission, Submission.id == RegradeItem.submission_id)
        .join(StoredReport, StoredReport.id == RegradeItem.after_id)
        .where(RegradeItem.regrade_id == regrade.id)
    )
    users: set[int] = set()
    for item, submission, report in rows.all():
        if report.status != "grader_error" and submission.report_id == item.before_id and submission.state.final:
            recording.make_current(session, submission, report, now)
            users.add(submission.user_id)
    for user_id in sorted(users):
        recording.recompute(session, published, user_id, now)
    changed = _log_changes(session, actor, published, before, now, regrade)
    regrade.state, regrade.ended_at = RegradeState.PUBLISHED, now
    audit.note(
        session, actor, "regrade.publish", published.name, now, course_id=published.course_id, reason=regrade.reason,
        after={"regrade": regrade.id, "grades_changed": changed},
    )  # fmt: skip
    return changed


def _grades(session: Session, published_id: int) -> dict[int, float | None]:
    rows = session.execute(select(Grade.user_id, Grade.score).where(Grade.published_id == published_id))
    return dict(rows.all())


def _log_changes(
    session: Session, actor: Actor, published: Published, before: dict[int, float | None], now: datetime,
    regrade: Regrade,
) -> int:  # fmt: skip
    after = _grades(session, published.id)
    changed: Sequence[int] = [user for user, score in after.items() if before.get(user) != score]
    for user_id in changed:
        audit.note(
            session, actor, "grade.regraded", published.name, now, course_id=published.course_id, user_id=user_id,
            before={"score": before.get(user_id)}, after={"score": after[user_id]}, reason=regrade.reason,
        )  # fmt: skip
    return len(changed)


def cancel(session: Session, queue: Queue, actor: Actor, regrade: Regrade, now: datetime) -> None:
    """Drops a regrade; its reports stay stored and count for nothing. Raises Conflict."""
    if regrade.state not in (RegradeState.RUNNING, RegradeState.READY):
        raise Conflict("This regrade has ended already.", "这次重新评分已经结束。")
    queue.cancel(session, regrade_id=regrade.id, now=now)
    regrade.state, regrade.ended_at = RegradeState.CANCELLED, now
    audit.note(
        session, actor, "regrade.cancel", regrade.published.name, now, course_id=regrade.published.course_id,
        after={"regrade": regrade.id},
    )  # fmt: skip


def listed(session: Session, course_id: int, limit: int = 50) -> list[Regrade]:
    return list(
        session.scalars(
            select(Regrade)
            .join(Published)
            .where(Published.course_id == course_id)
            .order_by(Regrade.id.desc())
            .limit(limit)
        )
    )
