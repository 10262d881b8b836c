"""A student's submission as staff see it: the source beside the report, and the forms that change the grade."""

from __future__ import annotations

from sqlalchemy.orm import Session
from starlette.responses import Response

from grader.errors import NotGradable
from grader.intake import read_upload
from grader.service import access, recording
from grader.store.models import Submission
from grader.web import filling, source_view
from grader.web.dependencies import Caller
from grader.web.pages.staff_students import grade_forms, reader
from grader.web.staff_views import SourceBlock, StaffSubmissionPage


def for_staff(who: Caller, submission: Submission) -> bool:
    """Whether this page is the right one: of the course's staff, for somebody else's submission."""
    return who.actor.is_staff(submission.published.course_id) and submission.user_id != who.actor.user_id


def show(who: Caller, session: Session, submission: Submission) -> Response:
    """The page. The caller has checked that the submission may be seen."""
    published, user = submission.published, submission.user
    member = access.member(session, published.course_id, user.login)
    blocks, why_not = _source(who, session, submission)
    page = StaffSubmissionPage(
        submission=filling.submission(session, reader(who), submission),
        login=user.login,
        name=user.name,
        section=member.section,
        blocks=blocks,
        forms=grade_forms(session, who, published.course, published, user, f"/submissions/{submission.id}#grade"),
        why_not=why_not,
    )
    return who.page("staff/submission.html", page, course=published.course, section="gradebook")


def _source(who: Caller, session: Session, submission: Submission) -> tuple[tuple[SourceBlock, ...], str]:
    """The marked source; else why there is none."""
    assignment = who.service.catalogue.get(submission.published.name)
    data = filling.file_bytes(session, submission)
    try:
        source = read_upload(submission.file_name, data, assignment.asks).source
    except NotGradable as error:
        return (), error.text.say(who.lang)
    report = recording.report_of(session, submission)
    return source_view.blocks(source, assignment, report, who.lang), ""
