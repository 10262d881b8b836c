"""What a grading leaves behind: a report, its checks, the state of the submission and the student's grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from grader.assignments import Assignment
from grader.reports import Report, ReportStatus
from grader.store.codec import pack_report, unpack_report
from grader.store.models import (
    Enrolment,
    Grade,
    Override,
    Published,
    RegradeItem,
    StoredCheck,
    StoredReport,
    Submission,
)
from grader.store.states import Counting, GradeStatus, Role, SubmissionState

_STATES = {
    ReportStatus.GRADED: SubmissionState.GRADED,
    ReportStatus.NOT_GRADABLE: SubmissionState.NOT_GRADABLE,
    ReportStatus.GRADER_ERROR: SubmissionState.GRADER_ERROR,
}


def record(
    session: Session, submission: Submission, report: Report, now: datetime, *, regrade_id: int | None = None,
    reused_from_id: int | None = None,
) -> StoredReport:  # fmt: skip
    """Adds a report. It becomes the current one at once, unless it belongs to a regrade, published as a whole."""
    stored = StoredReport(
        submission_id=submission.id, digest=submission.blob_digest, assignment_version=report.assignment_version,
        status=str(report.status), score=report.score, max_score=report.max_score, content=pack_report(report),
        reused_from_id=reused_from_id, regrade_id=regrade_id, created_at=now,
    )  # fmt: skip
    session.add(stored)
    session.flush()
    session.add_all(
        StoredCheck(
            report_id=stored.id, position=position, check_id=check.id, part=check.part, status=str(check.status),
            points=check.points, max_points=check.max_points, mistake=check.mistake,
        )
        for position, check in enumerate(report.checks)
    )  # fmt: skip
    if regrade_id is None:
        make_current(session, submission, stored, now)
        recompute(session, submission.published, submission.user_id, now)
    else:
        item = session.get(RegradeItem, (regrade_id, submission.id))
        if item is not None:
            item.after_id = stored.id
    return stored


def make_current(session: Session, submission: Submission, stored: StoredReport, now: datetime) -> None:
    submission.report_id = stored.id
    submission.state = _STATES[ReportStatus(stored.status)]
    submission.score = stored.score if submission.state is SubmissionState.GRADED else None
    submission.finished_at = submission.finished_at or now
    session.flush()


def reuse(session: Session, submission: Submission, assignment: Assignment, now: datetime) -> bool:
    """Gives a submission the report of the same content under the same version of the assignment, if there is one.

    The inputs of a grading follow from just these two, so a new one would say the same.
    """
    earlier = session.scalar(
        select(StoredReport)
        .where(
            StoredReport.digest == submission.blob_digest,
            StoredReport.assignment_version == assignment.version,
            StoredReport.status != str(ReportStatus.GRADER_ERROR),
        )
        .order_by(StoredReport.id.desc())
        .limit(1)
    )
    if earlier is None:
        return False
    report = unpack_report(earlier.content)
    if report.assignment != assignment.name or _depends_on_the_name(report, submission.file_name):
        return False
    record(
        session, submission, replace(report, file=submission.file_name), now,
        reused_from_id=earlier.reused_from_id or earlier.id,
    )  # fmt: skip
    return True


def _depends_on_the_name(report: Report, file_name: str) -> bool:
    """What a file is follows from the end of its name, and messages quote the name."""
    return report.file != file_name and (
        report.status is not ReportStatus.GRADED or report.file.rpartition(".")[2] != file_name.rpartition(".")[2]
    )


def report_of(session: Session, submission: Submission) -> Report | None:
    """The current report; none while there is none."""
    stored = None if submission.report_id is None else session.get(StoredReport, submission.report_id)
    return None if stored is None else unpack_report(stored.content)


def stored_report(session: Session, submission: Submission) -> StoredReport | None:
    return None if submission.report_id is None else session.get(StoredReport, submission.report_id)


# Grades ------------------------------------------------------------------------------------------------------------


def lessened(score: float, days_late: int, published: Published) -> float:
    """A score after the late policy: for each day begun, late_percent of it is lost."""
    return max(0.0, round(score * (1 - days_late * published.late_percent / 100), 6))


def lock_grade(session: Session, published_id: int, user_id: int) -> Grade | None:
    """The grade's row, locked until the end of the transaction where the database locks rows."""
    return session.scalar(
        select(Grade).where(Grade.published_id == published_id, Grade.user_id == user_id).with_for_update()
    )


