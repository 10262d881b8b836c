"""`grader serve` and `grader worker` as processes: what they print, refuse, keep and give back."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.cells import cell_len
from sqlalchemy import text

from grader.logs import OneLine
from grader.store.engine import Store

from .processes import START_S, Running, Start, environment, grader, hand_in, token_of


def database_of(running: Running) -> Store:
    return Store(environment(running.folder)["GRADER_DATABASE_URL"] or f"sqlite:///{running.folder}/grader.sqlite3")


def ask(running: Running, question: str, **values: object) -> list[Any]:
    """Of a process's database: the rows of a question, or of a statement what it RETURNING says."""
    store = database_of(running)
    with store.write() as session:
        found = [tuple(row) for row in session.execute(text(question), values)]
    store.close()
    return found


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

        used = "UPDATE sign_in_links SET used_at = created_at WHERE user_id = (SELECT id FROM users WHERE login = :ada)"
        assert len(ask(first, used + " RETURNING id", ada="ada")) == 1
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

    @pytest.mark.sqlite
    def test_a_misspelled_setting_is_named(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0", GRADER_PUBLICURL="https://a.example", GRADER_SMOKE_TOKEN="x")
        (said,) = [line for line in running.out if "is not a setting" in line]
        assert said.endswith("GRADER_PUBLICURL is not a setting; did you mean GRADER_PUBLIC_URL?")

    def test_with_json_every_line_is_an_object_and_none_lets_anybody_in(self, start: Start) -> None:
        running = start("serve", "--demo", GRADER_SLOTS="0", GRADER_LOG_FORMAT="json")
        link = grader(running.folder, "users", "link", "admin").stdout.strip()
        assert running.stop() == 0
        events = [json.loads(line)["event"] for line in running.out]
        assert "admin has never signed in; a link: grader users link admin" in events
        assert any(event.startswith("Database ") for event in events)
        assert not any("/sign-in/link/" in event for event in events)
        again = start("serve", "--demo", GRADER_SLOTS="0", GRADER_LOG_FORMAT="json")
        assert again.get(f"/sign-in/link/{link.rpartition('/')[2]}").status_code == 200  # a start ends no link

    @pytest.mark.sqlite
    def test_others_on_the_machine_cannot_read_the_data(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in running.folder.iterdir()}
        assert "grader.sqlite3" in files
        assert set(files.values()) == {0o600}

    def test_the_secret_is_kept_unless_a_setting_gives_one(self, start: Start) -> None:
        def kept() -> list[Any]:
            return ask(running, "SELECT value FROM instance WHERE key = 'secret'")

        running = start("serve", GRADER_SLOTS="0", GRADER_SECRET="of the settings 1234")
        assert kept() == []
        running.stop()
        start("serve", GRADER_SLOTS="0").stop()
        first = kept()
        assert len(first[0][0]) == 64
        start("serve", GRADER_SLOTS="0").stop()
        assert kept() == first

    @pytest.mark.sqlite
    def test_one_database_is_served_once(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        second = grader(running.folder, "serve", GRADER_PORT="0", GRADER_SLOTS="0")
        assert second.returncode == 2
        assert "another grader serve uses" in second.stderr
        assert second.stderr.count("\n") == 1
        running.process.kill()
        running.process.wait(10)
        assert start("serve", GRADER_SLOTS="0").get("/health/live").status_code == 200

    @pytest.mark.sqlite
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

    @pytest.mark.sqlite
    def test_requests_for_other_hosts_are_refused(self, start: Start) -> None:
        running = start("serve", GRADER_SLOTS="0")
        assert running.get("/health/live", headers={"Host": "evil.example"}).status_code == 400
        assert running.get("/health/live", headers={"Host": "localhost:8000"}).status_code == 200
        running.stop()
        public = start("serve", GRADER_SLOTS="0", GRADER_PUBLIC_URL="https://grader.example.org")
        assert public.get("/health/live", headers={"Host": "grader.example.org"}).status_code == 200
        assert public.links["admin"].startswith("https://grader.example.org/sign-in/link/")


@pytest.mark.sqlite
@pytest.mark.usefixtures("address")
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
            working = start("worker", "--runtimes", "numpy", GRADER_SLOTS="0")
            assert any(line.endswith("this worker grades 1 at once") for line in working.out)
            (ready,) = [line for line in working.out if "grading in mode" in line]
            assert f", 1 at once, as {os.uname().nodename}:{working.process.pid}; Grader " in ready
            number = waiting.json()["id"]
            deadline = time.monotonic() + START_S
            while ada.get(f"/submissions/{number}").json()["state"] != "graded":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert ada.get(f"/submissions/{number}/report").json()["score"] == 100
        assert working.stop(signal.SIGINT) == 0
        told, stopped = working.out[-2:]
        assert "told to stop: takes no more; 0 being graded, with up to " in told
        assert stopped.endswith("INFO grader: stopped")
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
        for setting in ({"GRADER_PUBLIC_URL": "https://grader.example.org"}, {"GRADER_PROXIES": "1"}):
            refused = grader(tmp_path / "behind", "serve", "--port", "0", GRADER_SANDBOX_MODE="C", **setting)
            assert refused.returncode == 5, refused.stderr
            assert "through a proxy" in refused.stderr
        assert "grader doctor" in refused.stderr or "Run: " in refused.stderr or "container" in refused.stderr
        running = start("serve", "--demo", GRADER_SANDBOX_MODE="C")
        assert any("Sandbox mode C" in line for line in running.out)
        with running.client(token_of(running.folder, "ada", "submit")) as ada:
            assert hand_in(ada, "correct_compact", wait_s=30).json()["report"]["score"] == 100
        assert ask(running, "SELECT mode FROM workers") == [("C",)]
