"""Refuses requests with the host name of another site, where the settings say which names mezcal has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import HTTPException

from api.context import context

if TYPE_CHECKING:
    from flask import Flask


class MisdirectedRequest(HTTPException):
    """The `Host` of the request is not one of mezcal's."""

    code = 421
    description = "mezcal has no such host name: PUBLIC_URL or ALLOWED_HOSTS must contain it"


def register(app: Flask) -> None:
    """Refuse the requests of *app* that are for other hosts."""
    app.before_request(_check_host)


def _check_host() -> None:
    if not context().hosts.allow(request.environ.get("HTTP_HOST")):
        raise MisdirectedRequest


def base_url() -> str:
    """Return the beginning of URLs of this service, without a final slash.

    It is empty if PUBLIC_URL is unset and nothing says that the client's `Host` is one of mezcal's: the URL is then
    relative.
    """
    known = context().hosts.know(request.environ.get("HTTP_HOST"))
    return (context().settings.public_url or (request.host_url if known else "")).rstrip("/")
