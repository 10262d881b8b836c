"""What whoever runs the service sees: a request found again in the worker's log and trace, /metrics, `grader top`."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from rich.cells import cell_len
from rich.console import Console
from sqlalchemy import select, update
from typer.testing import CliRunner

from grader import cli_top, logs, telemetry
from grader.grading import Engine
from grader.reports import Language
from grader.sandbox.pool import Sandbox
from grader.sandbox.tally import Tally
from grader.service.access import Scope
from grader.store.models import Job, Worker
from grader.store.states import JobState

from .service import SUMS, Kit, program

PROJECT = Path(__file__).resolve().parents[2]
yaml = pytest.importorskip("yaml")  # it has no types
GRAFANA = PROJECT / "deploy" / "grafana"
REFERENCE = PROJECT / "docs" / "reference" / "metrics.md"
UPLOADS = f"/api/v1/courses/dl/assignments/{SUMS}/submissions"


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What the loggers of the service write meanwhile, as JSON; read when the block ends or `told` is called."""
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler, log = Keep(), logging.getLogger("grader")
    handler.setFormatter(logs.json_lines())
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield found
    log.removeHandler(handler)
    log.setLevel(level)


def hand_in(kit: Kit, data: bytes | None = None) -> tuple[int, str]:
    """Over HTTP: the submission's number and the request's id."""
    with kit.client("ada") as ada:
        answer = ada.post(UPLOADS, files={"file": ("solution.py", program() if data is None else data)})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"], answer.headers["x-request-id"]


# Log and traces ----------------------------------------------------------------------------------------------------


def test_a_request_is_found_again_in_the_workers_lines(kit: Kit, events: list[dict[str, Any]]) -> None:
    number, request_id = hand_in(kit)
    kit.grade()
    other, _ = hand_in(kit, program(kind="not_gradable"))
    kit.grade()
    access = next(e for e in events if e["logger"] == "grader.access")
    assert (access["request_id"], access["method"], access["status"]) == (request_id, "POST", 202)
    graded = [e for e in events if e["logger"] == "grader" and "points" in e["event"]]
    assert [e["submission_id"] for e in graded] == [number, other]
    assert [e["request_id"] == request_id for e in graded] == [True, False]
    assert {e["worker"] for e in graded} == {kit.worker.name}


