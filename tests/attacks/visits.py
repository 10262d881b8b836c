"""Ways to ask the service that no browser and no honest client would use."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from grader.store.models import User
from tests.integration.service import SUMS, Kit

T = TypeVar("T")
SHEET = f"/courses/dl/assignments/{SUMS}"
API_SHEET = f"/api/v1{SHEET}"
STUDENT_PAGES = ("/courses", "/courses/dl", SHEET, "/account")
STAFF_PAGES = (
    *STUDENT_PAGES,
    "/courses/dl/gradebook",
    f"{SHEET}/statistics",
    "/courses/dl/regrades",
    "/courses/dl/roster",
    "/courses/dl/deadlines",
    "/courses/dl/audit",
    "/system",
)


def send(
    kit: Kit, client: httpx.Client, path: str, fields: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    """A form with its token, as a page would send it. more: for httpx, files or headers."""
    return client.post(path, data={"csrf": kit.csrf(client), **(fields or {})}, **more)


def raw(kit: Kit, request: bytes, timeout_s: float = 5.0) -> bytes:
    """What the server says to these very bytes, until it ends the connection."""
    where = urlsplit(kit.url)
    answer = b""
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=timeout_s) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with contextlib.suppress(ConnectionResetError, TimeoutError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


def session_cookie(kit: Kit, login: str) -> bytes:
    """The header of somebody who is signed in."""
    with kit.browser(login) as client:
        return b"Cookie: " + "; ".join(f"{name}={value}" for name, value in client.cookies.items()).encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def get(kit: Kit, target: bytes, *headers: bytes, host: bytes = b"127.0.0.1", method: bytes = b"GET") -> bytes:
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: " + host, b"Connection: close", *headers]
    return raw(kit, b"\r\n".join(lines) + b"\r\n\r\n")


def at_once(jobs: Iterable[Callable[[], T]]) -> list[T]:
    """What all of these give, each in a thread of its own, started together."""
    found: list[T] = []
    jobs = list(jobs)
    gate = threading.Barrier(len(jobs))

    def one(job: Callable[[], T]) -> None:
        gate.wait(10)
        found.append(job())

    threads = [threading.Thread(target=one, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(jobs), f"{len(jobs) - len(found)} of them failed"
    return found


def rename(kit: Kit, login: str, name: str) -> None:
    """Gives somebody a name that no roster would let in, as an older database might hold it."""
    with kit.service.store.write() as session:
        session.get_one(User, kit.ids[login]).name = name


def resident_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20
