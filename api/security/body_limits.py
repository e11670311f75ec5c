"""Bodies of requests: bounded before they are read, and read as what they say they are."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge, UnsupportedMediaType

from mezcal.errors import BadEvent, Busy

if TYPE_CHECKING:
    from collections.abc import Iterator

CHARSETS = {"utf-8", "utf8", "us-ascii"}
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
PIECE = 1 << 16  # bytes read at a time
LINE_MOST = 1 << 14  # bytes: more than any path, or a few words about it, may have
STRANGERS_MOST = 32  # bodies at once of whom nobody knows yet: each takes a thread, and a webhook's some megabytes

_places = threading.BoundedSemaphore(STRANGERS_MOST)


@contextmanager
def of_stranger() -> Iterator[None]:
    """Hold a place for a body that has to be read before it is known who sends it; `Busy` where none is free."""
    if not _places.acquire(blocking=False):
        raise Busy("too many bodies arrive at once: send it again")
    try:
        yield
    finally:
        _places.release()


def check(most: int) -> None:
    """Refuse a body of more than *most* bytes, or none that can be read as UTF-8 text, before any of it is read."""
    request.max_content_length = most + 1  # one more than may be: so it is seen that there is more
    if (request.content_length or 0) > most:
        raise RequestEntityTooLarge(f"the body has more than {most:,} bytes: send several")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("the body is compressed: send it as it is")
    charset = request.mimetype_params.get("charset", "utf-8")
    if charset.lower() not in CHARSETS or request.mimetype in FORMS:
        raise UnsupportedMediaType("the body must be JSON, or lines of text, in UTF-8")


def whole() -> bytes:
    """All of the body, once it is checked."""
    return b"".join(_pieces())


def _pieces() -> Iterator[bytes]:
    """The body as it comes; raises where it is too long, or breaks off: half a list is none."""
    most, seen = (request.max_content_length or 1) - 1, 0
    while piece := request.stream.read(PIECE):
        seen += len(piece)
        if seen > most:
            raise RequestEntityTooLarge(f"the body has more than {most:,} bytes: send several")
        yield piece
    if request.content_length is not None and seen < request.content_length:
        raise ClientDisconnected("the body broke off")


def lines() -> Iterator[str]:
    """The body's lines that hold something, each as soon as it is there; the body is never held whole."""
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
