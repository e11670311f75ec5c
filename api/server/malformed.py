"""Requests that nginx refuses as malformed: the API refuses them, too, so that both give the same answer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import BadRequest

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from flask import Flask

NOT_IN_HOST = re.compile(r"[\x00-\x20/\x7f]|\.\.")
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
BAD_HOST = "the header Host is missing, empty or malformed"
BAD_PATH = "the path has a % that is not followed by two hex digits: write %25 for a % itself"


def register(app: Flask) -> None:
    """Have *app* answer malformed requests with 400."""

    @app.before_request
    def _refuse() -> None:
        if fault := fault_of(request.environ):
            raise BadRequest(fault)


def fault_of(environ: WSGIEnvironment) -> str | None:
    """Return what is malformed in the request, None if nothing is."""
    host = environ.get("HTTP_HOST")
    if not (_may_lack_host(environ) if host is None else _is_host(host)):
        return BAD_HOST
    path = environ.get("RAW_URI", "").partition("?")[0]
    return BAD_PATH if "%" in path and BAD_ESCAPE.search(path) else None


def _may_lack_host(environ: WSGIEnvironment) -> bool:
    """Return True for HTTP/1.0, also if a proxy such as nginx has received it."""
    return environ["SERVER_PROTOCOL"] == "HTTP/1.0" or str(environ.get("HTTP_VIA", "")).startswith("1.0 ")


@lru_cache(256)
def _is_host(host: str) -> bool:
    name = host if host.startswith("[") else host.partition(":")[0]
    return bool(name.rstrip(".")) and not NOT_IN_HOST.search(host)
