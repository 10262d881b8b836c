"""What a student may see of a report: how checks with hidden inputs ended is kept back until it is released."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from grader.reports import Report, ReportStatus, Text
from grader.service import recording, submitting
from grader.service.access import Actor
from grader.service.grades import GradeRow
from grader.store.models import Published, Submission
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
        max_score=sum(c.max_points for c in checks),
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
    score = visible_score(session, actor, submission, now)
    computed = None if score is None else recording.lessened(score, row.days_late, submission.published)
    return replace(row, computed=computed, score=row.score if row.overridden else computed)


def _due_at(session: Session, submission: Submission) -> datetime | None:
    return submitting.terms(session, submission.published, submission.user_id).due_at
