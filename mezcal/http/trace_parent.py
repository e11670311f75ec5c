"""The traceparent that goes along with requests of a thread, for servers that add their own spans to a trace."""

from __future__ import annotations

from contextvars import ContextVar

HEADER = "traceparent"  # https://www.w3.org/TR/trace-context/
_sent: ContextVar[str | None] = ContextVar("sent_traceparent", default=None)


def send_trace_parent(value: str | None) -> None:
    """Send *value* with the requests of this thread from now on, or nothing if it is None."""
    _sent.set(value)


def trace_headers() -> dict[str, str]:
    """Returns the header for a request of this thread."""
    value = _sent.get()
    return {HEADER: value} if value else {}
