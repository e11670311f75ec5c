"""Refusals of what is no request that the application could be asked to answer (RFC 9457)."""

from __future__ import annotations

import json
from email.utils import formatdate
from http import HTTPStatus

from gunicorn.http import errors

from api.responses.problems import JSON_TYPE

OWN_FAULTS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName, errors.ConfigurationProblem)
STATUSES = {
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
}


def status_of(error: BaseException) -> int:
    """The status that *error* means, as gunicorn has it: 500 for what is no fault of the client's."""
    if isinstance(error, OWN_FAULTS) or not isinstance(error, errors.ParseException):
        return 500
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 400)


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
