"""The web application, assembled by hand: `create_app(service)` gives pages, REST and static files in one."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from grader import __version__
from grader.errors import GraderError
from grader.web import problems
from grader.web.api import rest
from grader.web.guards import Guard
from grader.web.hosting import Service
from grader.web.pages import site

HERE = Path(__file__).resolve().parent


class _Kept(StaticFiles):
    """Files whose address holds a hash of their content: browsers may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def create_app(service: Service) -> FastAPI:
    """The application over a running service."""
    app = FastAPI(
        title="Grader", version=__version__, summary="Grades deep-learning homework.",
        openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.service = service
    for kind in (GraderError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _answer)
    app.include_router(rest.router)
    app.include_router(site.router, include_in_schema=False)
    app.mount("/static", _Kept(directory=HERE / "static"), name="static")
    app.add_middleware(Guard, service=service)
    return app


def _answer(request: Request, error: Exception) -> Response:
    return problems.respond(request, error)
