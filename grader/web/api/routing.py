"""The kind of route that REST is made of: it knows which media types it takes and gives, and counts what it did.

A method that no route of an address knows is 405 with all that they know, a body of another kind 415, an answer that
the client does not want 406: before anything of the request is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from grader.errors import Invalid, Refused
from grader.sandbox.child import clean_text
from grader.web.api.metrics import metrics_of

JSON, FORM, CSV = "application/json", "multipart/form-data", "text/csv"
STREAM, PROBLEM = "text/event-stream", "application/problem+json"
NOTEBOOK = "application/x-ipynb+json"


class UnsupportedMedia(Refused):
    """The body is of a kind that is not taken here."""

    http_status: ClassVar[int] = 415
    code: ClassVar[str] = "unsupported-media-type"


class NotAcceptable(Refused):
    """The client wants kinds of answers only that are not given here."""

    http_status: ClassVar[int] = 406
    code: ClassVar[str] = "not-acceptable"


class Route(APIRoute):
    """See the module. takes: media types of the body, read from the route's description; gives: of its answers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        body = (self.openapi_extra or {}).get("requestBody", {}).get("content", {})
        self.takes = tuple(body) or ((JSON,) if self.body_field is not None else ())
        self.gives = _given(self)
        self.asks = frozenset(_asked(self.dependant))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(scope)
            await super().handle(scope, receive, noting)
        except Refused as error:
            status = error.http_status
            raise
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics_of(scope["app"]).request(scope["method"], self.path_format, status, seconds)

    def _check(self, scope: Scope) -> None:
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, headers={"Allow": ", ".join(_allowed(scope))})
        for name in QueryParams(scope["query_string"]):
            if name not in self.asks:  # a misspelt filter must not look like an answer to it
                known = ", ".join(sorted(self.asks)) or "-"
                raise Invalid(
                    clean_text(name, 60), f"There is no parameter {clean_text(name, 60)!r}. Parameters are: {known}.",
                    f"没有参数 {clean_text(name, 60)!r}。可用的参数：{known}。",
                )  # fmt: skip
        headers = Headers(scope=scope)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if self.takes and kind not in self.takes:
            names = ", ".join(self.takes)
            raise UnsupportedMedia(f"The body must be {names}.", f"请求体必须是 {names}。")
        accept = ", ".join(headers.getlist("accept"))
        if accept.strip() and not any(wants(accept, kind) for kind in self.gives):
            names = ", ".join(self.gives)
            raise NotAcceptable(f"The answer is {names}; Accept must allow it.", f"返回内容为 {names}，Accept 须允许。")


def _asked(dependant: Dependant) -> Iterator[str]:
    """Names of the query parameters of a route and of what it depends on."""
    yield from (parameter.alias for parameter in dependant.query_params)
    for other in dependant.dependencies:
        yield from _asked(other)


def _given(route: APIRoute) -> tuple[str, ...]:
    told = [
        kind
        for status, response in route.responses.items()
        if str(status).startswith("2")
        for kind in response.get("content", ())
    ]
    own = [JSON] if route.response_model is not None else []
    return tuple(dict.fromkeys((*own, *told))) or ("*/*",)


def wants(accept: str, kind: str) -> bool:
    """Whether an Accept header allows a media type."""
    for entry in accept.lower().split(","):
        name, _, parameters = entry.partition(";")
        name, weight = name.strip(), parameters.replace(" ", "").partition("q=")[2].partition(";")[0]
        if "*/*" in (name, kind) or name == kind or (name.endswith("/*") and kind.startswith(name[:-1])):
            return weight.strip("0.") != "" or weight == ""
    return False


def prefers_csv(accept: str | None) -> bool:
    """Whether text/csv is named and JSON is not named before it."""
    names = [entry.partition(";")[0].strip().lower() for entry in (accept or "").split(",")]
    return CSV in names and (JSON not in names or names.index(CSV) < names.index(JSON))


def _allowed(scope: Scope) -> list[str]:
    """Every method that any route of this address knows."""
    found: set[str] = set()
    for route in iter_route_contexts(scope["app"].routes):
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(scope["path"]):
            found |= set(getattr(route, "methods", None) or ())
    return sorted(found)


def make_router(tag: str) -> APIRouter:
    return APIRouter(prefix="/api/v1", route_class=Route, tags=[tag])
