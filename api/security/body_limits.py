"""Limits of request bodies: their size, how many arrive at once, and the time in which they have to arrive."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import g, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, RequestTimeout, UnsupportedMediaType

from api.security.body_places import BodyPlaces
from api.security.clients import current_client
from mezcal.errors import BadEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

CHARSETS = {"utf-8", "utf8", "us-ascii"}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
PIECE = 1 << 16  # bytes read at a time
LINE_MOST = 1 << 14  # bytes: more than any path, or a few words about it, may have
BODY_SECONDS = 60.0  # in which a whole body has to arrive: until then it holds a thread
LIST_SECONDS = 600.0  # the same for the long lists of clients that may change state

# Bodies at once of unknown senders, in all and by client: each holds a thread, and an event's some megabytes. No other
# route reads the body of a stranger.
signed_events = BodyPlaces(32, 8)
sign_ins = BodyPlaces(16, 4)
cutout_lists = BodyPlaces(16, 4)


class BodyTimeLimit:
    """Ends the receiving of a body after some seconds: what reads it then sees the end of the connection.

    A total, and not a time-out of the socket: that would begin again with each byte of a client that drips.
    """

    def __init__(self, connection: socket.socket, body: Any, seconds: float) -> None:
        self.ended: str | None = None  # why the body may not arrive any more
        self._connection, self._body = connection, body
        self._timer = threading.Timer(seconds, self.end, (f"the body did not arrive within {seconds:g} seconds",))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Lift the limit."""
        self._timer.cancel()

    def end(self, reason: str) -> None:
        """End the receiving of the body now. What comes later is no request: the connection must not be used again."""
        self.ended = reason
        self._body.failed = True  # gunicorn closes the connection then
        with suppress(OSError):  # the client has left
            self._connection.shutdown(socket.SHUT_RD)


def register(app: Flask) -> None:
    """Limit the time of every body that *app* gets."""
    app.before_request(lambda: limit_time(BODY_SECONDS))
    app.teardown_request(lambda _error: _lift_limit())


def limit_time(seconds: float) -> None:
    """Give the body of this request *seconds* to arrive, from now on. A server that hides its sockets sets no limit."""
    _lift_limit()
    connection = request.environ.get("gunicorn.socket") or request.environ.get("werkzeug.socket")
    if connection is not None and (request.content_length or "HTTP_TRANSFER_ENCODING" in request.environ):
        g.body_time_limit = BodyTimeLimit(connection, request.environ["wsgi.input"], seconds)


def _lift_limit() -> None:
    limit: BodyTimeLimit | None = g.pop("body_time_limit", None)
    if limit is not None:
        limit.cancel()


@contextmanager
def of_stranger(places: BodyPlaces) -> Iterator[None]:
    """Hold one of *places* while the body of an unknown sender is read. Raises `Busy` if none is free."""
    limit: BodyTimeLimit | None = g.get("body_time_limit")
    cut = partial(limit.end, "the body was too slow, and newer ones needed its place") if limit else None
    with places.held(current_client(), cut):
        try:
            yield
        except ClientDisconnected as error:
            raise _broken_off() from error


def check(most: int) -> None:
    """Refuse a body of more than *most* bytes, or one that is no UTF-8 text, before any of it is read."""
    request.max_content_length = most + 1  # one more than allowed: so it is seen that there is more
    if (request.content_length or 0) > most:
        raise RequestEntityTooLarge(f"the body has more than {most:,} bytes: send several")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("the body is compressed: send it as it is")
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() not in CHARSETS or request.mimetype in FORMS:
        raise UnsupportedMediaType("the body must be JSON, or lines of text, in UTF-8")


def whole() -> bytes:
    """Return all of the body, after `check`."""
    return b"".join(_pieces())


def _pieces() -> Iterator[bytes]:
    """Yield the body as it arrives. Raises if it is too long or breaks off: half a list is no list."""
    most, seen = (request.max_content_length or 1) - 1, 0
    while piece := _read():
        seen += len(piece)
        if seen > most:
            raise RequestEntityTooLarge(f"the body has more than {most:,} bytes: send several")
        yield piece
    if request.content_length is not None and seen < request.content_length:
        raise _broken_off()


def _read() -> bytes:
    try:
        return request.stream.read(PIECE)
    except (OSError, ClientDisconnected) as error:
        raise _broken_off() from error


def _broken_off() -> ClientDisconnected | RequestTimeout:
    limit: BodyTimeLimit | None = g.get("body_time_limit")
    if limit is not None and limit.ended:
        return RequestTimeout(limit.ended)
    return ClientDisconnected("the body broke off")


def lines() -> Iterator[str]:
    """Yield the lines that are not empty, each as soon as it has arrived: the whole body is never in memory."""
    rest = b""
    for piece in _pieces():
        *ended, rest = (rest + piece).split(b"\n")
        if len(rest) > LINE_MOST:
            raise BadEvent(f"a line is longer than {LINE_MOST:,} bytes")
        yield from filter(None, map(_text, ended))
    if last := _text(rest):
        yield last


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise BadEvent("the body is not UTF-8") from error
