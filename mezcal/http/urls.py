"""What a URL leads to: it is checked in exactly the form in which it is sent."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urljoin

from requests import PreparedRequest
from requests.exceptions import RequestException
from urllib3.util import parse_url

DEFAULT_PORTS = {"http": 80, "https": 443}


class Server(NamedTuple):
    """What a credential belongs to. Two servers are the same only if all three parts are."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def normalise_url(url: str) -> str | None:
    """Return *url* exactly as it will be sent, so that the URL that is checked is the URL that is used.

    Returns None if it is not an HTTP URL.
    """
    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
        if request.url is None or server_of(request.url).scheme not in DEFAULT_PORTS:
            return None
    except (RequestException, ValueError):
        return None
    return request.url


def server_of(url: str) -> Server:
    """Return the server that a normalised *url* leads to."""
    parts = parse_url(url)
    scheme = parts.scheme or ""
    return Server(scheme, (parts.host or "").lower(), parts.port or DEFAULT_PORTS.get(scheme, 0))


def has_user(url: str) -> bool:
    """Return True if *url* contains a user name or password."""
    return parse_url(url).auth is not None


def resolve_redirect(url: str, location: str) -> str | None:
    """Return the URL that a response from *url* with this Location header leads to, None if it is not HTTP."""
    with suppress(UnicodeError):  # headers are read as Latin-1, and many contain UTF-8
        location = location.encode("latin-1").decode("utf-8")
    try:
        return normalise_url(urljoin(url, location))
    except ValueError:
        return None
