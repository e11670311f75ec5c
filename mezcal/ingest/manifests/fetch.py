"""Fetches a manifest over HTTP or from a file, within limits of size, time and redirects.

No credential is sent: not the repository's, none of ~/.netrc, no cookie. The operator names the first document. Its
members may only be on the same host, or on hosts that the operator allows: a collection must not be able to lead
into the operator's own network.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mezcal.http import (
    BodyTooLarge,
    Deadline,
    HttpClient,
    HttpRequest,
    RedirectRefused,
    RequestFailed,
    normalise_url,
)

BYTES_MAX = 64 * 2**20  # the volume of a newspaper with ten thousand canvases has some 30 MB
SECONDS_MAX = 60.0  # for one document
CONNECT_SECONDS = 10.0
HEADERS = {
    "Accept": 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json", application/json;q=0.9, '
    "*/*;q=0.1",
}


class DocumentUnreadable(Exception):
    """A document cannot be read. The text is the reason."""


def _new_client() -> HttpClient:
    return HttpClient(CONNECT_SECONDS, SECONDS_MAX)


@dataclass(frozen=True, slots=True)
class DocumentFetcher:
    """Fetches documents. Members may be on the first document's host and on *allowed_hosts*."""

    allowed_hosts: frozenset[str] = frozenset()
    bytes_max: int = BYTES_MAX
    seconds_max: float = SECONDS_MAX
    client: HttpClient = field(default_factory=_new_client)

    def fetch(self, url: str, first_url: str) -> Any:
        """Return the JSON at *url*, which the document at *first_url* led to.

        The first document may be a local file. Raises `DocumentUnreadable`.
        """
        if "://" not in first_url and url == first_url:
            return _parse_json(self._read_file(url))
        if url != first_url:
            self._check_host(url, first_url)
        return _parse_json(self._read_url(url, first_url))

    def _read_file(self, name: str) -> bytes:
        try:
            with Path(name).open("rb") as file:
                body = file.read(self.bytes_max + 1)
        except OSError as error:
            raise DocumentUnreadable(f"the file cannot be read: {error.strerror}") from error
        if len(body) > self.bytes_max:
            raise DocumentUnreadable(self._too_large)
        return body

    def _read_url(self, url: str, first_url: str) -> bytes:
        request = HttpRequest(
            url.partition("#")[0],
            headers=HEADERS,
            may_redirect=lambda _, target: self._is_allowed(target, first_url),
        )
        try:
            with closing(self.client.send(request, Deadline.after(self.seconds_max))) as response:
                if response.status != 200:
                    raise DocumentUnreadable(f"the server answered {response.status}")
                return response.read(self.bytes_max)
        except RedirectRefused as refused:
            self._check_host(refused.target, first_url)
            raise DocumentUnreadable(f"the server {refused}") from refused
        except BodyTooLarge as failed:
            raise DocumentUnreadable(self._too_large) from failed
        except RequestFailed as failed:
            raise DocumentUnreadable(f"the server {failed}") from failed

    @property
    def _too_large(self) -> str:
        return f"it has more than {self.bytes_max:,} bytes"

    def _check_host(self, url: str, first_url: str) -> None:
        host = host_of(url)
        if host is None:
            raise DocumentUnreadable("its URL names no host")
        if not self._is_allowed(url, first_url):
            raise DocumentUnreadable(f"it is on another host, {host}: allow it with --manifest-host {host}")

    def _is_allowed(self, url: str, first_url: str) -> bool:
        host = host_of(url)
        same = host is not None and host in {host_of(first_url), host_of(normalise_url(first_url) or first_url)}
        return same or bool({host, urlsplit(url).hostname} & self.allowed_hosts)


def host_of(url: str) -> str | None:
    """Return the host of *url*, as `host:port` unless the port is 80 or 443. None if there is no host."""
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.port in {None, 80, 443} else f"{parts.hostname}:{parts.port}"
    except ValueError:
        return None


def _parse_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise DocumentUnreadable("it is not JSON") from error
