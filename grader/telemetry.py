"""OpenTelemetry traces of requests and gradings, when the setting GRADER_TRACES asks for them.

    request                by the instrumentation of FastAPI; an upload's context is stored with its job
      submission           made by the worker once the report is stored, from times that were measured anyway
        queue wait         from being put in to being taken
        grading            from being taken to the stored report
          read, jail, load, checks, explain, store

Packages of OpenTelemetry are the extra `telemetry`; they are imported by `start` only. Without it every function here
does nothing. Where traces go is said by the standard variables (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, ...), which the packages read themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from grader.errors import UsageError
from grader.metrics import PHASES

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

INSTALL = "pip install -e '.[telemetry]'"  # in the project's folder, as in docs/how-to/watch-the-service.md
_PARENT = "traceparent"
# Asked every few seconds, or with a secret in the address, or open as long as somebody looks at a page.
_NOT_TRACED = r"/health/,/metrics\b,/static/,/sign-in/,/(submissions|regrades)/\d+/events\b"
_LAST_SPANS_S = 2.0
_provider: TracerProvider | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Graded:
    """One grading that has just been stored. timings_ms: of its report. parent: what `current` said to its upload."""

    parent: str | None
    timings_ms: Mapping[str, float]
    waited_s: float
    took_s: float
    store_s: float
    attributes: Mapping[str, str | int]


def start(role: str, exporter: SpanExporter | None = None) -> None:
    """Traces from now on. role: web or worker. exporter: OTLP over HTTP by default. Raises UsageError."""
    global _provider
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
    except ImportError as error:
        raise UsageError(
            f"GRADER_TRACES needs packages that are not installed ({error.name}); in the grader's folder run: {INSTALL}"
        ) from None
    own = Resource({SERVICE_NAME: f"grader-{role}"})
    try:
        told = Resource.create()  # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES
        named = not str(told.attributes[SERVICE_NAME]).startswith("unknown_service")
        provider = TracerProvider(resource=told if named else told.merge(own))
        sending = BatchSpanProcessor(OTLPSpanExporter()) if exporter is None else SimpleSpanProcessor(exporter)
    except ValueError as error:
        raise UsageError(f"GRADER_TRACES: a setting OTEL_... is not understood: {error}") from None
    provider.add_span_processor(sending)
    _provider = provider


def stop() -> None:
    """Sends what is left, if that is quickly done, and traces no more."""
    global _provider
    provider, _provider = _provider, None
    if provider is not None:  # the exporter tries for ten seconds to reach a collector that is not there
        sending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(_LAST_SPANS_S)


def watch(app: FastAPI) -> None:
    """Every request of the application becomes a span, named by its route."""
    if _provider is None:
        return
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=_provider, excluded_urls=_NOT_TRACED, exclude_spans=["receive", "send"]
    )


def current() -> str | None:
    """The request that runs here, as W3C Trace Context writes it (55 characters); none when it is not traced."""
    if _provider is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(_PARENT)


def graded(grading: Graded) -> None:
    """The spans of a grading, its waiting included; it ends now."""
    if _provider is None:
        return
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    tracer = _provider.get_tracer("grader")
    carrier = {} if grading.parent is None else {_PARENT: grading.parent}
    request = TraceContextTextMapPropagator().extract(carrier)
    ended = time.time_ns()
    taken = ended - _ns(grading.took_s)
    about: dict[str, Any] = {f"grader.{name}": value for name, value in grading.attributes.items()}
    put = taken - _ns(grading.waited_s)
    whole = tracer.start_span("submission", request, attributes=about, start_time=put)
    tracer.start_span("queue wait", set_span_in_context(whole), start_time=put).end(taken)
    doing = tracer.start_span("grading", set_span_in_context(whole), start_time=taken)
    inside, at = set_span_in_context(doing), taken
    for phase, timing in PHASES.items():
        if timing in grading.timings_ms:
            until = at + _ns(grading.timings_ms[timing] / 1000)
            tracer.start_span(phase, inside, start_time=at).end(until)
            at = until
    tracer.start_span("store", inside, start_time=ended - _ns(grading.store_s)).end(ended)
    doing.end(ended)
    whole.end(ended)


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
