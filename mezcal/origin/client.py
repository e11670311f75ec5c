"""Requests to the origin: the redirects it may make, and what each failure means for a master."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
)
from mezcal.origin import urls
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mezcal.http import Observer
    from mezcal.origin.access import OriginAccess
    from mezcal.origin.retries import RetryBudget
    from mezcal.settings import Settings


class OriginClient:
    """Sends requests to one origin. Threads may share it, and it may be created before a process forks.

    What *access* adds is sent to the server of the internal address alone. *observer* gets the outcome of each request.
    """

    def __init__(self, access: OriginAccess, settings: Settings, observer: Observer = ignore_outcome) -> None:
        self._access = access
        self._home = server_of(access.addresses.internal)
        self._allowed_hosts = frozenset(host.lower() for host in settings.origin_redirect_hosts)
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
                self._access.check(response, ranged="Range" in request.headers)
        except Exception:
            response.close()
            raise
        return response

    def _send(self, request: HttpRequest, budget: RetryBudget) -> HttpResponse:
        url = normalise_url(request.url)
        request = replace(request, may_redirect=self._may_redirect, translate=self._access.addresses.internal_of)
        if url and server_of(url) == self._home:
            request = self._access.prepare(replace(request, url=url))
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
