"""The ids of the request that a thread works for, for logs: `X-Request-ID` and W3C traceparent.

They go along in the headers of Celery's messages, so that the lines of a job have the ids of the request for it.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # may stand in a header and in a log line as it is
TRACEPARENT = re.compile(r"00-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST_HEADER, PARENT_HEADER = "mezcal_request", "traceparent"  # headers of Celery's messages


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids of one request. *parent* is a traceparent (https://www.w3.org/TR/trace-context/)."""

    request_id: str
    parent: str

    @classmethod
    def of(cls, request_id: str | None, parent: str | None) -> Trace:
        """Returns the ids that the client sent. Missing or malformed ones are replaced by new ones."""
        parent = parent if parent and TRACEPARENT.fullmatch(parent) else None
        request_id = request_id if request_id and REQUEST_ID.fullmatch(request_id) else None
        if parent is None:
            parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
        return cls(request_id or parent[3:35], parent)

    @property
    def trace_id(self) -> str:
        """The 32 hex digits that are the same in all parts of one trace."""
        return self.parent[3:35]


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """Returns the request that this thread works for, None if there is none."""
    return _current.get()


def set_current(trace: Trace | None) -> None:
    """Set the request that this thread works for from now on."""
    _current.set(trace)


def message_headers() -> dict[str, str]:
    """Returns the headers for a message that this thread sends."""
    trace = current()
    return {REQUEST_HEADER: trace.request_id, PARENT_HEADER: trace.parent} if trace else {}


def from_message(headers: Any) -> Trace | None:
    """Returns the request that a message with *headers* was sent for, None if it was sent for none."""
    request_id, parent = headers.get(REQUEST_HEADER), headers.get(PARENT_HEADER)
    return Trace.of(request_id, parent) if request_id else None