def recompute(session: Session, published: Published, user_id: int, now: datetime) -> None:
    """The grade from the submissions and the override in force. Members who are no students have no grade."""
    grade = lock_grade(session, published.id, user_id)
    if grade is None:
        return
    submissions = session.scalars(
        select(Submission)
        .where(Submission.published_id == published.id, Submission.user_id == user_id)
        .order_by(Submission.number)
    ).all()
    counting = counting_submission(submissions, published)
    states = {submission.state for submission in submissions}
    grade.attempts = sum(
        s.state not in (SubmissionState.NOT_GRADABLE, SubmissionState.GRADER_ERROR) for s in submissions
    )
    if counting is not None and counting.score is not None:
        grade.status, grade.submission_id, grade.days_late = GradeStatus.GRADED, counting.id, counting.days_late
        grade.computed = lessened(counting.score, counting.days_late, published)
    else:
        grade.computed, grade.submission_id, grade.days_late = None, None, 0
        if states & {SubmissionState.QUEUED, SubmissionState.GRADING, SubmissionState.GRADER_ERROR}:
            grade.status = GradeStatus.PENDING
        else:
            grade.status = GradeStatus.NOT_GRADABLE if states else GradeStatus.MISSING
    override = override_in_force(session, published.id, user_id)
    grade.overridden = override is not None
    grade.score = grade.computed if override is None else override.score
    grade.updated_at = now
    session.flush()


def counting_submission(
    submissions: Sequence[Submission], published: Published, scores: Mapping[int, float] | None = None
) -> Submission | None:
    """The graded submission that counts: the latest, or the best (of equals the earliest).

    scores: by id of the report, instead of the real ones, for somebody who does not see all checks: which of two equal
    attempts counts would tell how the hidden ones ended.
    """
    graded = [s for s in submissions if s.state is SubmissionState.GRADED and s.score is not None]
    if not graded:
        return None
    if published.counting is Counting.LATEST:
        return max(graded, key=lambda s: s.number)

    def counted(s: Submission) -> float:
        score = s.score if scores is None else scores.get(s.report_id or 0)
        return lessened(score or 0.0, s.days_late, published)

    return max(graded, key=lambda s: (counted(s), -s.number))


def override_in_force(session: Session, published_id: int, user_id: int) -> Override | None:
    return session.scalar(
        select(Override)
        .where(Override.published_id == published_id, Override.user_id == user_id, Override.removed_at.is_(None))
        .order_by(Override.id.desc())
        .limit(1)
    )


def make_rows(session: Session, course_id: int, now: datetime) -> None:
    """A grade row for every student and published assignment of a course that has none yet."""
    missing = session.execute(
        select(Published.id, Enrolment.user_id)
        .select_from(Enrolment)
        .join(Published, Published.course_id == Enrolment.course_id)
        .outerjoin(Grade, (Grade.published_id == Published.id) & (Grade.user_id == Enrolment.user_id))
        .where(Enrolment.course_id == course_id, Enrolment.role == Role.STUDENT, Grade.id.is_(None))
    )
    session.add_all(
        Grade(published_id=published_id, user_id=user_id, status=GradeStatus.MISSING, updated_at=now)
        for published_id, user_id in missing.all()
    )
    session.flush()


def student_count(session: Session, course_id: int) -> int:
    return (
        session.scalar(select(func.count()).where(Enrolment.course_id == course_id, Enrolment.role == Role.STUDENT))
        or 0
    )
