"""Handing in over REST: the answer may wait for the verdict."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Depends, Response
from starlette.concurrency import run_in_threadpool

from grader import telemetry
from grader.reports import Language
from grader.service import access, showing, submitting
from grader.service.access import Scope
from grader.service.submitting import Upload
from grader.store.models import Submission
from grader.web import streams
from grader.web.api.answers import language, place_answer, problems, report_answer, submission_fields
from grader.web.api.parameters import AssignmentName, CourseName, IdempotencyKey, Lang, Prefer
from grader.web.api.routing import FORM, make_router
from grader.web.dependencies import Caller, TokenHolder, opened_form, upload_of
from grader.web.schemas import HandedIn

router = make_router("submissions")
_LONGEST_WAIT_S = 30
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)
_LOCATION = {"Location": {"description": "The submission.", "schema": {"type": "string"}, "required": True}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "A .py or .ipynb of at most 5 MiB, or a .zip of at most 10 MiB.",
                        }
                    },
                },
                "encoding": {"file": {"contentType": "application/octet-stream, text/x-python, application/zip"}},
            }
        },
    }
}


def wait_of(prefer: str | None) -> int:
    """Seconds that a Prefer header asks to wait: 0 to 30. What it says otherwise is not for us."""
    found = _WAIT.search(prefer or "")
    return 0 if found is None else min(_LONGEST_WAIT_S, int(found[1]))


async def may_hand_in(who: TokenHolder, course: CourseName, name: AssignmentName) -> Caller:
    """Looked at before the body is read, so that strangers cannot make us read theirs."""

    def look() -> None:
        access.need_scope(who.actor, Scope.SUBMIT)
        with who.service.store.read() as session:
            access.published(session, who.actor, course, name)

    await run_in_threadpool(look)
    return who


@router.post(
    "/courses/{course}/assignments/{name}/submissions",
    status_code=202,
    summary="Hand in a file",
    response_description="Taken and stored; the verdict is not there yet.",
    responses={
        200: {"model": HandedIn, "description": "The same request came before; its verdict.", "headers": _LOCATION},
        201: {"model": HandedIn, "description": "Taken and graded in time; the verdict.", "headers": _LOCATION},
        202: {"headers": _LOCATION},
        **problems(409, body=True),
    },
    openapi_extra=_BODY,
)
async def hand_in(
    who: Annotated[Caller, Depends(may_hand_in)], response: Response, course: CourseName, name: AssignmentName,
    idempotency_key: IdempotencyKey = None, prefer: Prefer = None, lang: Lang = None,
) -> HandedIn:  # fmt: skip
    """Takes a notebook, script or zip file as the part `file` of a form. After a 202 the file is stored for good and
    will be graded, whatever happens to the server. With `Prefer: wait=N` the answer waits up to N seconds for the
    verdict. Repeat a request that got lost with the same `Idempotency-Key`: the file is handed in once. Needs the scope
    submit."""
    async with opened_form(who.request) as form:
        upload = await upload_of(form)
    submission_id, repeated = await run_in_threadpool(_accept, who, course, name, upload, idempotency_key)
    wait_s = wait_of(prefer)
    if wait_s:
        await streams.finished(who, submission_id, wait_s)
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    answer = await run_in_threadpool(_answer, who, submission_id, language(who, lang))
    response.headers["Location"] = f"/api/v1/submissions/{submission_id}"
    if answer.state.final:
        response.status_code = 200 if repeated else 201
    return answer


def _accept(who: Caller, course: str, name: str, upload: Upload, key: str | None) -> tuple[int, bool]:
    with who.service.store.write(student=who.actor.user_id) as session:
        published = access.published(session, who.actor, course, name)
        accepted = submitting.accept(
            session, who.service.queue, who.actor, published, who.service.catalogue.get(published.name), upload,
            now=who.service.now(), received_at=who.arrived, uploads_a_minute=who.service.uploads_a_minute, key=key,
            trace=telemetry.current(),
        )  # fmt: skip
        return accepted.submission.id, accepted.repeated


def _answer(who: Caller, submission_id: int, lang: Language) -> HandedIn:
    with who.service.store.read() as session:
        submission = session.get_one(Submission, submission_id)
        published = submission.published
        report = showing.visible_report(session, who.actor, submission, who.now) if submission.state.final else None
        fields = submission_fields(session, who, submission, published, published.course.name, submission.user)
        place = place_answer(session, who, submission)
    told = None if report is None else report_answer(report, lang, submission_id)
    return HandedIn(**fields, place=place, report=told)
