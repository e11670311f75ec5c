"""Refusals of what is no request that the application could be asked to answer (RFC 9457)."""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus

from api.problems import JSON_TYPE


def refusal(status: int) -> bytes:
    """The whole of an answer that says *status* and no more, and ends the connection. No cache may keep it."""
    title = HTTPStatus(status).phrase
    body = json.dumps({"type": "about:blank", "title": title, "status": status}).encode()
    head = [
        f"HTTP/1.1 {status} {title}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: close",
        f"Content-Type: {JSON_TYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
    ]
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
