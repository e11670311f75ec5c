"""Whose request this is: ids for logs, carried from the asker to the job (`X-Request-ID`, W3C traceparent)."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")  # what can stand in a header and in a log line as it is
TRACEPARENT = re.compile(r"00-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
REQUEST, PARENT = "mezcal_request", "traceparent"  # headers of Celery's messages


@dataclass(frozen=True, slots=True)
class Trace:
    """One request's ids. *parent* is a traceparent (https://www.w3.org/TR/trace-context/), as it came or our own."""

    request_id: str
    parent: str

    @classmethod
    def of(cls, request_id: str | None, parent: str | None) -> Trace:
        """As the asker names it; what it does not name, or strangely, gets a new name."""
        parent = parent if parent and TRACEPARENT.fullmatch(parent) else None
        named = request_id if request_id and PLAIN_ID.fullmatch(request_id) else None
        if parent is None:
            parent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
        return cls(named or parent[3:35], parent)

    @property
    def trace_id(self) -> str:
        """The 32 hex digits that all of one trace share."""
        return self.parent[3:35]

    def carried(self) -> dict[str, str]:
        """The headers of a message that is sent for this request."""
        return {REQUEST: self.request_id, PARENT: self.parent}


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """The request that this thread works for, if there is one."""
    return _current.get()


def enter(trace: Trace | None) -> None:
    """From here on this thread works for *trace*."""
    _current.set(trace)


def carried() -> dict[str, str]:
    """The headers of a message that is sent now."""
    trace = current()
    return trace.carried() if trace else {}


def of_message(headers: Any) -> Trace | None:
    """The request for which a message was sent; None where nobody's request was the reason."""
    request_id, parent = headers.get(REQUEST), headers.get(PARENT)
    return Trace.of(request_id, parent) if request_id else None


@contextmanager
def working_for(trace: Trace | None) -> Iterator[None]:
    """Work for *trace* while the block lasts."""
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)
