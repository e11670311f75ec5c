"""What a client wants, and whether it is still there."""

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
    """The `Prefer` header of a request (RFC 7240): how long to wait, in seconds, or not at all."""

    respond_async: bool = False
    seconds: float = math.inf

    @classmethod
    def of(cls, request: Request) -> RequestOptions:
        """What *request* prefers; what is not understood is ignored, as the RFC wants."""
        respond_async, seconds = False, math.inf
        for preference in ",".join(request.headers.getlist("Prefer")).split(","):
            name, _, value = parse_options_header(preference)[0].partition("=")
            respond_async |= name.strip().lower() == "respond-async"
            if name.strip().lower() == "wait" and value.strip().isdecimal():
                seconds = float(value)
        return cls(respond_async, seconds)

    @property
    def applied(self) -> str | None:
        """`Preference-Applied`, None where nothing was preferred."""
        if self.respond_async:
            return "respond-async"
        return f"wait={self.seconds:g}" if self.seconds < math.inf else None


def navigates(request: Request) -> bool:
    """Whether a person's browser loads the address as a page, and could show how far the image has come."""
    opens = request.headers.get("Sec-Fetch-Dest") == "document"
    return opens and request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def gone(request: Request) -> Callable[[], bool]:
    """Tells, at no cost, whether the client has hung up: its socket says so, where the server shows it.

    A client that closes only its sending side counts as gone: no HTTP client was found that does so.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is None or not hasattr(select, "POLLRDHUP"):
        return lambda: False
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP | select.POLLHUP | select.POLLERR)
    return lambda: bool(poll.poll(0))
