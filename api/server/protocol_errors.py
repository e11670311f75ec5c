"""Requests that gunicorn itself refuses: they are answered in the form of the API's other errors (RFC 9457)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gunicorn import util

from api.responses.problems import JSON_TYPE

if TYPE_CHECKING:
    import socket


def use_problem_details() -> None:
    """Replace gunicorn's page of an error, which is HTML and which a cache may keep."""
    util.write_error = write_problem


def write_problem(sock: socket.socket, status: int, reason: str, detail: str, *more: str) -> None:
    """Send the response, with *more* lines in its header. The connection is closed behind it."""
    body = json.dumps({"type": "about:blank", "title": reason, "status": status, "detail": detail})
    lines = (
        f"HTTP/1.1 {status} {reason}",
        f"Content-Type: {JSON_TYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *more,
    )
    util.write_nonblock(sock, "\r\n".join([*lines, "", body]).encode("ascii"))
