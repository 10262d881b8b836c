"""`grader` as processes of their own: `grader(folder, "migrate")` runs to its end, `start(...)` serves or grades."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from grader.store import migrating
from tests import databases

PROJECT = Path(__file__).resolve().parents[2]
STORIES = PROJECT / "submissions" / "numpy_autodiff"
START_S = 60.0


_address = [""]  # of the database that processes are given unless a test names another


@pytest.fixture
def address(database: str) -> Iterator[str]:
    """An empty database of PostgreSQL with our tables, for every process of this test; nothing where SQLite is used."""
    if database == databases.SQLITE:
        yield ""
        return
    _address[0] = databases.fresh(migrating.upgrade)
    yield _address[0]
    databases.drop(_address[0])
    _address[0] = ""


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADER_")}
    ours = {"PYTHONUTF8": "1", "COLUMNS": "80", "GRADER_DATA_DIR": str(folder), "GRADER_DATABASE_URL": _address[0]}
    return {**kept, **ours, **settings}


def grader(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "grader", *words], env=environment(folder, **settings), cwd=PROJECT,
        capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


@dataclass
class Running:
    """A process that serves or grades. out: its lines so far, both streams together."""

    process: subprocess.Popen[str]
    out: list[str]
    folder: Path

    @property
    def url(self) -> str:
        found = re.search(r"listens at (http://\S+)", "\n".join(self.out))
        assert found is not None, self.out
        return found[1]

    @property
    def links(self) -> dict[str, str]:
        """Sign-in links by login."""
        return dict(re.findall(r"\(login (\w+)\)\n\s*(http\S+)", "\n".join(self.out)))

    def until(self, words: str) -> None:
        deadline = time.monotonic() + START_S
        while not any(words in line for line in self.out):
            assert time.monotonic() < deadline, self.out
            assert self.process.poll() is None or any(words in line for line in self.out), self.out
            time.sleep(0.01)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, trust_env=False, timeout=40, **options)

    def client(self, token: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=60, trust_env=False)


Start = Callable[..., Running]


@pytest.fixture
def start(address: str, tmp_path: Path) -> Iterator[Start]:
    """start("serve", "--demo", GRADER_SLOTS="0") on a free port of loopback and a folder of its own."""
    with contextlib.ExitStack() as stack:

        def run(*words: str, folder: Path = tmp_path / "var", **settings: str) -> Running:
            process = subprocess.Popen(
                [sys.executable, "-m", "grader", *words], cwd=PROJECT, encoding="utf-8",
                env=environment(folder, **{"GRADER_PORT": "0", **settings}),
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            stack.callback(process.wait, 10)
            stack.callback(process.kill)
            running = Running(process=process, out=[], folder=folder)
            assert process.stdout is not None
            reader = threading.Thread(target=_read, args=(process.stdout, running.out), daemon=True)
            reader.start()
            stack.callback(process.stdout.close)
            stack.callback(reader.join, 10)
            stack.callback(process.kill)
            running.until("listens at" if words[0] == "serve" else "grading in mode")
            return running

        yield run


def _read(stream: Any, lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip("\n"))


def token_of(folder: Path, login: str, *scopes: str) -> str:
    words = [word for scope in scopes for word in ("--scope", scope)]
    made = grader(folder, "token", "make", login, "--name", "test", *words)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def hand_in(client: httpx.Client, story: str, wait_s: int = 0) -> httpx.Response:
    (file,) = (STORIES / story).glob("solution.*")
    answer = client.post(
        "/courses/demo/assignments/numpy_autodiff/submissions", files={"file": (file.name, file.read_bytes())},
        headers={"Prefer": f"wait={wait_s}"},
    )  # fmt: skip
    assert answer.status_code in (201, 202), answer.text
    return answer
