"""A manifest over HTTP or from a file, within bounds of size, time and redirects.

No credential is ever sent: not the repository's, none of ~/.netrc, no cookie. Whoever starts the command says
where the first document is; that one's members may only lie on the same host, or on those that were named: a
collection shall not be able to point into the operator's own network.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from requests import Request
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from mezcal.origin import trusted_authorities

if TYPE_CHECKING:
    from requests import Response

BYTES_MAX = 64 * 2**20  # a newspaper's volume of ten thousand canvases has some 30 MB
SECONDS_MAX = 60.0  # for one document
CONNECT_SECONDS = 10.0
REDIRECTS_MAX = 5
PIECE = 64 * 1024
ASKED = {
    "User-Agent": "mezcal/2",
    "Accept": 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json", application/json;q=0.9, '
    "*/*;q=0.1",
    "Accept-Encoding": "identity",
}


class Unread(Exception):
    """A document could not be read."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """Fetches documents; *hosts* are those that members may be on besides the first document's own."""

    hosts: frozenset[str] = frozenset()
    bytes_max: int = BYTES_MAX
    seconds_max: float = SECONDS_MAX
    adapter: HTTPAdapter = field(default_factory=HTTPAdapter)

    def document(self, url: str, began_at: str) -> Any:
        """The JSON at *url*, which a document at *began_at* led to; raises `Unread` with the reason."""
        if "://" not in began_at and url == began_at:
            return parsed(self._file(url))
        if url != began_at:
            self._check_host(url, began_at)
        return parsed(self._fetched(url, began_at))

    def _file(self, name: str) -> bytes:
        try:
            with Path(name).open("rb") as file:
                body = file.read(self.bytes_max + 1)
        except OSError as error:
            raise Unread(f"the file cannot be read: {error.strerror}") from error
        return self._bounded(body)

    def _fetched(self, url: str, began_at: str) -> bytes:
        deadline = time.monotonic() + self.seconds_max
        for _ in range(REDIRECTS_MAX + 1):
            try:
                answer = self._asked(url, deadline)
                try:
                    location = answer.headers.get("Location", "") if answer.is_redirect else None
                    if location is None:
                        return self._body(answer, deadline)
                finally:
                    answer.close()
            except (RequestException, HTTPError, OSError, ValueError) as error:
                raise Unread(f"it cannot be fetched: {type(error).__name__}") from error
            url = urljoin(url, location)
            self._check_host(url, began_at)
        raise Unread(f"it is redirected more than {REDIRECTS_MAX} times")

    def _asked(self, url: str, deadline: float) -> Response:
        if urlsplit(url).scheme not in {"http", "https"} or urlsplit(url).username is not None:
            raise Unread("it is no http(s) URL without user name")
        left = max(deadline - time.monotonic(), 0.1)
        request = Request("GET", url.partition("#")[0], headers=ASKED).prepare()
        timeout = min(CONNECT_SECONDS, left), left
        return self.adapter.send(request, stream=True, timeout=timeout, verify=trusted_authorities())

    def _body(self, answer: Response, deadline: float) -> bytes:
        if answer.status_code != 200:
            raise Unread(f"it is answered {answer.status_code}")
        body = bytearray()
        while piece := answer.raw.read1(PIECE, decode_content=True):
            body += piece
            self._bounded(body)
            if time.monotonic() > deadline:
                raise Unread(f"it takes longer than {self.seconds_max:g} s")
        return bytes(body)

    def _bounded(self, body: bytes | bytearray) -> bytes:
        if len(body) > self.bytes_max:
            raise Unread(f"it has more than {self.bytes_max:,} bytes")
        return body  # type: ignore[return-value]

    def _check_host(self, url: str, began_at: str) -> None:
        place = place_of(url)
        if place is None:
            raise Unread("its URL names no host")
        if place != place_of(began_at) and not {place, urlsplit(url).hostname} & self.hosts:
            raise Unread(f"it is on another host, {place}: allow it with --manifest-host {place}")


def place_of(url: str) -> str | None:
    """The host of *url*, with its port if that is no scheme's own."""
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.port in {None, 80, 443} else f"{parts.hostname}:{parts.port}"
    except ValueError:
        return None


def parsed(body: bytes) -> Any:
    """*body* as JSON; raises `Unread`."""
    try:
        return json.loads(body)
    except ValueError as error:
        raise Unread("it is no JSON") from error