def test_a_trace_goes_from_the_request_to_the_phases(kit: Kit) -> None:
    exporter = InMemorySpanExporter()
    telemetry.start("web", exporter)
    try:
        telemetry.watch(kit.app)
        number, request_id = hand_in(kit)
        with kit.client() as anyone:
            anyone.get("/health/live")
            anyone.get("/sign-in/link/a-secret-of-somebody")
        kit.grade()
    finally:
        telemetry.stop()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    request = spans[f"POST {UPLOADS.replace('/dl/', '/{course}/').replace(SUMS, '{name}')}"]
    assert set(spans) == {
        request.name,
        "submission",
        "queue wait",
        "grading",
        "store",
    }  # the kit's engine has no phases
    below = spans["submission"]
    above = request.get_span_context()
    assert below.parent is not None
    assert above is not None
    assert below.parent.span_id == above.span_id
    assert below.attributes is not None
    assert below.attributes["grader.submission_id"] == number
    assert below.attributes["grader.request_id"] == request_id
    assert "a-secret-of-somebody" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_without_traces_a_job_keeps_none(kit: Kit) -> None:
    hand_in(kit)
    with kit.service.store.read() as session:
        assert session.scalars(select(Job.trace)).all() == [None]


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
def test_a_worker_process_tells_of_itself(kit: Kit) -> None:
    """Its log as JSON with the request's number, and its numbers at a port that needs the token."""
    number, request_id = hand_in(kit, b"def add(a, b):\n    return a + b\n\n\ndef subtract(a, b):\n    return a - b\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "GRADER_DATABASE_URL": kit.service.store.url, "GRADER_LOG_FORMAT": "json",
        "GRADER_REFERENCE_DIR": str(kit.service.catalogue.get(SUMS).folder.parent), "GRADER_METRICS_TOKEN": "a token",
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GRADER_")}
    words = [sys.executable, "-m", "grader", "worker", "--runtimes", "numpy", "--metrics-port", str(port)]
    with subprocess.Popen(words, env=kept | settings, cwd=PROJECT, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr is not None
        try:
            events = [json.loads(process.stderr.readline())]
            while "points" not in events[-1]["event"]:
                events.append(json.loads(process.stderr.readline()))
            url = f"http://127.0.0.1:{port}/metrics"
            assert httpx.get(url, trust_env=False).status_code == 401
            page = httpx.get(url, trust_env=False, headers={"Authorization": "Bearer a token"}).text
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            assert process.wait(30) == 0
        finally:
            process.kill()
    graded = events[-1]
    assert (graded["submission_id"], graded["request_id"]) == (number, request_id)
    assert graded["event"].startswith(f"submission {number}: graded, 100 of 100 points")
    assert all(json.loads(line)["timestamp"] for line in rest.splitlines())
    assert "a token" not in json.dumps(events) + rest
    counted = {(s.name, *s.labels.values()): s.value for f in text_string_to_metric_families(page) for s in f.samples}
    assert counted["grader_grading_phase_seconds_count", "checks", "numpy"] == 1
    assert counted["grader_queue_wait_seconds_count", "numpy"] == 1
    assert sum(value for (name, *_), value in counted.items() if name == "grader_pool_taken_total") == 1


# Metrics -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def page(kit: Kit) -> str:
    """What a process shows that has done everything that is counted."""
    tally = Tally()
    tally.took("numpy", at_once=True)
    kit.service.measures.watch(tally)
    kit.worker = replace(kit.worker, measures=kit.service.measures)
    hand_in(kit)
    kit.grade()
    timings = {"read": 1.0, "wait_for_child": 1.0, "load": 1.0, "checks": 1.0, "explain": 1.0}  # a fake has none
    kit.service.measures.graded("numpy", "graded", timings, took_s=0.01, store_s=0.001)
    with kit.client("root", scopes=[Scope.METRICS]) as root:
        return root.get("/metrics").text


def names(page: str) -> set[str]:
    """Of every series."""
    return {s.name for family in text_string_to_metric_families(page) for s in family.samples}


def families(page: str) -> dict[str, tuple[str, set[str]]]:
    """{family: (kind, labels)}; counters as they are asked for, with _total."""
    return {
        f.name + ("_total" if f.type == "counter" else ""): (
            f.type,
            {label for s in f.samples for label in s.labels} - {"le"},
        )
        for f in text_string_to_metric_families(page)
    }


def used_names(expression: str) -> set[str]:
    """Names of metrics in PromQL: words with an underscore that are neither a function nor a label of ours."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    bare = re.sub(r"\b(by|on|without)\s*\([^)]*\)", "", bare)
    functions = {"histogram_quantile", "label_replace", "sum_over_time", "max_over_time"}
    return {w for w in re.findall(r"(?<![$\w])[a-z]+(?:_[a-z]+)+\b", re.sub(r"{[^}]*}", "", bare))} - functions


def expressions() -> list[str]:
    dashboard = json.loads((GRAFANA / "grader.json").read_text(encoding="utf-8"))
    rules = yaml.safe_load((GRAFANA / "alerts.yml").read_text(encoding="utf-8"))
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return drawn + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


@pytest.mark.sqlite  # numbers of the disk are there where the database is a file
def test_what_dashboard_and_alerts_ask_for_exists(page: str) -> None:
    known = names(page)
    asked = {name for expression in expressions() for name in used_names(expression)}
    assert len(asked) > 15
    assert asked - known == set()


def test_labels_that_dashboard_and_alerts_name_exist(page: str) -> None:
    labels = {label for _, found in families(page).values() for label in found} | {"instance", "le"}
    for expression in expressions():
        inside = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", expression)
        grouped = [n for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression) for n in group.split(", ")]
        assert {*inside, *grouped} <= labels, expression


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads((GRAFANA / "grader.json").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for target in panel.get("targets", ()):
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken)), "panels lie on each other"


@pytest.mark.sqlite
def test_the_reference_lists_every_metric(page: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    real = {name: found for name, found in families(page).items() if not name.startswith("process_")}
    assert told == real


@pytest.mark.sandbox
def test_the_sandbox_counts_what_ends_children(kit: Kit, engine: Engine, sandbox: Sandbox) -> None:
    def ends(*statements: str) -> dict[str, int]:
        """What is counted more after grading this as the body of `add`."""
        before = Counter(sandbox.tally.ends)
        body = "".join(f"    {line}\n" for line in statements)
        engine.grade(kit.service.catalogue.get(SUMS), "solution.py", f"def add(a, b):\n{body}".encode())
        return dict(Counter(sandbox.tally.ends) - before)

    assert ends("return a + b") == {}
    assert set(ends("import os", "os._exit(3)")) == {"exited"}
    assert set(ends("print('x' * 10_000_000)", "return a + b")) == {"output"}
    assert set(ends("return bytearray(8 << 30)")) <= {"memory"}  # an allocation that is refused ends nobody
    taken = sandbox.tally.taken
    assert sum(taken.values()) >= 4
    assert {runtime for runtime, _ in taken} == {"numpy"}


# grader top --------------------------------------------------------------------------------------------------------


def drawn(kit: Kit, lang: Language, rows: int = 24) -> list[str]:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(cli_top.frame(cli_top.look(kit.service.store), lang, rows=rows))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_top_shows_a_worker_that_was_told_to_stop(kit: Kit) -> None:
    kit.worker._announce(kit.service.now())
    assert not any(" ends " in line for line in drawn(kit, "en"))
    ending = replace(kit.worker, _stopping=threading.Event())
    ending._stopping.set()
    ending._announce(kit.service.now())
    assert any(" ends " in line for line in drawn(kit, "en"))
    assert any(" 停止 " in line for line in drawn(kit, "zh"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_top_fits_a_terminal(kit: Kit, lang: Language) -> None:
    for login in ("ada", "bob", "chen"):
        for number in range(9):
            kit.hand_in(login, program(fail=["add_works"] if number % 2 else [], seconds=0) + b"#" * number)
            kit.grade()
    waiting = kit.hand_in("ada", b"# waits\n")
    with kit.service.store.write() as session:
        job = session.scalars(select(Job).where(Job.submission_id == waiting)).one()
        job.state, job.worker, job.attempts = JobState.RUNNING, "a-very-long-name-of-a-container/4026:12345:1", 2
        job.started_at, job.progress = kit.service.now() - timedelta(minutes=5), [{}, {}, {}]
        session.add(
            Worker(
                name="lost-\x1b[31mworker:1:2", mode="C", started_at=job.started_at, seen_at=job.started_at,
                detail={"runtimes": ["numpy"], "slots": 2},
            )
        )  # fmt: skip
    kit.hand_in("bob", b"# waits too\n")
    kit.worker._announce(kit.service.now())
    lines = drawn(kit, lang)
    assert len(lines) <= 24
    assert all(cell_len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "container:12345" in text  # the end of a long name
    assert "60 / 100" in text
    assert ("waiting 1  running 1" if lang == "en" else "等待 1  正在评分 1") in text
    assert "5 min" in text


def test_top_once_prints_one_look(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.cli import app

    monkeypatch.setenv("GRADER_DATABASE_URL", kit.service.store.url)
    for words in (["--once"], []):  # without a terminal it ends by itself
        ran = CliRunner().invoke(app, ["top", *words])
        assert ran.exit_code == 0
        assert "No worker is alive" in ran.stdout
    assert "没有在线的评分进程" in CliRunner().invoke(app, ["top", "--once", "--lang", "zh"]).stdout


def test_top_says_that_nobody_grades(kit: Kit) -> None:
    assert "No worker is alive, so nothing is graded." in drawn(kit, "en")
    assert "没有在线的评分进程，提交不会被评分。" in drawn(kit, "zh")


def test_top_counts_the_last_minute_and_tells_reports_apart(kit: Kit) -> None:
    first = kit.hand_in("ada", program())
    kit.grade()
    kit.hand_in("bob", program())  # the same file: reused
    kit.hand_in("chen", program(kind="not_gradable"))
    kit.grade()
    with kit.service.store.write() as session:
        session.execute(update(Job).where(Job.submission_id == first).values(started_at=Job.ended_at))
    lines = drawn(kit, "en")
    assert "Last minute  uploads 3  reports 3  our faults 0" in lines
    shown = [" ".join(line.split()[1:]) for line in lines[lines.index("Last reports") + 2 :]]
    assert shown[0].endswith(f"{SUMS} not gradable {shown[0].split()[-1]}")
    assert shown[1].endswith(f"{SUMS} graded 100 / 100 reused")
    assert shown[2].endswith(f"{first} {SUMS} graded 100 / 100 0.00")


def test_top_goes_on_when_the_database_does_not_answer(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    from grader.errors import StoreError

    def fail(_: object) -> None:
        raise StoreError("a full\ndisk \x1b[2J")

    monkeypatch.setattr(cli_top, "look", fail)
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(cli_top._screen(kit.service.store, "en", 24))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "The database does not answer: a full disk [2J\n"
