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
from mezcal.origin.fixity.check import compare
from mezcal.origin.fixity.digest import digest_of
from mezcal.origin.fixity.headers import part_digest
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mezcal.http import Observer
    from mezcal.origin.access import OriginAccess
    from mezcal.origin.fixity import Digest
    from mezcal.origin.retries import RetryBudget
    from mezcal.settings import Settings


class OriginClient:
    """Sends requests to one origin. Threads may share it, and it may be created before a process forks.

    What *access* adds is sent to the server of the internal address alone, and no redirect may lead there below one of
    the *foreign* URLs, which are those of other origins. *observer* gets the outcome of each request.
    """

    def __init__(
        self,
        access: OriginAccess,
        settings: Settings,
        observer: Observer = ignore_outcome,
        foreign: Sequence[str] = (),
    ) -> None:
        self._access = access
        self._home = server_of(access.addresses.internal)
        self._foreign = tuple(foreign)
        self._allowed_hosts = frozenset(host.lower() for host in settings.origin_redirect_hosts)
        self._digests = settings.origin_digests
        self._http = HttpClient(settings.origin_connect_timeout, settings.origin_read_timeout, observer=observer)

    def get(self, url: str, budget: RetryBudget, headers: Mapping[str, str] | None = None) -> HttpResponse:
        """Return the response that brings the master at *url*.

        Raises `TransientFailure`, or the failure that the status means.
        """
        return self.send(HttpRequest(url, headers=headers or {}), budget)

    @property
    def asks_for_digests(self) -> bool:
        """True if ORIGIN_DIGESTS says that the origin is asked for digests."""
        return self._digests == "ask"

    @property
    def digest_request(self) -> Mapping[str, str]:
        """The headers that ask for the digest of a whole master, none if ORIGIN_DIGESTS forbids it."""
        return self._access.digest_request if self.asks_for_digests else {}

    def digest_in(self, response: HttpResponse) -> Digest | None:
        """Return the digest of the whole master that *response* declares, None if none is, or ORIGIN_DIGESTS is off.

        None, too, if a proxy has changed the master (203; RFC 9110, 15.3.4).
        """
        ignored = self._digests == "off" or response.status == 203
        return None if ignored else self._access.digest_in(response.headers)

    def check_part(self, response: HttpResponse, data: bytes) -> None:
        """Raise `MasterDamaged` if *response* declares another digest of the part *data* that it brought."""
        declared = None if self._digests == "off" else part_digest(response.headers)
        if declared is not None:
            compare(declared, [digest_of(data, declared.algorithm)])

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
            if isinstance(failed, RequestTimedOut) and not budget.repeats_timeouts:
                raise OriginTimeout(f"the repository {failed}") from failed
            raise _origin_failure(failed, budget) from failed

    def _may_redirect(self, url: str, target: str) -> bool:
        if server_of(target) == self._home and self._is_foreign(target):
            return False
        return urls.may_redirect(self._home, url, target, self._allowed_hosts)

    def _is_foreign(self, target: str) -> bool:
        """Return True if *target* may be a master of another origin on the same server.

        It must not get the credential. So it counts how the server reads the URL, and that is not known.
        """
        own = (self._access.addresses.public, self._access.addresses.internal)
        simplified = [urls.simplified(url) for url in (target, *own, *self._foreign)]
        return _is_nearer(target, own, self._foreign) or _is_nearer(simplified[0], simplified[1:3], simplified[3:])


def _is_nearer(url: str, own: Sequence[str], foreign: Sequence[str]) -> bool:
    """Return True if *url* is below one of *foreign*, and that is longer than those of *own* that it is below."""
    longest = max((len(base) for base in own if urls.is_below(base, url)), default=0)
    return any(urls.is_below(base, url) and len(base) > longest for base in foreign)


def read_chunks(
    response: HttpResponse, budget: RetryBudget, add_coded: Callable[[bytes], None] | None = None
) -> Iterator[bytes]:
    """Yield the master's bytes as they arrive. Raises `TransientFailure` if they stop before the end.

    *add_coded* gets the bytes as they were sent, before a content coding is undone.
    """
    try:
        yield from response.chunks(add_coded)
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
