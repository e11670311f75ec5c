"""Streamed requests with time-outs, checked redirects and a trusted CA bundle.

The transport adapter of `requests` is used without its Session. A Session reads ~/.netrc and proxy variables, keeps
cookies, and reads the whole body of a redirect. None of that may happen with a repository's credential.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, RemoteDisconnected
from pathlib import Path
from typing import Any, Self

from requests import Request
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ConnectTimeout, ReadTimeout, RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError, ReadTimeoutError

from mezcal.http.content_coding import decoded
from mezcal.http.errors import (
    BodyInterrupted,
    BodyTooLarge,
    DeadlineExceeded,
    InvalidUrl,
    MalformedResponse,
    RedirectRefused,
    RequestFailed,
    RequestTimedOut,
    TooManyRedirects,
)
from mezcal.http.urls import has_user, normalise_url, resolve_redirect, server_of
from mezcal.settings import WrongSetting

CHUNK_BYTES = 256 * 1024  # the most that is in memory between the socket and the reader
REDIRECTS_MAX = 5
REDIRECT_STATUSES = {301, 302, 303, 307, 308}
DEFAULT_HEADERS = {"User-Agent": "mezcal/2", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "keep-alive"}

RedirectPolicy = Callable[[str, str], bool]  # may a response from the first URL send us to the second?
Translation = Callable[[str], str]  # the URL at which the target of a redirect is asked
Observer = Callable[[str], None]  # gets each request's outcome: its HTTP status, `timeout` or `unreachable`


def ignore_outcome(_outcome: str) -> None:
    """Count nothing: the observer of requests that are not counted."""


def same_url(url: str) -> str:
    """Returns *url*: the translation of redirects that are followed as they are."""
    return url


def no_authorization() -> str | None:
    """Returns None: the credential of requests that carry none."""
    return None


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a whole exchange must have ended: *at* on the monotonic clock, *seconds* after it began."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline *seconds* from now."""
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Return the seconds left. Raises `DeadlineExceeded` if there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise self.exceeded()
        return left

    def has_passed(self) -> bool:
        """Return True if no time is left."""
        return time.monotonic() >= self.at

    def exceeded(self) -> DeadlineExceeded:
        """Return the failure of an exchange that took too long."""
        return DeadlineExceeded(f"took longer than {self.seconds:g} s")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request.

    *authorization* returns the value of the Authorization header. It and *own_headers* are sent only to the scheme,
    host and port of *url*, never to another server that a redirect leads to. Without *may_redirect* a redirect is
    returned like any other response; with it, the target of a redirect is first translated by *translate*.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: Callable[[], str | None] = field(default=no_authorization, repr=False)
    own_headers: Mapping[str, str] = field(default_factory=dict)
    may_redirect: RedirectPolicy | None = None
    translate: Translation = same_url
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response whose body has not been read. Close it in every case."""

    status: int
    headers: Mapping[str, str]
    raw: Any = field(repr=False)  # urllib3's response: requests declares no narrower type
    deadline: Deadline

    def chunks(self, add_coded: Callable[[bytes], None] | None = None) -> Iterator[bytes]:
        """Yield the body as it arrives, with a content coding undone. *add_coded* gets the bytes as they were sent.

        Raises `RequestTimedOut`, `DeadlineExceeded`, or `RequestFailed` if the connection breaks before the end.
        """
        for piece in decoded(self._raw_chunks(add_coded), self.headers.get("Content-Encoding", "")):
            yield piece
            self.deadline.remaining()

    @property
    def is_delimited(self) -> bool:
        """True if the response says where its body ends; else the end of the connection is the end (RFC 9112, 6.3)."""
        codings = self.headers.get("Transfer-Encoding", "").lower()
        return "chunked" in codings or self.headers.get("Content-Length", "").strip().isdigit()

    def read(self, limit: int) -> bytes:
        """Return the body. Raises as `chunks`, and `BodyTooLarge` if it has more than *limit* bytes."""
        body = bytearray()
        for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise BodyTooLarge(f"sent more than {limit:,} bytes")
        return bytes(body)

    def _raw_chunks(self, add_coded: Callable[[bytes], None] | None) -> Iterator[bytes]:
        while chunk := self._read_chunk():
            if add_coded is not None:
                add_coded(chunk)
            yield chunk

    def _read_chunk(self) -> bytes:
        try:
            return self.raw.read1(CHUNK_BYTES, decode_content=False)  # type: ignore[no-any-return]
        except ReadTimeoutError as error:
            self.deadline.remaining()
            raise RequestTimedOut("stopped sending in the middle of the body") from error
        except (HTTPError, OSError, ValueError) as error:  # ValueError: `shut_down` was called during the read
            raise BodyInterrupted("closed the connection in the middle of the body") from error

    def shut_down(self) -> None:
        """End a read that runs in another thread."""
        with suppress(ValueError, RuntimeError, OSError):  # the body was read to its end: there is nothing to end
            self.raw.shutdown()

    def close(self) -> None:
        """Return the connection to the pool if the body was read to its end, else close it."""
        self.raw.close()


class HttpClient:
    """Sends requests. Threads may share it, and it may be created before a process forks.

    It sends no cookie, uses no proxy and reads no ~/.netrc. *observer* gets the outcome of each request.
    """

    def __init__(
        self, connect_timeout: float, read_timeout: float, *, pool_size: int = 10, observer: Observer = ignore_outcome
    ) -> None:
        self._connect_timeout, self._read_timeout = connect_timeout, read_timeout
        self._pool_size = pool_size
        self._observer = observer
        self._ca_bundle = ca_bundle()
        self._adapter_of_process: tuple[int, HTTPAdapter] | None = None

    def send(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        """Send *request*, follow the redirects that its policy allows, and return the response.

        Raises the `RequestFailed` that says why there is none.
        """
        url = checked_url(request.url)
        first = server_of(url)
        for _ in range(REDIRECTS_MAX + 1):
            headers = {**DEFAULT_HEADERS, **request.headers}
            if server_of(url) == first:
                headers |= own_headers(request)
            response = self._send_once(url, request, headers, deadline)
            if request.may_redirect is None or response.status not in REDIRECT_STATUSES:
                return response
            response.close()
            url = _redirect_target(url, response.headers.get("Location", ""), request)
        raise TooManyRedirects(f"redirects more than {REDIRECTS_MAX} times")

    def _send_once(
        self, url: str, request: HttpRequest, headers: Mapping[str, str], deadline: Deadline
    ) -> HttpResponse:
        prepared = Request(request.method, url, headers=headers, data=request.body).prepare()
        left = deadline.remaining()
        timeout = min(self._connect_timeout, left), min(self._read_timeout, left)
        try:
            response = self._adapter().send(prepared, stream=True, timeout=timeout, verify=self._ca_bundle)
        except (RequestException, HTTPError, OSError) as error:
            self._observer("timeout" if isinstance(error, Timeout) else "unreachable")
            raise self._failure_of(error, deadline) from error
        self._observer(str(response.status_code))
        return HttpResponse(response.status_code, response.headers, response.raw, deadline)

    def _failure_of(self, error: Exception, deadline: Deadline) -> RequestFailed:
        match error:
            case Timeout() if deadline.has_passed():
                return deadline.exceeded()
            case ConnectTimeout():
                return RequestTimedOut(f"accepted no connection within {self._connect_timeout:g} s")
            case ReadTimeout():
                return RequestTimedOut(f"did not answer within {self._read_timeout:g} s")
            case SSLError():
                return RequestFailed("could not be reached over a trusted TLS connection")
            case RequestsConnectionError() if not _is_malformed(error):
                return RequestFailed("cannot be reached, or closed the connection without an answer")
            case _:
                return MalformedResponse("sent an answer that is not HTTP")

    def _adapter(self) -> HTTPAdapter:
        """Return the connection pool of this process. A forked child must not use its parent's connections."""
        if self._adapter_of_process is None or self._adapter_of_process[0] != os.getpid():
            self._adapter_of_process = os.getpid(), HTTPAdapter(pool_maxsize=self._pool_size)
        return self._adapter_of_process[1]


