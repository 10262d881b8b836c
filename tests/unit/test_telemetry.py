"""Traces: off without a setting, a clear word without the packages, and the spans of a grading."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from grader import telemetry
from grader.errors import UsageError

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TIMINGS = {"read": 3.0, "wait_for_child": 0.5, "load": 2.0, "checks": 40.0, "explain": 5.0, "total": 51.0}


def graded(parent: str | None = PARENT) -> telemetry.Graded:
    return telemetry.Graded(
        parent=parent, timings_ms=TIMINGS, waited_s=1.5, took_s=0.061, store_s=0.01, attributes={"submission_id": 7}
    )


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    telemetry.start("worker", exporter)
    yield exporter
    telemetry.stop()


def times(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def context(span: ReadableSpan) -> SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


def test_nothing_happens_without_a_start() -> None:
    telemetry.graded(graded())
    assert telemetry.current() is None
    telemetry.stop()


def test_missing_packages_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.exporter.otlp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(UsageError, match=r"pip install -e '\.\[telemetry\]'"):
        telemetry.start("web")
    assert telemetry.current() is None


def test_a_grading_hangs_below_its_request(spans: InMemorySpanExporter) -> None:
    telemetry.graded(graded())
    found = {span.name: span for span in spans.get_finished_spans()}
    assert set(found) == {"submission", "queue wait", "grading", "read", "jail", "load", "checks", "explain", "store"}
    assert {format(context(span).trace_id, "032x") for span in found.values()} == {PARENT.split("-")[1]}
    whole = found["grading"]
    above = found["submission"].parent
    assert above is not None
    assert format(above.span_id, "016x") == PARENT.split("-")[2]
    for name in ("queue wait", "grading"):
        parent = found[name].parent
        assert parent is not None
        assert parent.span_id == context(found["submission"]).span_id
    phases = [found[name] for name in ("read", "jail", "load", "checks", "explain", "store")]
    for phase in phases:
        assert phase.parent is not None
        assert phase.parent.span_id == context(whole).span_id
    start, end = times(whole)
    assert times(found["queue wait"]) == (start - 1_500_000_000, start)
    assert end - start == 61_000_000
    assert times(phases[0])[0] == start
    assert times(phases[-1]) == (end - 10_000_000, end)
    assert all(times(before)[1] <= times(after)[0] for before, after in pairwise(phases))
    assert found["submission"].attributes == {"grader.submission_id": 7}


@pytest.mark.parametrize("parent", [None, "", "nonsense", PARENT[:-2]])
def test_without_a_request_a_grading_is_a_trace_of_its_own(spans: InMemorySpanExporter, parent: str | None) -> None:
    telemetry.graded(graded(parent))
    assert {span.name for span in spans.get_finished_spans() if span.parent is None} == {"submission"}
    assert len({context(span).trace_id for span in spans.get_finished_spans()}) == 1


def test_the_standard_variables_name_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, named in (("", "grader-web"), ("homework", "homework")):
        monkeypatch.setenv("OTEL_SERVICE_NAME", given)
        exporter = InMemorySpanExporter()
        telemetry.start("web", exporter)
        telemetry.graded(graded())
        telemetry.stop()
        assert {span.resource.attributes["service.name"] for span in exporter.get_finished_spans()} == {named}


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_BSP_MAX_QUEUE_SIZE", "-5"), ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")]
)
def test_a_variable_that_makes_no_sense_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=r"GRADER_TRACES: a setting OTEL_"):
        telemetry.start("web")
    assert telemetry.current() is None
