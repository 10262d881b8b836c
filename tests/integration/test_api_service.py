"""What holds for every address of REST: health, metrics, errors, headers, and what is never said."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import QueuePool, make_url

from grader.service import audit
from grader.service.access import Scope
from grader.store.engine import Store
from grader.store.models import StoredReport
from grader.web.api import health
from grader.web.api.routing import wants
from grader.web.api.uploads import wait_of
from tests import postgres

from .service import SUMS, Kit, make_kit, program

API = "/api/v1"


# Health ------------------------------------------------------------------------------------------------------------


def test_it_is_ready_when_a_worker_is_there(kit: Kit) -> None:
    with kit.client() as anyone:
        assert anyone.get("/health/live").json() == {"status": "live"}
        waiting = anyone.get("/health/ready")
        assert (waiting.status_code, waiting.json()["reasons"]) == (503, ["no worker is alive"])
        kit.hand_in("ada")
        assert anyone.get("/health/ready").json()["queued"] == 1
        with kit.working():
            ready = anyone.get("/health/ready")
        assert (ready.status_code, ready.json()["sandbox_mode"], ready.json()["database"]) == (200, "A", "newest")


def test_it_is_not_ready_without_a_sandbox(kit: Kit) -> None:
    kit.engine.sandbox.mode = None
    with kit.client() as anyone, kit.working():
        answer = anyone.get("/health/ready")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["no worker has a sandbox"])


def test_it_is_not_ready_with_an_older_database(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_newest", lambda: "a later one")
    with kit.client() as anyone, kit.working():
        answer = anyone.get("/health/ready")
    assert (answer.status_code, answer.json()["database"]) == (503, "behind")


def _take_away(store: Store) -> None:
    """The database, or what is in its file."""
    while cast(QueuePool, store.engine.pool).checkedout():  # an answer may come before its connection is back
        time.sleep(0.01)
    store.close()
    if store.file is None:
        name = make_url(store.url).database
        with psycopg.connect(postgres.running().dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        return
    with contextlib.closing(sqlite3.connect(store.file)) as direct, direct:
        for name in ("tokens", "jobs"):
            direct.execute(f"ALTER TABLE {name} RENAME TO {name}_away")


def test_a_database_that_is_gone_is_503_and_said_in_general_words(kit: Kit) -> None:
    with kit.client("tina") as tina:
        assert tina.get(f"{API}/me").status_code == 200
        _take_away(kit.service.store)
        ready = tina.get("/health/ready")
        assert (ready.status_code, ready.json()["database"]) == (503, "unreachable")
        answer = tina.get(f"{API}/me")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    for word in ("sqlite", "postgres", "tokens", "SELECT", str(kit.folder)):
        assert word not in answer.text


# Metrics -----------------------------------------------------------------------------------------------------------


def samples(page: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k != "le")
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_metrics(kit: Kit) -> None:
    with kit.client("ada") as ada, kit.client("root", scopes=[Scope.METRICS]) as root:
        number = kit.hand_in("ada", program())
        ada.get(f"{API}/submissions/{number}")
        ada.get(f"{API}/submissions/999999")
        ada.get(f"{API}/no/such/address")
        before = samples(root.get("/metrics").text)
        kit.grade()
        kit.hand_in("bob", program())  # the same file: reused
        kit.hand_in("chen", program(kind="not_gradable"))
        kit.grade()
        page = root.get("/metrics").text
    after = samples(page)
    assert before["grader_queue_jobs{runtime=numpy,state=queued}"] == 1
    assert after["grader_queue_jobs{runtime=numpy,state=queued}"] == 0
    assert after["grader_gradings_total{reason=upload,status=graded}"] == 1
    assert after["grader_gradings_total{reason=reused,status=graded}"] == 1
    assert after["grader_gradings_total{reason=upload,status=not_gradable}"] == 1
    route = "method=GET,route=/api/v1/submissions/{id}"
    assert after[f"grader_http_request_seconds_count{{{route},status=200}}"] == 1
    assert after[f"grader_http_request_seconds_count{{{route},status=404}}"] == 1
    assert "submissions/999999" not in page
    assert "/no/such" not in page
    assert after["grader_sandbox_mode{mode=A}"] == 0


def test_reports_that_are_committed_out_of_order_are_all_counted(kit: Kit) -> None:
    """PostgreSQL gives numbers out before the commit, so a larger one may be there first."""
    kit.hand_in("ada")
    kit.grade()
    counted = "grader_gradings_total{reason=upload,status=graded}"
    with kit.client("root", scopes=[Scope.METRICS]) as root:
        seen = [samples(root.get("/metrics").text)[counted]]
        for number in (20, 10):
            with kit.service.store.write() as session:
                first = session.get_one(StoredReport, 1)
                columns = {c.key: getattr(first, c.key) for c in StoredReport.__table__.columns if c.key != "id"}
                session.add(StoredReport(id=number, **columns))
            seen.append(samples(root.get("/metrics").text)[counted])
    assert [count - seen[0] for count in seen] == [0, 1, 2]


@pytest.mark.usefixtures("database")
def test_who_may_read_metrics(tmp_path: Path) -> None:
    kit = make_kit(tmp_path, metrics_token="a configured secret")
    try:
        for scope in set(Scope) - {Scope.METRICS}:
            with kit.client("root", scopes=[scope]) as other:
                assert other.get("/metrics").status_code == 403
        with kit.client(headers={"Authorization": "Bearer a configured secret"}) as configured:
            assert configured.get("/metrics").status_code == 200
            pod = configured.get("/metrics", headers={"Host": "10.0.0.7:8000"})  # Prometheus can ask for no other host
            assert pod.status_code == 200
            assert configured.get(f"{API}/me").status_code == 401
        with kit.client() as nobody:
            assert nobody.get("/metrics").status_code == 401
            assert nobody.get("/metrics", headers={"Host": "10.0.0.7:8000"}).status_code == 401
        with kit.client(headers={"Authorization": "Bearer"}) as empty:
            assert empty.get("/metrics").status_code == 401
    finally:
        kit.close()


def test_two_services_count_apart(kit: Kit, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = make_kit(tmp_path_factory.mktemp("other"))
    try:
        with kit.client("root") as one, other.client("root") as two:
            for _ in range(3):
                one.get(f"{API}/me")
            key = "grader_http_request_seconds_count{method=GET,route=/api/v1/me,status=200}"
            assert samples(one.get("/metrics").text)[key] == 3
            assert key not in samples(two.get("/metrics").text)
    finally:
        other.close()


# Errors ------------------------------------------------------------------------------------------------------------


def test_a_fault_of_ours_shows_nothing(kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is hunter2")

    monkeypatch.setattr(audit, "events", fail)
    with kit.client("tina") as tina, caplog.at_level(logging.ERROR, "grader"):
        answer = tina.get(f"{API}/courses/dl/audit")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    for word in ("hunter2", "RuntimeError", "Traceback", ".py", "secret"):
        assert word not in answer.text
    assert answer.json()["instance"].removeprefix("urn:grader:request:") in caplog.text


def test_methods_that_an_address_does_not_know(shared_kit: Kit) -> None:
    with shared_kit.client("root") as root:
        answer = root.patch(f"{API}/courses/dl/assignments/{SUMS}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, PUT")
        assert root.put(f"{API}/tokens").headers["allow"] == "GET, POST"
        assert root.request("TRACE", f"{API}/me").status_code == 405
        assert root.get(f"{API}/nothing").headers["content-type"] == "application/problem+json"


def test_errors_speak_the_language_of_the_client(shared_kit: Kit) -> None:
    with shared_kit.client("ada") as ada:
        for language, word in (("zh-CN,zh;q=0.9,en;q=0.5", "没有"), ("en", "nothing here"), ("fr", "nothing here")):
            answer = ada.get(f"{API}/submissions/1", headers={"Accept-Language": language})
            assert word in answer.json()["detail"]


def test_headers_of_every_answer(shared_kit: Kit) -> None:
    with shared_kit.client("ada") as ada:
        for path in (f"{API}/me", f"{API}/submissions/1", "/health/live"):
            headers = ada.get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"
            assert len(headers["x-request-id"]) == 16
            assert "server" not in headers


@pytest.mark.parametrize("number", ["0", "-1", "1.0", "1e3", "01", "９", str(2**63), "1%00", "1%0a", "x"])
def test_numbers_that_are_none(shared_kit: Kit, number: str) -> None:
    with shared_kit.client("ada") as ada:
        assert ada.get(f"{API}/submissions/{number}").status_code == 422


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_other_hosts_are_not_served(shared_kit: Kit, host: str) -> None:
    with shared_kit.client("ada") as ada:
        assert ada.get(f"{API}/me", headers={"Host": host}).status_code == 400


def test_the_description_is_complete(shared_kit: Kit) -> None:
    with shared_kit.client() as nobody:
        document = nobody.get(f"{API}/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["summary"], where
            assert operation["description"], where
            for status, answer in operation["responses"].items():
                if status[0] in "45" and not path.startswith("/health"):
                    assert list(answer["content"]) == ["application/problem+json"], (where, status)
            if "security" in operation:
                assert {"401", "403", "404", "429"} <= set(operation["responses"]), where


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0), ("", 0), ("wait=5", 5), ("wait = 7", 7), ('wait="7"', 7), ("respond-async, wait=9", 9),
        ("wait=999", 30), ("wait=-1", 0), ("wait=1.5", 0), ("await=5", 0), ("WAIT=3; foo", 3), ("wait=x", 0),
    ],
)  # fmt: skip
def test_prefer(prefer: str | None, seconds: int) -> None:
    assert wait_of(prefer) == seconds


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("*/*", True), ("application/json", True), ("application/*;q=0.2", True), ("text/html, */*;q=0.1", True),
        ("text/html", False), ("application/json;q=0", False), ("application/json; q=0.0, text/html", False),
        ("application", False), (",", False),
    ],
)  # fmt: skip
def test_accept(accept: str, wanted: bool) -> None:
    assert wants(accept, "application/json") is wanted
