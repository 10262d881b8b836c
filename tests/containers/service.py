"""The composed service as a student and an administrator use it: over the published port, and by `docker exec`."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from .engine import PROJECT, Engine

COURSE, ASSIGNMENT = "nn", "mnist_numpy"
STUDENTS = ("ada", "ben", "cleo")
STORY = PROJECT / "submissions" / ASSIGNMENT / "correct_script" / "solution.py"
_READY_S, _GRADED_S = 120.0, 240.0
FINAL = frozenset({"graded", "not_gradable", "failed"})


class Service:
    """One composed service."""

    def __init__(self, engine: Engine, settings: dict[str, str]) -> None:
        self.engine, self.settings = engine, settings
        self.url = f"http://127.0.0.1:{settings['PORT']}"
        self.tokens: dict[str, str] = {}

    def containers(self, service: str) -> list[str]:
        """Ids of the running containers of a service."""
        return self.engine.compose("ps", "--quiet", service, settings=self.settings).stdout.split()

    def execute(self, container: str, *command: str) -> str:
        return self.engine.docker("exec", container, *command)

    def query(self, sql: str) -> list[list[str]]:
        """Rows of the database, by the server's own client."""
        (postgres,) = self.containers("postgres")
        out = self.execute(postgres, "psql", "--username=grader", "-At", "-F", "\t", "--command", sql, "grader")
        return [line.split("\t") for line in out.splitlines()]

    def ready(self) -> dict[str, Any]:
        """What /health/ready says; empty while nobody answers."""
        try:
            answer = httpx.get(f"{self.url}/health/ready", timeout=10)
        except httpx.TransportError:
            return {}
        found: dict[str, Any] = answer.json()
        return found

    def wait_ready(self, *, workers: int) -> None:
        deadline = time.monotonic() + _READY_S
        while True:
            found = self.ready()
            if found.get("status") == "ready" and found["workers"] == workers:
                return
            assert time.monotonic() < deadline, f"not ready: {found}"
            time.sleep(0.5)

    def make_course(self) -> None:
        (web,) = self.containers("web")
        self.execute(web, "grader", "course", "make", COURSE, "--title", "Neural networks")
        self.execute(web, "grader", "course", "publish", COURSE, ASSIGNMENT)
        for login in STUDENTS:
            self.execute(web, "grader", "users", "add", login, login.title(), "--course", COURSE)
            made = self.execute(
                web, "grader", "token", "make", login, "--name", "test", "--scope", "submit", "--scope", "grades:read"
            )
            self.tokens[login] = made.split()[-1]

    def _headers(self, login: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[login]}"}

    def hand_in(self, login: str, source: bytes) -> int:
        """Uploads a script; returns the submission's id."""
        answer = httpx.post(
            f"{self.url}/api/v1/courses/{COURSE}/assignments/{ASSIGNMENT}/submissions",
            headers=self._headers(login), files={"file": ("solution.py", source)}, timeout=60,
        )  # fmt: skip
        assert answer.status_code == 202, answer.text
        return int(answer.json()["id"])

    def verdict(self, login: str, submission: int) -> dict[str, Any]:
        """The submission once it is graded."""
        deadline = time.monotonic() + _GRADED_S
        while True:
            answer = httpx.get(f"{self.url}/api/v1/submissions/{submission}", headers=self._headers(login), timeout=60)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            if found["state"] in FINAL:
                return found
            assert time.monotonic() < deadline, f"not graded: {json.dumps(found)[:2000]}"
            time.sleep(0.5)

    def report(self, login: str, submission: int) -> dict[str, Any]:
        answer = httpx.get(
            f"{self.url}/api/v1/submissions/{submission}/report", headers=self._headers(login), timeout=60
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
