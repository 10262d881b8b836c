"""How a class did, over REST."""

from __future__ import annotations

from sqlalchemy.orm import Session

from grader.assignments import Assignment
from grader.errors import NotFound
from grader.reports import Language
from grader.service import access, statistics
from grader.service.access import Scope, need_scope
from grader.store.models import Published
from grader.store.states import Role
from grader.web.api.answers import language, problems
from grader.web.api.parameters import AssignmentName, CourseName, Lang, MistakeName
from grader.web.api.routing import make_router
from grader.web.api.staff_schemas import (
    BinAnswer,
    CheckRateAnswer,
    MistakeAnswer,
    MistakeSightings,
    SightingAnswer,
    StatisticsAnswer,
)
from grader.web.dependencies import Caller, TokenHolder

router = make_router("statistics")


def _may(session: Session, who: Caller, course: str, name: str) -> Published:
    published = access.published(session, who.actor, course, name, Role.TA)
    need_scope(who.actor, Scope.READ_GRADES)
    return published


@router.get("/courses/{course}/assignments/{name}/statistics", summary="How the class did", responses=problems(409))
def one_assignment(who: TokenHolder, course: CourseName, name: AssignmentName, lang: Lang = None) -> StatisticsAnswer:
    """Scores, pass rate of each check, known mistakes: of the submissions that count. For staff, with the scope
    grades:read."""
    with who.service.store.read() as session:
        published = _may(session, who, course, name)
        assignment = who.service.catalogue.get(published.name)
        found = statistics.statistics(session, published, assignment.max_score)
    hints = _hints(assignment, language(who, lang))
    return StatisticsAnswer(
        students=found.students, graded=found.graded, missing=found.missing, mean=found.mean, median=found.median,
        max_score=found.max_score,
        histogram=[BinAnswer(low=b.low, high=b.high, count=b.count) for b in found.histogram],
        checks=[
            CheckRateAnswer(
                check=c.check_id, part=c.part, passed=c.passed, failed=c.failed, not_reached=c.not_reached, rate=c.rate
            )
            for c in found.checks
        ],
        mistakes=[
            MistakeAnswer(mistake=m.mistake, part=m.part, hint=hints.get(m.mistake, ""), students=m.students)
            for m in found.mistakes
        ],
        attempts_to_full={str(number): students for number, students in found.attempts_to_full.items()},
    )  # fmt: skip


def _hints(assignment: Assignment, lang: Language) -> dict[str, str]:
    return {mistake.name: mistake.hint.say(lang) for mistake in assignment.mistakes}


@router.get(
    "/courses/{course}/assignments/{name}/mistakes/{mistake}", summary="Who made a mistake", responses=problems(409)
)
def one_mistake(
    who: TokenHolder, course: CourseName, name: AssignmentName, mistake: MistakeName, lang: Lang = None
) -> MistakeSightings:
    """Students who made it in the submission that counts, by name. For staff, with the scope grades:read."""
    with who.service.store.read() as session:
        published = _may(session, who, course, name)
        assignment = who.service.catalogue.get(published.name)
        found = statistics.sightings(session, published, mistake)
    known = {m.name: m.part for m in assignment.mistakes}
    if mistake not in known and not found:
        raise NotFound
    items = [
        SightingAnswer(
            login=s.login, name=s.name, section=s.section, submission_id=s.submission_id, check=s.check_id,
            score=s.score,
        )
        for s in found
    ]  # fmt: skip
    return MistakeSightings(
        mistake=mistake, part=known.get(mistake, ""), hint=_hints(assignment, language(who, lang)).get(mistake, ""),
        students=len(items), items=items,
    )  # fmt: skip
