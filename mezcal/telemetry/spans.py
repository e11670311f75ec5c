"""Spans of OpenTelemetry, sent by OTLP: of each request that Flask answers, and of each attempt at a job.

They are sent if OTEL_EXPORTER_OTLP_ENDPOINT is set and the extra `mezcal[otel]` is installed. OpenTelemetry's SDK reads
its other variables by itself: docs/tracing.md has those that are of use. Without an endpoint nothing is imported.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mezcal.telemetry import tracing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as SdkSpan
    from opentelemetry.trace import Tracer

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SERVICE = "OTEL_SERVICE_NAME"
MISSING = "%s is set, but OpenTelemetry is not installed: no traces are sent. Install mezcal[otel]"
NANOSECONDS = 1_000_000_000

Attributes = dict[str, "str | int | float | bool"]

_providers: dict[int, TracerProvider] = {}  # by process: a forked one inherits that of its parent, without the thread


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has begun. `end` it in the process that began it."""

    _tracer: Tracer
    _span: SdkSpan

    @property
    def traceparent(self) -> str:
        """The traceparent that makes others its children."""
        ids = self._span.get_span_context()
        return f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{int(ids.trace_flags):02x}"

    def add_part(self, name: str, began: float, ended: float, attributes: Attributes | None = None) -> None:
        """Add a child that is over. Times are those of `time.monotonic`."""
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415 - an extra

        part = self._tracer.start_span(
            name, set_span_in_context(self._span), attributes=attributes or {}, start_time=_since_1970(began)
        )
        part.end(_since_1970(ended))

    def end(self, attributes: Mapping[str, Any], error: str | None = None) -> None:
        """End it now. Attributes that are None are left out. *error* says why it failed."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - an extra

        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


def endpoint_variable() -> str | None:
    """Returns the variable that names where spans are sent to, None if they are not sent."""
    return next((name for name in ENDPOINTS if os.environ.get(name)), None)


def begin_request(name: str, parent: str | None) -> Span | None:
    """Begin the span of a request from a client with the traceparent *parent*. Returns None if no spans are sent."""
    return _begin("server", "api", name, parent)


def begin_job(name: str, parent: str | None) -> Span | None:
    """Begin the span of an attempt at a job. *parent* is the traceparent of the request for it, None if there is none.

    Returns None if no spans are sent.
    """
    return _begin("consumer", "worker", name, parent)


def flush(seconds: float) -> None:
    """Send the spans of this process that have ended. Returns after *seconds* at the latest; then the rest is lost.

    A thread sends them, because the time limit of the SDK's `force_flush` has no effect.
    """
    provider = _providers.get(os.getpid())
    if provider is not None:
        sender = threading.Thread(target=provider.force_flush, name="last spans", daemon=True)
        sender.start()
        sender.join(seconds)


def _begin(kind: str, part: str, name: str, parent: str | None) -> Span | None:
    tracer = _tracer(part, os.getpid()) if endpoint_variable() else None
    if tracer is None:
        return None
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - an extra

    return Span(tracer, tracer.start_span(name, _context(parent), kind=SpanKind[kind.upper()]))


def _context(parent: str | None) -> Context | None:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

    return TraceContextTextMapPropagator().extract({tracing.PARENT_HEADER: parent}) if parent else None


@cache
def _tracer(part: str, _pid: int) -> Tracer | None:
    """Returns what makes spans in this process, None if OpenTelemetry is not installed.

    Each process makes its own after the fork, because a thread of it sends the spans. What is left when the process
    ends is sent by the SDK, or by `flush` in a process that runs no `atexit`.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        log.warning(MISSING, endpoint_variable())
        return None
    name = os.environ.get(SERVICE) or f"mezcal-{part}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _providers[os.getpid()] = provider
    return provider.get_tracer("mezcal")


def _since_1970(monotonic: float) -> int:
    """Returns a time of `time.monotonic` as nanoseconds since 1970."""
    return time.time_ns() - int((time.monotonic() - monotonic) * NANOSECONDS)
