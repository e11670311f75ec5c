"""Why a request brought no usable response.

The text of each failure is a predicate, to follow the server's name: "the repository " + str(failure).
"""

from __future__ import annotations

from mezcal.http.urls import server_of


class RequestFailed(Exception):
    """No usable response came. There is a class for each cause that callers handle differently.

    The others are: no trusted TLS connection; a connection that was refused, reset, or closed without a response.
    """


class RequestTimedOut(RequestFailed):
    """No connection was made within the connect time-out, or nothing was sent for as long as the read time-out."""


class DeadlineExceeded(RequestFailed):
    """The whole exchange took longer than allowed."""


class MalformedResponse(RequestFailed):
    """The server sent something that is not HTTP."""


class BodyInterrupted(RequestFailed):
    """The connection broke before the body's end."""


class BodyTooLarge(RequestFailed):
    """The body has more bytes than allowed."""


class InvalidUrl(RequestFailed):
    """The URL is not http(s), or it contains a user name."""


class TooManyRedirects(RequestFailed):
    """The server redirects in a loop."""


class RedirectRefused(RequestFailed):
    """The server redirects to *target*, where the policy does not allow it. Nothing was sent there."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.server = server_of(target)
        super().__init__(f"redirects to {self.server}, which is not allowed")
