"""Fills the records of `views` for courses, assignments and submissions from the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from grader.assignments import Assignment
from grader.errors import NotGradable
from grader.intake import read_upload
from grader.reports import Language
from grader.service import grades, publishing, recording, showing, submitting
from grader.service.access import Actor
from grader.service.submitting import Terms
from grader.store.codec import unpack, unpack_report
from grader.store.models import Blob, Course, Grade, Published, StoredReport, Submission
from grader.store.states import Counting, GradeStatus, SubmissionState
from grader.web import changes, views
from grader.web.hosting import Service
from grader.web.showing import ReportView, planned, report_view


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who reads, in which language, and when."""

    service: Service
    actor: Actor
    lang: Language
    now: datetime

    def title(self, name: str) -> str:
        """An assignment's title; its name when its folder is gone."""
        catalogue = self.service.catalogue
        return catalogue.get(name).title.say(self.lang) if name in catalogue.names else name

    def sees_all(self, published: Published, due_at: datetime | None) -> bool:
        """Whether checks with hidden inputs are shown to this reader."""
        return self.actor.is_staff(published.course_id) or showing.released(published, due_at, self.now)


def hidden_checks(assignment: Assignment) -> frozenset[str]:
    return frozenset(check.id for check in assignment.checks if not check.visible)


# Courses -------------------------------------------------------------------------------------------------------------


def courses(session: Session, reader: Reader) -> tuple[views.CourseRow, ...]:
    found = session.scalars(select(Course).where(Course.id.in_(reader.actor.courses)).order_by(Course.title)).all()
    rows = []
    for course in found:
        handed_out = publishing.listed(session, course.id)
        due_at, name = min(_open_deadlines(session, reader, handed_out), default=(None, ""))
        rows.append(
            views.CourseRow(
                name=course.name,
                title=course.title,
                role=str(reader.actor.role(course.id)),
                assignments=len(handed_out),
                tz=ZoneInfo(course.timezone),
                next_due=due_at,
                next_title=reader.title(name) if due_at else "",
            )
        )
    return tuple(rows)


def _open_deadlines(
    session: Session, reader: Reader, handed_out: Sequence[Published]
) -> Iterator[tuple[datetime, str]]:
    """The deadlines still to come, and of which assignments; without those that the reader has no attempts left for."""
    for published in handed_out:
        held = submitting.terms(session, published, reader.actor.user_id or 0)
        idle = held.attempts_left == 0 and not reader.actor.is_staff(published.course_id)
        if held.opens_at <= reader.now and held.due_at is not None and held.due_at > reader.now and not idle:
            yield held.due_at, published.name


def course(session: Session, reader: Reader, of: Course) -> views.CoursePage:
    staff = reader.actor.is_staff(of.id)
    counts = grades.counts(session, of.id) if staff else {}
    rows = []
    for published in publishing.listed(session, of.id):
        stand = counts.get(published.name, {})
        rows.append(
            views.AssignmentRow(
                name=published.name,
                title=reader.title(published.name),
                work=work(session, reader, published),
                handed_in=sum(stand.values()) - stand.get(GradeStatus.MISSING, 0) if staff else None,
                students=sum(stand.values()) if staff else None,
            )
        )
    return views.CoursePage(name=of.name, title=of.title, assignments=tuple(rows))


# Assignments ---------------------------------------------------------------------------------------------------------


def work(session: Session, reader: Reader, published: Published) -> views.Work:
    """Where the reader stands with an assignment."""
    user_id = reader.actor.user_id or 0
    held = submitting.terms(session, published, user_id)
    grade = session.scalar(select(Grade).where(Grade.published_id == published.id, Grade.user_id == user_id))
    most, best = _best(session, reader, published, held, grade)
    status = "missing" if grade is None else str(grade.status)
    return views.Work(
        state="not_open" if held.opens_at > reader.now else _WORDS[status],
        max_score=most,
        due_at=held.due_at,
        closes_at=held.closes_at,
        opens_at=held.opens_at,
        late_percent=published.late_percent,
        attempts=held.attempts_used,
        attempt_limit=held.attempt_limit,
        attempts_left=held.attempts_left,
        counting=_counting(published),
        best=best,
        overridden=grade is not None and grade.overridden,
        extended=held.extended,
    )


_WORDS: Mapping[str, views.WorkState] = {
    "missing": "missing", "pending": "pending", "not_gradable": "not_gradable", "graded": "graded",
}  # fmt: skip


def _counting(published: Published) -> views.CountingRule:
    return "latest" if published.counting is Counting.LATEST else "best"


def _best(
    session: Session, reader: Reader, published: Published, held: Terms, grade: Grade | None
) -> tuple[float, float | None]:
    """The largest possible score and the one that counts, both without checks that are kept back."""
    names = reader.service.catalogue.names
    assignment = reader.service.catalogue.get(published.name) if published.name in names else None
    most = assignment.max_score if assignment else 0.0
    if grade is None or assignment is None or grade.overridden:
        return most, None if grade is None else grade.score
    hidden = hidden_checks(assignment)
    if not hidden or reader.sees_all(published, held.due_at):
        return most, grade.score
    shown = sum(check.points for check in assignment.checks if check.visible)
    row = grades.one(session, published.id, grade.user_id)
    return shown, None if row is None else showing.visible_grade(session, row, reader.actor, reader.now).score


