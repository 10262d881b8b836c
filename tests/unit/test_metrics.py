"""What a process counts of its gradings, and the port that shows it."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from grader.errors import UsageError
from grader.metrics import Measures, shown_at
from grader.sandbox.child import Reason
from grader.sandbox.tally import LOST, Tally


def values(measures: Measures) -> dict[tuple[str, ...], float]:
    """{(name, label values in the order of their names): value}, buckets aside."""
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(measures.text().decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def test_a_grading_is_counted_by_phase() -> None:
    measures = Measures()
    measures.took("numpy", 1.5)
    timings = {"read": 2.0, "wait_for_child": 0.5, "load": 1.0, "checks": 30.0, "explain": 4.0, "total": 40.0}
    measures.graded("numpy", "graded", timings, took_s=0.05, store_s=0.01)
    measures.graded("numpy", "not_gradable", {"total": 1.0}, took_s=0.011, store_s=0.01)  # read, and nothing run
    found = values(measures)
    phase = "grader_grading_phase_seconds"
    assert found["grader_queue_wait_seconds_sum", "numpy"] == 1.5
    assert found[f"{phase}_sum", "queued", "numpy"] == 1.5
    assert found[f"{phase}_sum", "jail", "numpy"] == 0.0005
    assert found[f"{phase}_count", "checks", "numpy"] == 1
    assert found[f"{phase}_count", "store", "numpy"] == 2
    assert found["grader_grading_seconds_count", "numpy", "not_gradable"] == 1


def test_the_sandbox_is_counted_from_nothing_on() -> None:
    """A series that begins with its first event would hide that event from a rate."""
    measures, tally = Measures(), Tally()
    measures.watch(tally)
    found = values(measures)
    assert {reason for name, *reasons in found if name == "grader_sandbox_kills_total" for reason in reasons} == {
        *map(str, Reason), LOST,
    }  # fmt: skip
    assert found["grader_sandbox_kills_total", "cpu"] == 0
    tally.ended(Reason.CPU)
    tally.took("numpy", at_once=True)
    tally.took("numpy", at_once=True)
    found = values(measures)
    assert found["grader_sandbox_kills_total", "cpu"] == 1
    assert found["grader_pool_taken_total", "hit", "numpy"] == 2
    assert found["grader_pool_taken_total", "miss", "numpy"] == 0


def test_reconnections_of_the_bus_are_shown() -> None:
    measures = Measures()
    assert values(measures)["grader_event_bus_reconnects_total",] == 0
    measures.reconnects = lambda: 3
    assert values(measures)["grader_event_bus_reconnects_total",] == 3


def fetch(port: int, path: str = "/metrics", token: str = "") -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with opener.open(
            urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=5
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_worker_shows_its_numbers_at_a_port() -> None:
    with shown_at(Measures(), "127.0.0.1", 0) as port:
        status, page = fetch(port)
        assert status == 200
        assert "grader_build_info{" in page
        assert fetch(port, "/")[0] == 404


def test_a_token_guards_the_port_where_one_is_set() -> None:
    with shown_at(Measures(), "127.0.0.1", 0, "a configured secret") as port:
        assert fetch(port)[0] == 401
        assert fetch(port, token="another")[0] == 401
        assert fetch(port, token="a configured secret")[0] == 200


def test_two_workers_cannot_share_a_port() -> None:
    with (
        shown_at(Measures(), "127.0.0.1", 0) as port,
        pytest.raises(UsageError, match=rf"--metrics-port {port}: .* in use"),
        shown_at(Measures(), "127.0.0.1", port),
    ):
        pass
