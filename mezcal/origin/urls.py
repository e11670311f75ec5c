"""URLs of masters: neither a path nor a redirect may lead a request, or a credential, to another server."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from requests import PreparedRequest
from requests.exceptions import RequestException
from urllib3.util import parse_url

PCHAR = "!$&'()*+,;=:@~"  # RFC 3986, 3.3; quote() keeps the unreserved characters by itself
PORTS = {"http": 80, "https": 443}


class Server(NamedTuple):
    """What a credential belongs to: the three parts must all be the same."""

    scheme: str
    host: str
    port: int


def join(base: str, path: str) -> str:
    """The URL of *path* under *base* (which ends with a slash), percent-encoded segment by segment."""
    return base + "/".join(quote(segment, safe=PCHAR) for segment in path.split("/"))


def path_under(base: str, url: str) -> str | None:
    """The decoded path of *url* under *base*, the inverse of `join`; None elsewhere or with a query."""
    try:
        here, there = urlsplit(base), urlsplit(url.strip())
        elsewhere = _place(here) != _place(there) or there.username is not None
    except ValueError:
        return None
    prefix = [unquote(segment) for segment in here.path.split("/")[:-1]]
    segments = [unquote(segment) for segment in there.path.split("/")]
    path = segments[len(prefix) :]
    if elsewhere or there.query or segments[: len(prefix)] != prefix or any("/" in part for part in path):
        return None
    return "/".join(path) or None


def _place(parts: SplitResult) -> tuple[str, str | None, int | None]:
    scheme, host, port = parts.scheme, parts.hostname, parts.port
    return scheme, host, port or PORTS.get(scheme)


def normalised(url: str) -> str | None:
    """*url* exactly as it will be sent: what is checked is what is asked. None if it is no HTTP URL."""
    request = PreparedRequest()
    try:
        request.prepare_url(url, None)
        if request.url is None or server(request.url).scheme not in PORTS:
            return None
    except (RequestException, ValueError):
        return None
    return request.url


def server(url: str) -> Server:
    """The server that a `normalised` URL asks."""
    parts = parse_url(url)
    scheme = parts.scheme or ""
    return Server(scheme, (parts.host or "").lower(), parts.port or PORTS.get(scheme, 0))


def has_user(url: str) -> bool:
    """Whether the URL carries a user name or password."""
    return parse_url(url).auth is not None


def redirected(url: str, location: str) -> str | None:
    """Where an answer from *url* with this Location header sends us; None if that is no HTTP URL."""
    with suppress(UnicodeError):  # headers are read as Latin-1, many hold UTF-8
        location = location.encode("latin-1").decode("utf-8")
    try:
        return normalised(urljoin(url, location))
    except ValueError:
        return None


def may_follow(home: Server, url: str, target: str, allowed: frozenset[str]) -> bool:
    """Whether a redirect from *url* to *target* stays with the origin or the hosts that are *allowed*.

    The origin's own server is scheme, host and port, or https on the same host at its default port. Any other
    port is another service, and needs an entry `host` or `host:port`. From https nothing leads back to http.
    """
    there = server(target)
    if has_user(target) or (server(url).scheme == "https" and there.scheme == "http"):
        return False
    upgraded = Server("https", home.host, 443)
    return there in {home, upgraded} or bool({there.host, f"{there.host}:{there.port}"} & allowed)
