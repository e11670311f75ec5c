"""Access to a web server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mezcal.http import trace_headers
from mezcal.origin.access.credential import authorization
from mezcal.origin.fixity.headers import WANT_REPR_DIGEST, http_digest
from mezcal.origin.responses import check_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.http import HttpRequest, HttpResponse
    from mezcal.origin.access.addresses import Addresses
    from mezcal.origin.fixity import Digest
    from mezcal.settings import Settings


class WebAccess:
    """A web server with the credential of AUTH_TYPE."""

    explained_by_get: frozenset[int] = frozenset()
    digest_request: Mapping[str, str] = WANT_REPR_DIGEST

    def __init__(self, addresses: Addresses, settings: Settings) -> None:
        self.addresses = addresses
        self._authorization = authorization(settings)
        self._denied = settings.origin_denied_status

    def prepare(self, request: HttpRequest) -> HttpRequest:
        """Return *request* with the credential, and the headers that name the public address."""
        own = self.addresses.forwarded_headers | trace_headers()
        return replace(request, authorization=self._authorization, own_headers=own)

    def check(self, response: HttpResponse, *, ranged: bool) -> None:
        """Raise unless the status of *response* is that of a master."""
        check_status(response.status, response.headers, ranged=ranged, denied=self._denied)

    def digest_in(self, headers: Mapping[str, str]) -> Digest | None:
        """Return the digest of the whole master that *headers* declare, None if there is none."""
        return http_digest(headers)
