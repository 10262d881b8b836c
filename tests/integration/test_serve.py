"""`grader serve` and `grader worker` as processes: what they print, refuse, keep and give back."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import sqlite3
import stat
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
from rich.cells import cell_len

from grader.logs import OneLine

PROJECT = Path(__file__).resolve().parents[2]
STORIES = PROJECT / "submissions" / "numpy_autodiff"
START_S = 60.0


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADER_")}
    return {**kept, "PYTHONUTF8": "1", "COLUMNS": "80", "GRADER_DATA_DIR": str(folder), **settings}


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
def start(tmp_path: Path) -> Iterator[Start]:
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


# Without a sandbox -------------------------------------------------------------------------------------------------


class TestTakingOnly:
    """GRADER_SLOTS=0: uploads are taken and wait."""

    def test_the_first_start_prints_links_and_the_next_ones_those_still_unused(self, start: Start) -> None:
        first = start("serve", "--demo", GRADER_SLOTS="0")
        assert set(first.links) == {"admin", "tessa", "ada", "xiaohe"}
        assert all(link.startswith(f"{first.url}/sign-in/link/") for link in first.links.values())
        text = [line for line in first.out if not line.startswith("Database ")]
        assert max(cell_len(line) for line in text) <= 80
        assert any("林小禾" in line for line in text)
        assert first.get("/health/live").status_code == 200
        page = httpx.get(first.links["ada"], trust_env=False)
        assert page.status_code == 200
        assert "Ada Marlow" in page.text
        assert first.stop() == 0
        assert any("stopped" in line for line in first.out)

        with contextlib.closing(sqlite3.connect(first.folder / "grader.sqlite3")) as connection, connection:
            used = (
                "UPDATE sign_in_links SET used_at = created_at WHERE user_id = (SELECT id FROM users WHERE login = ?)"
            )
            assert connection.execute(used, ("ada",)).rowcount == 1
        second = start("serve", "--demo", GRADER_SLOTS="0")
        assert set(second.links) == {"admin", "tessa", "xiaohe"}
        assert second.links["tessa"].rpartition("/")[2] != first.links["tessa"].rpartition("/")[2]
        assert second.stop(signal.SIGINT) == 0
        listed = grader(first.folder, "course", "list", "--json").stdout
        assert listed.count('"name": "demo"') == 1

    def test_without_the_demo_there_is_an_administrator_and_no_course(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        assert set(running.links) == {"admin"}
        assert grader(running.folder, "course", "list", "--json").stdout.strip() == "[]"
        assert any("grader course make" in line for line in running.out)

    def test_commands_make_links_to_where_it_is_reached(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        assert grader(running.folder, "users", "link", "admin").stdout.startswith(f"{running.url}/sign-in/link/")
        running.stop()
        start("serve", GRADER_SLOTS="0", GRADER_PUBLIC_URL="https://grader.example.org").stop()
        link = grader(running.folder, "users", "link", "admin").stdout
        assert link.startswith("https://grader.example.org/sign-in/link/")

    def test_a_misspelled_setting_is_named(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0", GRADER_PUBLICURL="https://a.example", GRADER_SMOKE_TOKEN="x")
        (said,) = [line for line in running.out if "is not a setting" in line]
        assert said.endswith("GRADER_PUBLICURL is not a setting; did you mean GRADER_PUBLIC_URL?")

    def test_others_on_the_machine_cannot_read_the_data(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in running.folder.iterdir()}
        assert "grader.sqlite3" in files
        assert set(files.values()) == {0o600}

    def test_the_secret_is_kept_unless_a_setting_gives_one(self, start: Start) -> None:
        def kept(folder: Path) -> list[tuple[str]]:
            with contextlib.closing(sqlite3.connect(folder / "grader.sqlite3")) as connection:
                return connection.execute("SELECT value FROM instance WHERE key = 'secret'").fetchall()

        running = start("serve", GRADER_SLOTS="0", GRADER_SECRET="of the settings 1234")
        assert kept(running.folder) == []
        running.stop()
        start("serve", GRADER_SLOTS="0").stop()
        first = kept(running.folder)
        assert len(first[0][0]) == 64
        start("serve", GRADER_SLOTS="0").stop()
        assert kept(running.folder) == first

    def test_one_database_is_served_once(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        second = grader(running.folder, "serve", GRADER_PORT="0", GRADER_SLOTS="0")
        assert second.returncode == 2
        assert "another grader serve uses" in second.stderr
        assert second.stderr.count("\n") == 1
        running.process.kill()
        running.process.wait(10)
        assert start("serve", GRADER_SLOTS="0").get("/health/live").status_code == 200

    def test_the_database_is_not_replaced_under_a_running_service(self, start: Start, tmp_path: Path) -> None:
        running = start("serve", "--demo", GRADER_SLOTS="0")
        made = grader(running.folder, "backup", str(tmp_path / "copy"))
        assert made.returncode == 0, made.stderr
        refused = grader(running.folder, "restore", str(tmp_path / "copy"), "--yes")
        assert refused.returncode == 2
        assert "stop it first" in refused.stderr
        assert running.stop() == 0
        done = grader(running.folder, "restore", str(tmp_path / "copy"), "--yes")
        assert done.returncode == 0, done.stderr
        assert list(running.folder.glob("grader.sqlite3.before-restore-*"))

    def test_requests_for_other_hosts_are_refused(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        assert running.get("/health/live", headers={"Host": "evil.example"}).status_code == 400
        assert running.get("/health/live", headers={"Host": "localhost:8000"}).status_code == 200
        running.stop()
        public = start("serve", GRADER_SLOTS="0", GRADER_PUBLIC_URL="https://grader.example.org")
        assert public.get("/health/live", headers={"Host": "grader.example.org"}).status_code == 200
        assert public.links["admin"].startswith("https://grader.example.org/sign-in/link/")


class TestRefusals:
    def test_a_port_in_use(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ran = grader(tmp_path, "serve", "--port", str(port))
        assert ran.returncode == 2
        assert ran.stderr.startswith(f"grader: error: port {port} of 127.0.0.1 is in use by another program; stop it")
        assert ran.stderr.count("\n") == 1

    def test_an_address_of_others_needs_to_know_its_name(self, tmp_path: Path) -> None:
        ran = grader(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0")
        assert ran.returncode == 2
        assert "set GRADER_PUBLIC_URL" in ran.stderr

    def test_a_host_that_is_none(self, tmp_path: Path) -> None:
        ran = grader(tmp_path, "serve", "--host", "no.such.host.invalid", GRADER_PUBLIC_URL="http://a.example")
        assert ran.returncode == 2
        assert "--host no.such.host.invalid" in ran.stderr

    def test_a_worker_needs_a_database(self, tmp_path: Path) -> None:
        ran = grader(tmp_path / "none", "worker")
        assert ran.returncode == 2
        assert "there is no database" in ran.stderr
        assert not (tmp_path / "none").exists()

    def test_a_worker_needs_the_newest_schema(self, tmp_path: Path) -> None:
        sqlite3.connect(tmp_path / "grader.sqlite3").close()
        (tmp_path / "grader.sqlite3").touch()
        ran = grader(tmp_path, "worker")
        assert ran.returncode == 4
        assert "run: grader migrate" in ran.stderr

    def test_a_runtime_that_there_is_not(self, tmp_path: Path) -> None:
        assert grader(tmp_path, "migrate").returncode == 0
        ran = grader(tmp_path, "worker", "--runtimes", "numpy,fortran")
        assert ran.returncode == 2
        assert "there is no 'fortran'; there are: numpy" in ran.stderr


def test_an_event_is_one_line_of_the_log_and_cannot_steer_a_terminal() -> None:
    told = {"msg": "%s %s", "args": ("GET", "/a\n2026 ERROR forged\x1b[2J\u202e\r\t"), "name": "grader.access"}
    assert OneLine("%(message)s").format(logging.makeLogRecord(told)) == "GET /a\\n2026 ERROR forged[2J\\t"


# With the sandbox --------------------------------------------------------------------------------------------------


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
class TestGrading:
    def test_an_upload_is_graded_and_counts(self, start: Start) -> None:
        running = start("serve", "--demo")
        assert any("Sandbox mode" in line for line in running.out)
        with running.client(token_of(running.folder, "ada", "submit")) as ada:
            graded = hand_in(ada, "two_mistakes", wait_s=30)
            assert graded.status_code == 201
            assert graded.json()["report"]["score"] == 31
        grades = grader(running.folder, "grades", "--course", "demo", "--min-score", "1", "--csv")
        assert "ada,Ada Marlow,,1,numpy_autodiff,graded,31,31,no,0,1" in grades.stdout
        ready = running.get("/health/ready")
        assert ready.status_code == 200, ready.text
        assert running.stop() == 0

    def test_a_worker_beside_it_grades(self, start: Start) -> None:
        serving = start("serve", "--demo", GRADER_SLOTS="0")
        with serving.client(token_of(serving.folder, "ada", "submit")) as ada:
            waiting = hand_in(ada, "correct_compact")
            assert waiting.status_code == 202
            working = start("worker", "--concurrency", "1", "--runtimes", "numpy")
            number = waiting.json()["id"]
            deadline = time.monotonic() + START_S
            while ada.get(f"/submissions/{number}").json()["state"] != "graded":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert ada.get(f"/submissions/{number}/report").json()["score"] == 100
        assert working.stop(signal.SIGINT) == 0
        assert serving.stop() == 0

    def test_a_stop_in_the_middle_loses_nothing(self, start: Start) -> None:
        running = start("serve", "--demo")
        token = token_of(running.folder, "ada", "submit")
        with running.client(token) as ada:
            number = hand_in(ada, "hang_in_relu_backward").json()["id"]
            deadline = time.monotonic() + START_S
            while ada.get(f"/submissions/{number}").json()["state"] != "grading":
                assert time.monotonic() < deadline
                time.sleep(0.02)
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 20
        again = start("serve", "--demo")
        with again.client(token) as ada:
            deadline = time.monotonic() + START_S
            while ada.get(f"/submissions/{number}").json()["state"] != "graded":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert ada.get(f"/submissions/{number}/report").json()["score"] == 88
            assert len(ada.get("/courses/demo/submissions").json()["items"]) == 1

    def test_mode_c_is_served_on_loopback_only(self, start: Start, tmp_path: Path) -> None:
        refused = grader(
            tmp_path / "open", "serve", "--host", "0.0.0.0", "--port", "0", GRADER_SANDBOX_MODE="C",
            GRADER_PUBLIC_URL="https://grader.example.org", GRADER_ALLOW_DEGRADED="1",
        )  # fmt: skip
        assert refused.returncode == 5
        assert "0.0.0.0 is reached by other machines" in refused.stderr
        assert "mode C" in refused.stderr
        assert "grader doctor" in refused.stderr or "Run: " in refused.stderr or "container" in refused.stderr
        running = start("serve", "--demo", GRADER_SANDBOX_MODE="C")
        assert any("Sandbox mode C" in line for line in running.out)
        with running.client(token_of(running.folder, "ada", "submit")) as ada:
            assert hand_in(ada, "correct_compact", wait_s=30).json()["report"]["score"] == 100
        with contextlib.closing(sqlite3.connect(running.folder / "grader.sqlite3")) as connection:
            assert connection.execute("SELECT mode FROM workers").fetchall() == [("C",)]
