"""Whether the service lives and can do its work, and its numbers for Prometheus. None of it tells a secret."""

from __future__ import annotations

import functools
import hmac
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import DatabaseError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from grader.errors import StoreError
from grader.queue import Depth
from grader.service.access import Scope, need_scope
from grader.store import migrating
from grader.web.api.answers import gives, problems
from grader.web.api.metrics import metrics_of
from grader.web.api.routing import Route
from grader.web.api.staff_schemas import LiveAnswer, ReadyAnswer
from grader.web.dependencies import service_of, token_holder
from grader.web.hosting import Posture, Service

router = APIRouter(route_class=Route, tags=["service"])
_bearer = HTTPBearer(
    auto_error=False, scheme_name="Metrics", description="A token with the scope metrics, or GRADER_METRICS_TOKEN."
)


@router.get("/health/live", summary="Whether the process answers", responses=problems(anonymous=True))
async def live() -> LiveAnswer:
    """Nothing else is looked at: a process that does not answer this should be started again."""
    return LiveAnswer(status="live")


@router.get(
    "/health/ready",
    response_model=ReadyAnswer,
    summary="Whether it can do its work",
    responses={
        **problems(anonymous=True),
        503: {"model": ReadyAnswer, "description": "Not now; `reasons` says why."},
    },
)
def ready(request: Request) -> JSONResponse:
    """Its database is of the newest schema and at least one worker with a sandbox is alive."""
    answer = _ready(service_of(request))
    return JSONResponse(answer.model_dump(mode="json"), 200 if answer.status == "ready" else 503)


def _ready(service: Service) -> ReadyAnswer:
    try:
        behind = migrating.version(service.store) != _newest()
        with service.store.read() as session:
            depth = service.queue.depth(session)
        posture = service.posture()
    except (StoreError, DatabaseError):
        return _say(["the database cannot be read"], "unreachable", None, None)
    reasons = []
    if behind:
        reasons.append("the database has an older schema; run: grader migrate")
    if posture.workers == 0 and posture.held:
        reasons.append("no worker takes jobs: the self-test of the sandbox fails; see the workers' logs")
    elif posture.workers == 0:
        reasons.append("no worker is alive")
    elif posture.mode is None:
        reasons.append("no worker has a sandbox")
    return _say(reasons, "behind" if behind else "newest", depth, posture)


def _say(reasons: list[str], database: str, depth: Depth | None, posture: Posture | None) -> ReadyAnswer:
    mode = None if posture is None or posture.mode is None else str(posture.mode)
    return ReadyAnswer.model_validate(
        {
            "status": "not_ready" if reasons else "ready", "reasons": reasons, "database": database,
            "sandbox_mode": mode, "workers": 0 if posture is None else posture.workers,
            "queued": 0 if depth is None else depth.queued, "running": 0 if depth is None else depth.running,
            "failed": 0 if depth is None else depth.failed,
            "oldest_job_seconds": 0.0 if depth is None else round(depth.oldest_s, 1),
        }
    )  # fmt: skip


@functools.cache
def _newest() -> str:
    return migrating.newest()


@router.get(
    "/metrics",
    response_class=Response,
    summary="Numbers for Prometheus",
    responses={200: gives("text/plain", "Prometheus' text format."), **problems()},
)
def metrics(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Response:
    """The queue, gradings, requests by route, the sandbox. Needs the scope metrics, or the token of the settings."""
    configured = service_of(request).metrics_token
    given = "" if credentials is None else credentials.credentials
    if not configured or not hmac.compare_digest(given.encode(), configured.encode()):
        need_scope(token_holder(request, credentials).actor, Scope.METRICS)
    return Response(metrics_of(request.app).text(), media_type=CONTENT_TYPE_LATEST)
