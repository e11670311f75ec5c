"""Requests to the origin: the credential, the redirects it may make, and what each failure means for a master."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mezcal.errors import (
    Failure,
    MasterIncomplete,
    OriginFailed,
    OriginRedirectRefused,
    OriginTimeout,
    UnusableResponse,
)
from mezcal.http import (
    BodyInterrupted,
    DeadlineExceeded,
    HttpClient,
    HttpRequest,
    HttpResponse,
    InvalidUrl,
    MalformedResponse,
    RedirectRefused,
    RequestFailed,
    RequestTimedOut,
    TooManyRedirects,
    ignore_outcome,
    normalise_url,
    server_of,
    trace_headers,
)
from mezcal.origin import urls
from mezcal.origin.credential import authorization
from mezcal.origin.responses import check_status
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mezcal.http import Observer
    from mezcal.origin.retries import RetryBudget
    from mezcal.settings import Settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """The two addresses of one origin: masters are named by *public*, and asked for at *internal*.

    Both end with a slash. They are the same unless REPO_INTERNAL_URL is set.
    """

    public: str
    internal: str

    @property
    def forwarded_headers(self) -> dict[str, str]:
        """The headers by which an origin that is asked at its internal address knows its public one."""
        if self.public == self.internal:
            return {}
        parts = urlsplit(self.public)
        return {"X-Forwarded-Host": parts.netloc, "X-Forwarded-Proto": parts.scheme}

    def internal_of(self, url: str) -> str:
        """Returns the address at which the public *url* is asked; *url* itself if it is not under the public one."""
        if self.public == self.internal or not url.startswith(self.public):
            return url
        return self.internal + url.removeprefix(self.public)


class OriginClient:
    """Sends requests to one origin. Threads may share it, and it may be created before a process forks.

    The credential is sent to the server of the internal address alone. *observer* gets the outcome of each request.
    """

    def __init__(self, addresses: Addresses, settings: Settings, observer: Observer = ignore_outcome) -> None:
        self._addresses = addresses
        self._home = server_of(addresses.internal)
        self._allowed_hosts = frozenset(host.lower() for host in settings.origin_redirect_hosts)
        self._authorization = authorization(settings)
        self._denied = settings.origin_denied_status
        self._http = HttpClient(settings.origin_connect_timeout, settings.origin_read_timeout, observer=observer)

    def get(self, url: str, budget: RetryBudget, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """Return the response that brings the master at *url*.

        Raises `TransientFailure`, or the failure that the status means.
        """
        return self.send(HttpRequest(url, headers=headers or {}), budget)

    def send(self, request: HttpRequest, budget: RetryBudget, accepted: frozenset[int] = frozenset()) -> HttpResponse:
        """Return the response to *request* as `get` does; the statuses in *accepted* are returned, too."""
        response = self._send(request, budget)
        try:
            if response.status not in accepted:
                ranged = "Range" in request.headers
                check_status(response.status, response.headers, ranged=ranged, denied=self._denied)
        except Exception:
            response.close()
            raise
        return response

    def _send(self, request: HttpRequest, budget: RetryBudget) -> HttpResponse:
        url = normalise_url(request.url)
        request = replace(request, may_redirect=self._may_redirect, translate=self._addresses.internal_of)
        if url and server_of(url) == self._home:
            own = self._addresses.forwarded_headers | trace_headers()
            request = replace(request, authorization=self._authorization, own_headers=own)
        try:
            return self._http.send(request, budget.deadline)
        except RequestFailed as failed:
            raise _origin_failure(failed, budget) from failed

    def _may_redirect(self, url: str, target: str) -> bool:
        return urls.may_redirect(self._home, url, target, self._allowed_hosts)


def read_chunks(response: HttpResponse, budget: RetryBudget) -> Iterator[bytes]:
    """Yield the master's bytes as they arrive. Raises `TransientFailure` if they stop before the end."""
    try:
        yield from response.chunks()
    except RequestFailed as failed:
        raise _origin_failure(failed, budget) from failed


def _origin_failure(failed: RequestFailed, budget: RetryBudget) -> Failure | TransientFailure:
    detail = f"the repository {failed}"
    match failed:
        case DeadlineExceeded():
            return budget.too_slow()
        case RedirectRefused():
            return OriginRedirectRefused(
                f"the repository redirects to {failed.server}, which is neither its own nor in ORIGIN_REDIRECT_HOSTS"
            )
        case TooManyRedirects() | InvalidUrl():
            return UnusableResponse(detail)
    return TransientFailure(_failure_after_retries(failed)(detail))


def _failure_after_retries(failed: RequestFailed) -> type[Failure]:
    match failed:
        case RequestTimedOut():
            return OriginTimeout
        case MalformedResponse():
            return UnusableResponse
        case BodyInterrupted():
            return MasterIncomplete
    return OriginFailed