def _is_malformed(error: RequestsConnectionError) -> bool:
    """Return True if the server answered, but not in HTTP: urllib3 passes that on as one of its arguments."""
    causes = getattr(error.args[0], "args", ()) if error.args else ()
    return any(isinstance(cause, HTTPException) and not isinstance(cause, RemoteDisconnected) for cause in causes)


def own_headers(request: HttpRequest) -> dict[str, str]:
    """Returns the headers that only the server of the request's own URL may get."""
    credential = request.authorization()
    return dict(request.own_headers) | ({"Authorization": credential} if credential else {})


def _redirect_target(url: str, location: str, request: HttpRequest) -> str:
    target = resolve_redirect(url, location) if location else None
    if target is None:
        raise InvalidUrl("redirects to something that is not an HTTP URL")
    target = request.translate(target)
    if has_user(target) or request.may_redirect is None or not request.may_redirect(url, target):
        raise RedirectRefused(target)
    return target


def ca_bundle() -> str | bool:
    """Return the file of a private CA, or True for the public CAs.

    REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE are all that is read from the environment. Raises `WrongSetting` if the
    file does not exist.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if name := os.environ.get(variable):
            if not Path(name).exists():
                raise WrongSetting(f"{variable} names {name}, which does not exist")
            return name
    return True


def checked_url(url: str) -> str:
    """Return *url* as it will be sent. Raises `InvalidUrl` if it is not http(s) or contains a user name."""
    normalised = normalise_url(url)
    if normalised is None or has_user(normalised):
        raise InvalidUrl("is not at an http(s) URL without a user name")
    return normalised
