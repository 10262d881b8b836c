"""Pages of courses, assignments and submissions: what students use, and where staff begin."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from grader import telemetry
from grader.assignments import Assignment
from grader.errors import Conflict, Invalid, NotFound, Refused, TooLarge, TooMany
from grader.reports import Language, Report
from grader.service import access, showing, submitting
from grader.service.submitting import Upload
from grader.store.codec import unpack
from grader.store.models import Course
from grader.web import filling, looking, streams, views
from grader.web.api.starters import notebook
from grader.web.dependencies import Caller, Form, RowId, Visitor, field, upload_of
from grader.web.filling import Reader
from grader.web.illustrations import Width, figure_answer, picture_answer
from grader.web.markup import statement
from grader.web.pages import staff_submission
from grader.web.showing import planned

router = APIRouter()


def _reader(who: Caller) -> Reader:
    return Reader(service=who.service, actor=who.actor, lang=who.lang, now=who.now)


# Courses -------------------------------------------------------------------------------------------------------------


@router.get("/")
def front(who: Visitor) -> Response:
    """The only course, or the list of all."""
    with who.service.store.read() as session:
        names = [session.get_one(Course, course_id).name for course_id in who.actor.courses]
    return RedirectResponse(f"/courses/{names[0]}" if len(names) == 1 else "/courses", 303)


@router.get("/courses")
def courses(who: Visitor) -> Response:
    with who.service.store.read() as session:
        page = views.CoursesPage(courses=filling.courses(session, _reader(who)))
    return who.page("courses.html", page)


@router.get("/courses/{course}")
def course(who: Visitor, course: str) -> Response:
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        page = filling.course(session, _reader(who), found)
    return who.page("course.html", page, course=found, section="assignments")


# Assignments ---------------------------------------------------------------------------------------------------------


@router.get("/courses/{course}/assignments/{name}")
def assignment(who: Visitor, course: str, name: str) -> Response:
    return _assignment_page(who, course, name)


def _assignment_page(
    who: Caller, course: str, name: str, *, refused: Refused | None = None, pasted: str = ""
) -> Response:
    """refused: why the upload that was just sent is not taken."""
    with who.service.store.read() as session:
        found = access.course(session, who.actor, course)
        published = access.published(session, who.actor, course, name)
        work = filling.work(session, _reader(who), published)
        rows = filling.attempts(session, _reader(who), published, who.actor.user_id or 0)
        everything = _reader(who).sees_all(published, work.due_at)
    if work.state == "not_open" and not who.actor.is_staff(found.id):
        raise NotFound("This assignment is not open yet.", "这个作业还没有开放。")
    sheet = who.service.catalogue.get(name)
    page = views.AssignmentPage(
        course=course,
        name=name,
        title=sheet.title.say(who.lang),
        statement=statement(sheet.statement(who.lang), "表格" if who.lang == "zh" else "Table"),
        work=work,
        parts=planned(sheet, who.lang, hidden=everything),
        attempts=rows,
        problem=refused.text.say(who.lang) if refused else "",
        pasted=pasted,
    )
    status = refused.http_status if refused else 200
    answer = who.page("assignment.html", page, course=found, section="assignments", status=status)
    if isinstance(refused, TooMany):
        answer.headers["Retry-After"] = str(refused.retry_after_s)
    return answer


@router.post("/courses/{course}/assignments/{name}")
async def hand_in(who: Visitor, course: str, name: str, form: Form) -> Response:
    """Takes a file or pasted code; what is refused is said on the same page, with the pasted code kept."""
    try:
        upload = await upload_of(form)
        taken = await run_in_threadpool(_accept, who, course, name, upload)
    except (Invalid, Conflict, TooLarge, TooMany) as refused:
        pasted = field(form, "pasted")
        return await run_in_threadpool(_assignment_page, who, course, name, refused=refused, pasted=pasted)
    return RedirectResponse(f"/submissions/{taken}", 303)


def _accept(who: Caller, course: str, name: str, upload: Upload) -> int:
    sheet = _open_sheet(who, course, name)
    with who.service.store.write(student=who.actor.user_id) as session:
        accepted = submitting.accept(
            session,
            who.service.queue,
            who.actor,
            access.published(session, who.actor, course, name),
            sheet,
            upload,
            now=who.service.now(),
            received_at=who.arrived,
            uploads_a_minute=who.service.uploads_a_minute,
            trace=telemetry.current(),
        )
        return accepted.submission.id


def _open_sheet(who: Caller, course: str, name: str) -> Assignment:
    """An assignment that this person may work on. Raises NotFound."""
    with who.service.store.read() as session:
        published = access.published(session, who.actor, course, name)
    if published.opens_at > who.now and not who.actor.is_staff(published.course_id):
        raise NotFound("This assignment is not open yet.", "这个作业还没有开放。")
    return who.service.catalogue.get(name)


@router.post("/courses/{course}/assignments/{name}/look")
async def look(who: Visitor, course: str, name: str, form: Form) -> Response:
    """What an upload holds, before it is handed in. Nothing is stored, nothing is run."""
    try:
        upload = await upload_of(form)
    except (Invalid, TooLarge) as refused:
        return JSONResponse({"kind": "bad", "lines": [refused.text.say(who.lang)]})
    found = await run_in_threadpool(_look, who, course, name, upload)
    return JSONResponse({"kind": found.kind, "lines": list(found.lines)})


def _look(who: Caller, course: str, name: str, upload: Upload) -> views.Understood:
    return looking.look(_open_sheet(who, course, name), upload.name, unpack(upload.packed), who.lang)


@router.get("/courses/{course}/assignments/{name}/starter.py")
def starter(who: Visitor, course: str, name: str) -> Response:
    return _download(f"{name}.py", _open_sheet(who, course, name).starter.encode())


@router.get("/courses/{course}/assignments/{name}/starter.ipynb")
def starter_notebook(who: Visitor, course: str, name: str) -> Response:
    sheet = _open_sheet(who, course, name)
    return _download(f"{name}.ipynb", notebook(sheet.starter, sheet.title.say(who.lang)))


def _download(name: str, data: bytes) -> Response:
    """A file to be kept, never shown: nothing that somebody uploaded becomes a page of this site."""
    named = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Response(data, media_type="application/octet-stream", headers=named)


# Submissions ---------------------------------------------------------------------------------------------------------


@router.get("/submissions/{submission_id}")
def submission(who: Visitor, submission_id: RowId) -> Response:
    with who.service.store.read() as session:
        found = access.submission(session, who.actor, submission_id)
        if staff_submission.for_staff(who, found):
            return staff_submission.show(who, session, found)
        page = filling.submission(session, _reader(who), found)
        of = found.published.course
    return who.page("submission.html", page, course=of, section="assignments")


@router.get("/submissions/{submission_id}/events")
async def events(who: Visitor, submission_id: RowId) -> StreamingResponse:
    return await streams.submission_events(who, submission_id)


@router.get("/submissions/{submission_id}/file")
def file(who: Visitor, submission_id: RowId) -> Response:
    with who.service.store.read() as session:
        found = access.submission(session, who.actor, submission_id)
        name, data = found.file_name, filling.file_bytes(session, found)
    return _download(name, data)


@router.get("/submissions/{submission_id}/figures/{check}/{figure}.svg")
def one_figure(
    who: Visitor, submission_id: RowId, check: str, figure: str, lang: Language | None = None, width: Width = "wide"
) -> Response:
    """lang: in the address, so that a drawing that a browser keeps is in the language of its page."""
    return figure_answer(who.request, _seen_report(who, submission_id), check, figure, lang or who.lang, width)


@router.get("/submissions/{submission_id}/pictures/{check}/{number}.png")
def one_picture(who: Visitor, submission_id: RowId, check: str, number: RowId) -> Response:
    return picture_answer(who.request, _seen_report(who, submission_id), check, number)


def _seen_report(who: Caller, submission_id: int) -> Report | None:
    """The report that the page of this submission shows to this reader. Raises NotFound as the page does."""
    with who.service.store.read() as session:
        found = access.submission(session, who.actor, submission_id)
        return showing.visible_report(session, who.actor, found, who.now) if found.state.final else None


@router.get("/submissions/{submission_id}/changes")
def changes(who: Visitor, submission_id: RowId, against: int | None = None) -> Response:
    with who.service.store.read() as session:
        found = access.submission(session, who.actor, submission_id)
        page, files = filling.comparison(session, _reader(who), found, against)
        of, name = found.published.course, found.published.name
    lines = filling.changed_lines(who.service.catalogue.get(name), files) if page.before else ()
    return who.page("changes.html", page.with_lines(lines), course=of, section="assignments")
