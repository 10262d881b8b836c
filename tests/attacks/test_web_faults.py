"""When something of ours fails, and what the service does not do at all: fetch, run, unpickle, believe."""

from __future__ import annotations

import ast
import json
import logging
import re
import socket
import zlib
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from grader.errors import StoreError
from grader.reports import Report, ReportStatus, from_record, to_record
from grader.service import catalogue as catalogues
from grader.service import publishing
from grader.store import codec
from grader.store.models import Job, StoredReport
from tests import databases
from tests.integration.service import PROJECT, SUMS, Kit, program

from .visits import API_SHEET, SHEET, send

SECRET = "hunter2-/srv/grader/secret.key-postgres://root:pw@db"


class Broken(Exception):
    """An error whose message holds what nobody must see."""


@pytest.fixture
def broken(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> Kit:
    def fail(*_: object, **__: object) -> None:
        raise Broken(SECRET)

    monkeypatch.setattr(kit.service.catalogue, "get", fail)
    return kit


def test_a_fault_says_a_number_and_nothing_else(broken: Kit, caplog: pytest.LogCaptureFixture) -> None:
    """A page and a problem document of a 500 hold an id that stands in the log beside the cause; not a word of it."""
    where = f"{SHEET}/starter.py"
    with broken.browser("ada") as ada, broken.client("ada") as api, broken.browser("root") as root:
        answers = [
            ada.get(where),
            ada.get(SHEET),
            root.get(where),
            api.get(API_SHEET),
            send(broken, ada, SHEET, {"pasted": "x"}),
        ]
    for answer in answers:
        assert answer.status_code == 500
        assert not re.search(
            r"hunter2|Broken|Traceback|guards\.py|line \d+|grader\.sqlite|site-packages", answer.text
        ), answer.text
        number = answer.headers["x-request-id"]
        assert number in answer.text
        record = next(r for r in caplog.records if number in r.getMessage() and r.levelno == logging.ERROR)
        assert record.exc_info
        assert SECRET in str(record.exc_info[1])
    assert answers[3].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "error", [StoreError(SECRET), MemoryError(SECRET), RecursionError(SECRET), OSError(28, SECRET), KeyError(SECRET)]
)
def test_every_kind_of_fault_is_worded_by_us(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """Also where the program has words of its own for it, the client gets general ones; the next request is served."""

    def fail(*_: object, **__: object) -> None:
        raise error

    with kit.browser("ada") as ada, kit.client("ada") as api:
        with monkeypatch.context() as patch:
            patch.setattr("grader.service.access.course", fail)
            answers = [ada.get("/courses/dl"), api.get("/api/v1/courses/dl"), send(kit, ada, SHEET, {"pasted": "x"})]
        assert {answer.status_code for answer in answers} <= {500, 503}
        assert not any("hunter2" in answer.text for answer in answers)
        logged = [r for r in caplog.records if r.getMessage().startswith("request ")]
        assert len(logged) == len(answers)
        if isinstance(error, StoreError):  # while a database is away each request has one line, without our program
            assert all(SECRET in r.getMessage() and not r.exc_info for r in logged)
        assert ada.get("/courses/dl").status_code == 200


def test_a_fault_while_a_fault_is_shown_leaks_nothing_either(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the page of an error can be made, the answer is bare."""

    def fail(*_: object, **__: object) -> None:
        raise Broken(SECRET)

    monkeypatch.setattr("grader.web.languages.render", fail)
    with kit.browser("ada") as ada:
        try:
            answer = ada.get("/courses")
        except httpx.RemoteProtocolError:
            return
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def test_a_fault_of_the_engine_is_no_verdict_and_shows_no_cause(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error report says that it is our fault; the page of the system names it for staff, not for the student."""
    number = kit.hand_in("ada", program(kind="grader_error"))
    for _ in range(5):
        kit.grade()
        with kit.service.store.write() as session:
            session.query(Job).update({"last_error": SECRET})
        databases.hurry(kit.service.store)
    found = kit.submission(number)
    with kit.browser("ada") as ada:
        page = ada.get(f"/submissions/{number}")
    assert (page.status_code, found.score) == (200, None)
    assert "hunter2" not in page.text


def test_openapi_and_health_tell_strangers_nothing_of_the_machine(kit: Kit) -> None:
    """No paths, no versions of packages, no names of hosts, no settings."""
    with kit.client() as anybody:
        for path in ("/api/v1/openapi.json", "/health/live", "/health/ready"):
            text = anybody.get(path).text
            assert str(kit.folder) not in text
            assert socket.gethostname() not in text
            assert not re.search(r"/tmp/|/usr/|sqlite:///|Traceback", text)
        assert anybody.get("/docs").status_code == anybody.get("/redoc").status_code == 404
        for path in (
            "/.git/config",
            "/static/../app.py",
            "/static/..%2fapp.py",
            "/static/%2e%2e/app.py",
            "/grader.sqlite",
            "/static/",
        ):
            assert anybody.get(path).status_code == 404, path


# What the service does not do -----------------------------------------------------------------------------------------

NETWORK = (
    "httpx",
    "requests",
    "urllib.request",
    "urllib3",
    "aiohttp",
    "http.client",
    "socket",
    "ssl",
    "ftplib",
    "smtplib",
    "websockets",
)
DANGEROUS = (
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "joblib",
    "yaml",
    "subprocess",
    "importlib.util",
    "runpy",
    "code",
    "ctypes",
)


def imported(folder: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted((PROJECT / "grader" / folder).rglob("*.py")):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        found[str(path.relative_to(PROJECT))] = names
    assert found
    return found


@pytest.mark.parametrize("folder", ["web", "service", "store", "queue"])
def test_the_service_fetches_nothing_and_runs_nothing(folder: str) -> None:
    """There is no address that anybody could make it ask, no format that runs when it is read."""
    for path, names in imported(folder).items():
        assert not names & {*NETWORK, *DANGEROUS}, path


def test_no_page_refers_to_another_site(kit: Kit) -> None:
    """Everything a page needs comes from here, so nobody else learns who reads it."""
    kit.hand_in("ada", program(fail=["*"]))
    kit.grade()
    with kit.browser("teacher") as teacher:
        for path in ("/courses/dl", SHEET, f"{SHEET}/statistics", "/courses/dl/gradebook", "/submissions/1"):
            for target in re.findall(r'(?:src|srcset|action|data|poster)="([^"]*)"', teacher.get(path).text):
                assert target.startswith(("/", "#", "data:image/", "")), target
                assert not target.startswith(("http", "//")), target
    for file in (PROJECT / "grader" / "web" / "static").glob("*.*"):
        if file.suffix in (".css", ".js"):
            assert not re.search(
                r"https?://(?!www\.w3\.org)|url\(\s*['\"]?//|@import", file.read_text(encoding="utf-8")
            ), file


def test_stored_reports_are_json_and_damage_is_a_fault_not_a_crash(kit: Kit) -> None:
    """What is in the database is read as data: other formats, bombs and wrong shapes end in an error page."""
    number = kit.hand_in("ada", program())
    kit.grade()
    with kit.service.store.read() as session:
        stored = session.get_one(StoredReport, kit.submission(number).report_id)
    assert isinstance(json.loads(zlib.decompress(stored.content)), dict)
    good = json.loads(zlib.decompress(stored.content))
    damaged = (
        b"",
        b"\x80\x04cos\nsystem\n(S'id'\ntR.",
        zlib.compress(b"\0" * (100 << 20)),
        zlib.compress(b"[]"),
        zlib.compress(b"null"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"9" * 5000),
        zlib.compress(json.dumps({**good, "score": "x"}).encode()),
        zlib.compress(json.dumps({**good, "checks": [{"id": 1}]}).encode()),
        zlib.compress(b"\xff"),
    )
    with kit.browser("ada") as ada, kit.client("ada") as api:
        for content in damaged:
            with kit.service.store.write() as session:
                session.get_one(StoredReport, stored.id).content = content
            for answer in (ada.get(f"/submissions/{number}"), api.get(f"/api/v1/submissions/{number}/report")):
                assert answer.status_code in (500, 503), content[:40]
                assert "Traceback" not in answer.text
            assert ada.get("/courses").status_code == 200


def test_a_report_survives_being_stored_whatever_its_texts_hold() -> None:
    """Control characters, half surrogates from a child and huge numbers go in and come out, or are refused by words."""
    for text in ("\0\x1b[31m\u2028", "陈" * 1000, "😀"):
        report = Report(
            assignment="a",
            assignment_version="1",
            status=ReportStatus.GRADED,
            score=1,
            max_score=1,
            printed=text,
            file=text,
        )
        assert codec.unpack_report(codec.pack_report(report)) == report
        assert from_record(to_record(report)) == report


def test_an_assignment_is_a_name_of_the_catalogue(kit: Kit) -> None:
    """Reference code runs here, so nobody brings any: a name is looked up among what the administrator installed, and
    is never a path. There is no route that takes an assignment's files."""
    for name in ("../../../tmp/evil", "/etc", "sums/../sums", "sums\0", "SUMS", "", ".", "sums.toml", "x" * 5000):
        with kit.browser("teacher") as teacher, kit.client("teacher") as api:
            assert send(kit, teacher, "/courses/dl/deadlines", {"name": name}).status_code == 422
            assert send(kit, teacher, f"/courses/dl/deadlines/{quote(name or '-')}", {}).status_code in (404, 405, 422)
            assert (
                api.post(
                    "/api/v1/courses/dl/assignments", json={"name": name, "opens_at": "2026-01-01T00:00:00Z"}
                ).status_code
                == 422
            )
    with kit.client("ada") as api:
        body = {"name": "numpy_autodiff", "opens_at": "2026-01-01T00:00:00Z"}
        assert api.post("/api/v1/courses/dl/assignments", json=body).status_code == 403
    assert not hasattr(publishing, "upload")
    assert not any(hasattr(catalogues.Catalogue, name) for name in ("add", "put", "upload", "store"))


def test_an_assignment_that_is_gone_breaks_no_page_of_the_course(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator who removes a folder leaves words on its pages, not faults, and the others work."""
    number = kit.hand_in("ada", program(fail=["*"], mistake="swapped"))
    kit.grade()
    monkeypatch.delitem(kit.service.catalogue._found, SUMS)
    with kit.browser("ada") as ada, kit.browser("teacher") as teacher:
        pages: dict[str, Any] = {
            path: ada.get(path).status_code for path in ("/courses", "/courses/dl", f"/submissions/{number}", SHEET)
        }
        for path in ("gradebook", "roster", "audit", "deadlines", "regrades", "students/ada"):
            pages[path] = teacher.get(f"/courses/dl/{path}").status_code
    assert all(status in (200, 409) for status in pages.values()), pages
    assert pages["/courses/dl"] == 200
