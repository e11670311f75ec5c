"""Access to a web server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mezcal.http import trace_headers
from mezcal.origin.access.credential import authorization
from mezcal.origin.responses import check_status

if TYPE_CHECKING:
    from mezcal.http import HttpRequest, HttpResponse
    from mezcal.origin.access.addresses import Addresses
    from mezcal.settings import Settings


class WebAccess:
    """A web server with the credential of AUTH_TYPE."""

    explained_by_get: frozenset[int] = frozenset()

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
