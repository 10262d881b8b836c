"""How a class did on one assignment, and who made which mistake."""

from __future__ import annotations

from fastapi import APIRouter
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from grader.assignments import Assignment
from grader.errors import NotFound, NotGradable
from grader.intake import read_upload
from grader.reports import Language
from grader.service import access, grades, publishing, statistics
from grader.service.grades import Wanted
from grader.service.statistics import Statistics
from grader.store.codec import unpack
from grader.store.models import Blob, Course, Submission
from grader.store.states import Role
from grader.web import charts
from grader.web.charts import AttemptCount, MistakeCount, PassRate
from grader.web.dependencies import Caller, Visitor
from grader.web.markup import code_html
from grader.web.source_view import snippet
from grader.web.staff_views import MistakeGroup, MistakePage, MistakeStudent, StatisticsPage

router = APIRouter()

_LOOKED_AT = 5  # submissions of which the shortest snippet is shown


@router.get("/courses/{course}/assignments/{name}/statistics")
def show(who: Visitor, course: str, name: str) -> Response:
    with who.service.store.read() as session:
        published = access.published(session, who.actor, course, name, Role.TA)
        of, assignment = published.course, who.service.catalogue.get(name)
        found = statistics.statistics(session, published, assignment.max_score)
        rows = grades.everything(session, Wanted(course_id=of.id, assignment=name))
        others = [other.name for other in publishing.listed(session, of.id)]
    scores = [row.score for row in rows if row.score is not None]
    page = _page(who, of, assignment, found, scores, others)
    return who.page("staff/statistics.html", page, course=of, section="gradebook")


def _page(
    who: Caller, course: Course, assignment: Assignment, found: Statistics, scores: list[float], others: list[str]
) -> StatisticsPage:
    lang, most = who.lang, assignment.max_score
    titles = {check.id: check.title.say(lang) for check in assignment.checks}
    groups = tuple(_group(assignment, g.mistake, g.part, g.students, lang) for g in found.mistakes)
    rates = [
        PassRate(title=titles.get(c.check_id, c.check_id), passed=c.passed, of=c.passed + c.failed + c.not_reached)
        for c in found.checks
    ]
    tries = [AttemptCount(attempts=n, students=count) for n, count in found.attempts_to_full.items()]
    return StatisticsPage(
        course=course.name,
        assignment=assignment.name,
        title=assignment.title.say(lang),
        max_score=most,
        students=found.students,
        graded=found.graded,
        missing=found.missing,
        open=found.students - found.graded - found.missing,
        full_marks=sum(score >= most for score in scores),
        mean=found.mean,
        scores=charts.histogram(scores, most, lang),
        rates=charts.pass_rates(rates, lang),
        common=charts.mistake_counts([MistakeCount(hint=g.hint, students=g.students) for g in groups], lang),
        attempts=charts.attempts_until_full(tries, found.students - sum(t.students for t in tries), lang),
        mistakes=groups,
        others=tuple((name, who.service.catalogue.get(name).title.say(lang)) for name in others),
    )


def _group(assignment: Assignment, mistake: str, part: str, students: int, lang: Language) -> MistakeGroup:
    """A mistake that a later version of the assignment does not know keeps its name."""
    hint = next((m.hint.say(lang) for m in assignment.mistakes if m.name == mistake), mistake)
    return MistakeGroup(name=mistake, part=part, hint=hint, students=students)


@router.get("/courses/{course}/assignments/{name}/mistakes/{mistake}")
def show_mistake(who: Visitor, course: str, name: str, mistake: str) -> Response:
    with who.service.store.read() as session:
        published = access.published(session, who.actor, course, name, Role.TA)
        of, assignment = published.course, who.service.catalogue.get(name)
        found = statistics.sightings(session, published, mistake)
        known = next((m for m in assignment.mistakes if m.name == mistake), None)
        if known is None and not found:
            raise NotFound
        ids = [sighting.submission_id for sighting in found]
        numbers = dict(session.execute(select(Submission.id, Submission.number).where(Submission.id.in_(ids))).all())
        students = tuple(
            MistakeStudent(
                login=s.login, name=s.name, section=s.section, submission=s.submission_id,
                number=numbers[s.submission_id], score=s.score or 0.0,
            )
            for s in found
        )  # fmt: skip
        part = known.part if known is not None else ""
        code, whose = _typical(session, assignment, part, students)
    group = _group(assignment, mistake, part, len(students), who.lang)
    page = MistakePage(
        course=of.name, assignment=name, title=assignment.title.say(who.lang), max_score=assignment.max_score,
        group=group, students=students, snippet=code, snippet_of=whose,
    )  # fmt: skip
    return who.page("staff/mistake.html", page, course=of, section="gradebook")


def _typical(
    session: Session, assignment: Assignment, part: str, students: tuple[MistakeStudent, ...]
) -> tuple[Markup, MistakeStudent | None]:
    """The shortest code of the part among the first few students: the least beside the point."""
    asks = next((p.asks for p in assignment.parts if p.name == part), ())
    found = []
    for student in students[:_LOOKED_AT]:
        submission = session.get_one(Submission, student.submission)
        data = unpack(session.get_one(Blob, submission.blob_digest).data)
        try:
            source = read_upload(submission.file_name, data, assignment.asks).source
        except NotGradable:
            continue
        if (piece := snippet(source, asks)) is not None:
            found.append((len(piece[0]), student, piece))
    if not found:
        return Markup(""), None
    _, student, (text, start) = min(found, key=lambda entry: entry[0])
    form = Markup('<pre class="source" tabindex="0">{}</pre>')
    return form.format(code_html(text, start=start)), student