def attempts(session: Session, reader: Reader, published: Published, user_id: int) -> tuple[views.AttemptRow, ...]:
    """Somebody's attempts as the reader may see them, newest first."""
    rows = session.execute(
        select(Submission, StoredReport.max_score)
        .outerjoin(StoredReport, StoredReport.id == Submission.report_id)
        .where(Submission.published_id == published.id, Submission.user_id == user_id)
        .order_by(Submission.number.desc())
    ).all()
    scores = {s.report_id: (s.score, most) for s, most in rows if s.report_id is not None and s.score is not None}
    held = submitting.terms(session, published, user_id)
    if published.name in reader.service.catalogue.names and not reader.sees_all(published, held.due_at):
        hidden = hidden_checks(reader.service.catalogue.get(published.name))
        if hidden:
            seen = showing.scores_without(session, published.id, user_id, hidden)
            scores = {report_id: seen.get(report_id, (0.0, 0.0)) for report_id in scores}
    seen_scores = {report_id: score for report_id, (score, _) in scores.items()}
    counting = recording.counting_submission([submission for submission, _ in rows], published, seen_scores)
    return tuple(
        views.AttemptRow(
            id=submission.id,
            number=submission.number,
            state=str(submission.state),
            received_at=submission.received_at,
            file=submission.file_name,
            score=scores[submission.report_id][0] if submission.report_id in scores else None,
            max_score=scores[submission.report_id][1] if submission.report_id in scores else 100.0,
            days_late=submission.days_late,
            counts=counting is not None and submission.id == counting.id,
        )
        for submission, _ in rows
    )


# Submissions ---------------------------------------------------------------------------------------------------------


def submission(session: Session, reader: Reader, of: Submission) -> views.SubmissionPage:
    """The page of one submission, whoever of those allowed reads it."""
    published = of.published
    held = submitting.terms(session, published, of.user_id)
    everything = reader.sees_all(published, held.due_at)
    stored = recording.stored_report(session, of) if of.state.final else None
    rows = attempts(session, reader, published, of.user_id)
    mine = next(row for row in rows if row.id == of.id)
    own = of.user_id == reader.actor.user_id
    override = recording.override_in_force(session, published.id, of.user_id) if mine.counts else None
    late = mine.counts and of.days_late > 0 and mine.score is not None
    return views.SubmissionPage(
        id=of.id,
        course=published.course.name,
        assignment=published.name,
        title=reader.title(published.name),
        number=of.number,
        limit=held.attempt_limit,
        used=held.attempts_used,
        received_at=of.received_at,
        file=of.file_name,
        counting=_counting(published),
        counts=mine.counts,
        days_late=of.days_late,
        counted=recording.lessened(mine.score or 0.0, of.days_late, published) if late else None,
        override=override.score if override else None,
        waiting=None if stored else _waiting(session, reader, of, hidden=everything),
        report=_report(reader, published, stored, everything) if stored else None,
        reused_since=_made_at(session, stored, of, whole=reader.actor.is_staff(published.course_id)),
        attempts=rows,
        previous=next((row.number for row in rows if row.number < of.number), None),
        attempts_left=held.attempts_left if own else None,
        student=None if own else of.user.name,
    )


def _report(reader: Reader, published: Published, stored: StoredReport, everything: bool) -> ReportView:
    report = unpack_report(stored.content)
    names = reader.service.catalogue.names
    parts = reader.service.catalogue.get(published.name).parts if published.name in names else ()
    return report_view(report if everything else showing.without_hidden(report, published), parts, reader.lang)


def _made_at(session: Session, stored: StoredReport | None, of: Submission, *, whole: bool) -> datetime | None:
    """When the report that was used again was made. whole: also when the same file was somebody else's, which no
    student is told."""
    first = session.get(StoredReport, stored.reused_from_id) if stored and stored.reused_from_id else None
    if first is None:
        return None
    own = session.get_one(Submission, first.submission_id).user_id == of.user_id
    return first.created_at if own or whole else None


def _waiting(session: Session, reader: Reader, of: Submission, *, hidden: bool) -> views.Waiting:
    place = reader.service.queue.place(session, of.id)
    idle = reader.service.posture().workers == 0
    names = reader.service.catalogue.names
    name = of.published.name
    return views.Waiting(
        state="grading" if of.state is SubmissionState.GRADING else "queued",
        before=place.before if place else 0,
        seconds=place.seconds if place and not idle else None,
        idle=idle,
        planned=planned(reader.service.catalogue.get(name), reader.lang, hidden=hidden) if name in names else (),
    )


# Changes -------------------------------------------------------------------------------------------------------------


def file_bytes(session: Session, of: Submission) -> bytes:
    return unpack(session.get_one(Blob, of.blob_digest).data)


def source(assignment: Assignment, file: str, data: bytes) -> str:
    """The code of an upload, cells one after the other; empty when it cannot be read."""
    try:
        return read_upload(file, data, assignment.asks).source.text
    except NotGradable:
        return ""


def comparison(
    session: Session, reader: Reader, of: Submission, against: int | None
) -> tuple[views.ChangesPage, tuple[tuple[str, bytes], ...]]:
    """The page without its lines, and both files, before first; comparing them needs no transaction."""
    rows = attempts(session, reader, of.published, of.user_id)
    after = next(row for row in rows if row.id == of.id)
    others = tuple(row for row in rows if row.id != of.id)
    earlier = next((row for row in others if row.number < of.number), None)
    before = next((row for row in others if row.id == against), None) if against is not None else earlier
    page = views.ChangesPage(
        id=of.id,
        course=of.published.course.name,
        assignment=of.published.name,
        title=reader.title(of.published.name),
        after=after,
        before=before,
        others=others,
    )
    both = [session.get_one(Submission, row.id) for row in (before, after) if row is not None]
    return page, tuple((one.file_name, file_bytes(session, one)) for one in both)


def changed_lines(assignment: Assignment, files: Sequence[tuple[str, bytes]]) -> tuple[changes.DiffLine, ...]:
    before, after = (source(assignment, name, data) for name, data in files)
    return changes.compare_sources(before, after)
