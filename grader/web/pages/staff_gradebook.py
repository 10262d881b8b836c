"""The gradebook and its file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from grader.reports import Language
from grader.service import access, gradebook, publishing, recording
from grader.service.catalogue import Catalogue
from grader.service.exports import safe
from grader.service.gradebook import Book, Filter
from grader.store.models import Course, Grade
from grader.store.states import GradeStatus, Role
from grader.web.dependencies import Visitor
from grader.web.filter_box import FilterNotUnderstood, parse
from grader.web.staff_views import BookColumn, BookRow, Cell, GradebookPage

router = APIRouter()

ROWS = 50


@router.get("/courses/{course}/gradebook")
def show(who: Visitor, course: str, q: str = "", sort: str = "name", page: int = 1) -> Response:
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        wanted, problem = _understood(session, of, q, who.lang)
        page = max(1, min(page, 1_000_000))
        book = gradebook.book(session, of.id, wanted, sort=sort, offset=ROWS * (page - 1), limit=ROWS)
        made = GradebookPage(
            course=of.name,
            columns=_columns(book, who.service.catalogue, who.lang),
            rows=tuple(
                BookRow(login=line.login, name=line.name, section=line.section, cells=tuple(map(cell, line.grades)))
                for line in book.lines
            ),
            students=book.students,
            everybody=recording.student_count(session, of.id),
            query=q,
            sort=sort,
            page=page,
            pages=max(1, -(-book.students // ROWS)),
            problem=problem,
        )
    return who.page("staff/gradebook.html", made, course=of, section="gradebook", status=422 if problem else 200)


@router.get("/courses/{course}/gradebook.csv")
def download(who: Visitor, course: str, q: str = "", sort: str = "name") -> Response:
    """Every student that the filter shows, in the order shown. Raises Invalid for a filter that is not understood."""
    with who.service.store.read() as session:
        of = access.course(session, who.actor, course, Role.TA)
        wanted = parse(q, [p.name for p in publishing.listed(session, of.id)])
        book = gradebook.book(session, of.id, wanted, sort=sort)
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(_lines(book))
    headers = {"Content-Disposition": f'attachment; filename="{of.name}-gradebook.csv"'}
    return Response("\ufeff" + out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _understood(session: Session, course: Course, text: str, lang: Language) -> tuple[Filter, str]:
    """The filter; everybody, and what is wrong, when it is not understood."""
    try:
        return parse(text, [p.name for p in publishing.listed(session, course.id)]), ""
    except FilterNotUnderstood as error:
        return Filter(), error.text.say(lang)


def _columns(book: Book, catalogue: Catalogue, lang: Language) -> tuple[BookColumn, ...]:
    made = []
    for published in book.columns:
        assignment, counts = catalogue.get(published.name), book.counts[published.name]
        graded, missing = counts.get(GradeStatus.GRADED, 0), counts.get(GradeStatus.MISSING, 0)
        made.append(
            BookColumn(
                name=published.name,
                title=assignment.title.say(lang),
                max_score=assignment.max_score,
                graded=graded,
                missing=missing,
                open=sum(counts.values()) - graded - missing,
            )
        )
    return tuple(made)


def cell(grade: Grade | None) -> Cell:
    """A grade as its cell shows it; a student who has no row yet has handed in nothing."""
    if grade is None:
        return Cell(status=GradeStatus.MISSING)
    return Cell(
        status=grade.status,
        score=grade.score,
        computed=grade.computed,
        overridden=grade.overridden,
        days_late=grade.days_late,
        submission=grade.submission_id,
    )


def _lines(book: Book) -> Iterable[Sequence[object]]:
    names = [published.name for published in book.columns]
    heads = [f"{name}{end}" for name in names for end in ("", "_status", "_overridden", "_days_late")]
    yield ("login", "name", "section", *heads)
    for line in book.lines:
        yield (
            safe(line.login),
            safe(line.name),
            safe(line.section),
            *(v for g in line.grades for v in _values(cell(g))),
        )


def _values(shown: Cell) -> tuple[object, ...]:
    score = "" if shown.score is None else f"{shown.score:.10g}"
    return score, str(shown.status), "yes" if shown.overridden else "no", shown.days_late
