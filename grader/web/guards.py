"""What stands before every route, as one piece of ASGI: host, size and time of the body, rate, headers, the access log.

It is plain ASGI, not a wrapper of responses, so that events stream through it and a refused upload is not read.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import threading
import time
from collections import OrderedDict
from datetime import UTC, datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from grader.errors import Refused, TooMany, TooSlow
from grader.sandbox.child import clean_text
from grader.service.submitting import too_large
from grader.web import problems, security
from grader.web.hosting import Service

log = logging.getLogger("grader.access")

UPLOAD_BYTES = (10 << 20) + (64 << 10)  # the largest upload and the frame around it
_BODY_S = 60.0
_MOST_KEYS = 20_000
_ADDRESS_SHARE = 10  # tokens of one address, valid or made up, may ask this much more often than one of them
_LINK = re.compile(r"^(/sign-in/link/).+")


class Guard:
    """Around the whole application. One instance a process."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        self._rate = Rate(service.requests_a_minute)
        self._addresses = Rate(service.requests_a_minute * _ADDRESS_SHARE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = secrets.token_hex(8)
        state["arrived"] = datetime.now(UTC)
        state["address"] = address(scope, headers, self._service.proxies)
        started = time.perf_counter()
        bind_contextvars(request_id=state["request_id"])  # in this request's task and the threads that work for it
        status, answered = 500, False

        async def answer(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                headers_out = MutableHeaders(scope=message)
                self._add_headers(headers_out, scope["path"], state["request_id"])
                if status in (408, 413):  # the rest of the body is not wanted, not even to be thrown away
                    headers_out["Connection"] = "close"
            await send(message)

        try:
            self._check(scope, headers)
            await self._app(scope, _Body(receive, headers).receive, answer)
        except ClientDisconnect:
            status = 499  # nobody is there to be answered
        except Exception as error:  # the application's last resort stands outside of us, without headers and log line
            if answered:
                raise
            await problems.respond(Request(scope), error)(scope, receive, answer)
        finally:
            self._log(scope, status, time.perf_counter() - started)

    def _check(self, scope: Scope, headers: Headers) -> None:
        hosts = self._service.hosts
        own = scope["path"] == "/metrics" or not hosts  # Prometheus asks each process at its own address, with a token
        if not own and host_name(headers.get("host", "")) not in hosts:
            raise Refused("This server does not serve that host name.", "本服务器不提供该主机名的服务。")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:12]) > UPLOAD_BYTES:
            raise too_large(10 << 20)
        if not scope["path"].startswith(("/static/", "/health/")):
            self._count(scope, headers)

    def _count(self, scope: Scope, headers: Headers) -> None:
        """What a stranger can make up, as cookies and tokens, gives nobody a bucket without also counting for the
        address. Raises TooMany."""
        client = scope["state"]["address"]
        session = security.read_session(HTTPConnection(scope), self._service.secret)
        token = headers.get("authorization")
        if session is not None:
            self._rate.take(f"user {session.user_id}")
        elif token is not None:
            self._addresses.take(client)
            self._rate.take(f"token {token}")
        else:
            self._rate.take(client)

    def _add_headers(self, headers: MutableHeaders, path: str, request_id: str) -> None:
        for name, value in security.HEADERS.items():
            headers.setdefault(name, value)  # a drawing has a stricter policy of its own
        headers["X-Request-Id"] = request_id
        if "cache-control" not in headers:
            headers["Cache-Control"] = "no-store"
        if self._service.secure:
            headers["Strict-Transport-Security"] = "max-age=31536000"

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        path = clean_text(_LINK.sub(r"\1...", scope["path"]), 200).replace("\n", "\\n").replace("\t", "\\t")
        log.info(
            "%s %s %d %.1f ms %s %s", scope["method"], path, status, 1000 * seconds, scope["state"]["address"],
            scope["state"]["request_id"],
            extra={"method": scope["method"], "path": path, "status": status, "ms": round(1000 * seconds, 1)},
        )  # fmt: skip


class _Body:
    """Counts a body as it arrives, whatever its length was said to be, and ends it when it takes too long."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive, self._left, self._ended = receive, UPLOAD_BYTES, False
        self._deadline: float | None = None

    async def receive(self) -> Message:
        if self._ended:  # what follows is only the news that the client went away, which may take its time
            return await self._receive()
        if self._deadline is None:
            self._deadline = time.monotonic() + _BODY_S
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow(
                f"The upload did not arrive within {_BODY_S:.0f} s. Try again, if you can over a better connection.",
                f"上传没有在 {_BODY_S:.0f} 秒内完成。请重试，最好换一个更好的网络。",
            ) from None
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._left < 0:
                raise too_large(10 << 20)
        return message


class Rate:
    """A bucket of one minute's requests for each key, filled steadily. Thread-safe; forgets the least recent keys."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Raises TooMany when the bucket is empty."""
        now = time.monotonic()
        with self._lock:
            level, since = self._buckets.pop(hash(key), (float(self._a_minute), now))
            level = min(self._a_minute, level + (now - since) * self._a_minute / 60)
            self._buckets[hash(key)] = (max(0.0, level - 1), now)
            while len(self._buckets) > _MOST_KEYS:
                self._buckets.popitem(last=False)
        if level < 1:
            wait = max(1, round((1 - level) * 60 / self._a_minute))
            raise TooMany(
                f"That were too many requests. Try again in {wait} s.", f"请求过于频繁，请在 {wait} 秒后重试。", wait
            )


def address(scope: Scope, headers: Headers, proxies: int) -> str:
    """The client's address: the peer, or what as many trusted proxies as there are have written down."""
    peer = scope["client"][0] if scope.get("client") else ""
    told = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
    return told[-proxies][:60] if proxies and len(told) >= proxies else peer


def host_name(host: str) -> str:
    """A Host header without its port, in small letters."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdigit() else host).strip("[]").lower()
