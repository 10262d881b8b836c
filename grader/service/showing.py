"""What a student may see of a report: how checks with hidden inputs ended is kept back until it is released."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.reports import Report, ReportStatus, Text
from grader.service import recording, submitting
from grader.service.access import Actor
from grader.service.grades import GradeRow
from grader.store.models import Published, StoredCheck, Submission
from grader.store.states import Release


def released(published: Published, due_at: datetime | None, now: datetime) -> bool:
    """due_at: the student's own deadline."""
    if published.release is Release.AT_ONCE:
        return True
    return published.release is Release.AFTER_DUE and due_at is not None and now > due_at


def may_see_all(actor: Actor, submission: Submission, due_at: datetime | None, now: datetime) -> bool:
    return actor.is_staff(submission.published.course_id) or released(submission.published, due_at, now)


def without_hidden(report: Report, published: Published) -> Report:
    """The report as if it had only its visible checks, with a note that says what is missing."""
    hidden = [check for check in report.checks if not check.visible]
    if not hidden or report.status is not ReportStatus.GRADED:
        return report
    checks = tuple(check for check in report.checks if check.visible)
    parts = tuple(
        replace(
            part,
            score=sum(c.points for c in checks if c.part == part.name),
            max_score=sum(c.max_points for c in checks if c.part == part.name),
        )
        for part in report.parts
    )
    points = sum(check.max_points for check in hidden)
    when = {
        Release.AFTER_DUE: ("after the deadline", "截止之后显示"),
        Release.NEVER: ("to the staff only", "只对教师显示"),
        Release.AT_ONCE: ("", ""),
    }[published.release]
    note = Text(
        en=f"{len(hidden)} more checks worth {points:g} points are shown {when[0]}.",
        zh=f"另有 {len(hidden)} 项检查（共 {points:g} 分）{when[1]}。",
    )
    return replace(
        report, checks=checks, parts=parts, notes=(note, *report.notes), score=sum(c.points for c in checks),
        max_score=sum(c.max_points for c in checks), timings_ms={},  # a time could carry what a hidden input was
    )  # fmt: skip


def visible_report(session: Session, actor: Actor, submission: Submission, now: datetime) -> Report | None:
    """The current report as far as this person may see it; none while there is none."""
    report = recording.report_of(session, submission)
    if report is None or may_see_all(actor, submission, _due_at(session, submission), now):
        return report
    return without_hidden(report, submission.published)


def visible_score(session: Session, actor: Actor, submission: Submission, now: datetime) -> float | None:
    """A submission's score as far as this person may see it: without the hidden checks when those are kept back."""
    if submission.score is None or actor.is_staff(submission.published.course_id):
        return submission.score
    report = visible_report(session, actor, submission, now)
    return None if report is None else report.score


def visible_grade(session: Session, row: GradeRow, actor: Actor, now: datetime) -> GradeRow:
    """A student's own grade, from what they may see of the submission that counts; an override is shown as it is."""
    submission = None if row.submission_id is None else session.get(Submission, row.submission_id)
    if submission is None or row.computed is None:
        return row
    published = submission.published
    if may_see_all(actor, submission, _due_at(session, submission), now):
        return row
    report = recording.report_of(session, submission)
    hidden = frozenset(check.id for check in report.checks if not check.visible) if report else frozenset[str]()
    if not hidden:
        return row
    attempts = session.scalars(
        select(Submission).where(Submission.published_id == published.id, Submission.user_id == submission.user_id)
    ).all()
    seen = {at: score for at, (score, _) in scores_without(session, published.id, submission.user_id, hidden).items()}
    counting = recording.counting_submission(attempts, published, seen) or submission
    computed = recording.lessened(seen.get(counting.report_id or 0, 0.0), counting.days_late, published)
    return replace(
        row, computed=computed, score=row.score if row.overridden else computed, submission_id=counting.id,
        days_late=counting.days_late,
    )  # fmt: skip


def scores_without(
    session: Session, published_id: int, user_id: int, hidden: frozenset[str]
) -> dict[int, tuple[float, float]]:
    """Score and largest score of somebody's current reports by their visible checks alone, by id of the report."""
    current = select(Submission.report_id).where(
        Submission.published_id == published_id, Submission.user_id == user_id, Submission.report_id.is_not(None)
    )
    rows = session.execute(
        select(StoredCheck.report_id, func.sum(StoredCheck.points), func.sum(StoredCheck.max_points))
        .where(StoredCheck.report_id.in_(current), StoredCheck.check_id.not_in(hidden))
        .group_by(StoredCheck.report_id)
    )
    return {report_id: (float(score), float(most)) for report_id, score, most in rows}


def _due_at(session: Session, submission: Submission) -> datetime | None:
    return submitting.terms(session, submission.published, submission.user_id).due_at
