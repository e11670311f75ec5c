"""What a client prefers (RFC 7240), and whether it is still connected."""

from __future__ import annotations

import math
import select
from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.http import parse_options_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Request


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The `Prefer` header of a request: how many seconds to wait for a job, or not at all."""

    respond_async: bool = False
    wait_seconds: float = math.inf

    @classmethod
    def of(cls, request: Request) -> RequestOptions:
        """Read the header. Unknown preferences are ignored, as RFC 7240 says."""
        respond_async, wait_seconds = False, math.inf
        for preference in ",".join(request.headers.getlist("Prefer")).split(","):
            name, _, value = parse_options_header(preference)[0].partition("=")
            respond_async |= name.strip().lower() == "respond-async"
            if name.strip().lower() == "wait" and value.strip().isdecimal():
                wait_seconds = float(value)
        return cls(respond_async, wait_seconds)

    @property
    def applied(self) -> str | None:
        """The value of `Preference-Applied`, None if nothing was preferred."""
        if self.respond_async:
            return "respond-async"
        return f"wait={self.wait_seconds:g}" if self.wait_seconds < math.inf else None


def is_page_view(request: Request) -> bool:
    """Return True if a browser opens the URL as a page, which could show the progress."""
    return request.headers.get("Sec-Fetch-Dest") == "document" and prefers_page(request)


def prefers_page(request: Request) -> bool:
    """Return True if the client prefers HTML to JSON, as browsers do."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def disconnect_check(request: Request) -> Callable[[], bool]:
    """Return a function that tells whether the client has closed its connection. It costs one `poll`.

    A client that closes only its sending side counts as disconnected: no HTTP client is known to do that. If the server
    does not show its socket, the function always returns False.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is None or not hasattr(select, "POLLRDHUP"):
        return lambda: False
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return lambda: bool(poll.poll(0))
