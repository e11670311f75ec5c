"""The addresses of an origin, and what an access to it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from mezcal.origin import urls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.http import HttpRequest, HttpResponse
    from mezcal.origin.fixity import Digest


@dataclass(frozen=True, slots=True)
class Addresses:
    """The two addresses of one origin: masters are named by *public*, and asked for at *internal*.

    Both end with a slash. They are the same unless REPO_INTERNAL_URL is set, or the origin is a bucket. In URLs that
    are requested, all but *unescaped* and the unreserved characters is percent-encoded.
    """

    public: str
    internal: str
    unescaped: str = urls.PCHAR

    def url_of(self, path: str) -> str:
        """Return the URL at which the master at *path* is requested."""
        return urls.join(self.internal, path, self.unescaped)

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


class OriginAccess(Protocol):
    """Access to one origin. *explained_by_get* are the statuses of a HEAD whose reason only a GET's body has.

    *digest_request* are the headers that ask for the digest of a whole master.
    """

    addresses: Addresses
    explained_by_get: frozenset[int]
    digest_request: Mapping[str, str]

    def prepare(self, request: HttpRequest, /) -> HttpRequest:
        """Return *request*, which leads to the internal address, with all that this server alone may get.

        Raises a `Failure` if there is no credential.
        """

    def digest_in(self, headers: Mapping[str, str], /) -> Digest | None:
        """Return the digest of the whole master that the *headers* of a response declare, None if there is none."""

    def check(self, response: HttpResponse, /, *, ranged: bool) -> None:
        """Raise unless *response* brings a master, or a part of it if it is *ranged*: `TransientFailure`, `Failure`."""
