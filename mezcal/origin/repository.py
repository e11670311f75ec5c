"""A repository over HTTP: Fedora, or any server that gives its masters by GET."""

from __future__ import annotations

from contextlib import closing, contextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from mezcal.errors import MasterMissing
from mezcal.http import HttpRequest, ignore_outcome, normalise_url
from mezcal.origin import urls
from mezcal.origin.access import Addresses, WebAccess
from mezcal.origin.client import OriginClient
from mezcal.origin.download import DownloadContext, MasterAddress, open_download
from mezcal.origin.fixity import preferred
from mezcal.origin.fixity.digest_files import digest_files
from mezcal.origin.fixity.requests import DigestRequests
from mezcal.origin.growing_file import free_nothing
from mezcal.origin.master import MasterDescription, MasterStatus, compare_validators
from mezcal.origin.members import OneOrigin
from mezcal.origin.responses import check_no_page
from mezcal.settings import WrongSetting
from mezcal.settings.rules import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mezcal.http import HttpResponse, Observer
    from mezcal.origin.access import OriginAccess
    from mezcal.origin.growing_file import FreeSpaceCallback
    from mezcal.origin.master import Master
    from mezcal.origin.retries import RetryBudget
    from mezcal.settings import Settings

NO_HEAD = frozenset({400, 405, 501})  # the answers of servers without HEAD; they get a GET, and its body is not read
NO_BODY = frozenset({204, 304})


class OriginRepository(OneOrigin):
    """The masters under the public address of *access*, asked for at its internal one.

    Redirects below one of the *foreign* URLs, those of other origins on the same server, are refused. It connects when
    the first master is opened.
    """

    def __init__(
        self,
        access: OriginAccess,
        settings: Settings,
        observer: Observer = ignore_outcome,
        free_space: FreeSpaceCallback = free_nothing,
        foreign: Sequence[str] = (),
    ) -> None:
        self.addresses = access.addresses
        self.base_url = self.addresses.public
        self._no_head = NO_HEAD | access.explained_by_get
        self._client = OriginClient(access, settings, observer, foreign)
        self.downloads = DownloadContext.of(settings, free_space)
        self._digests = DigestRequests(self._client, self.addresses, digest_files(settings), self.downloads.new_budget)

    def impatient(self) -> Self:
        """Return the same origin, with the same connections, whose requests are not repeated after a time-out."""
        impatient = copy(self)
        impatient.downloads = replace(self.downloads, repeats_timeouts=False)
        return impatient

    def list_paths(self, _most: int) -> list[str]:
        """Return nothing: a repository has no list of its masters."""
        return []

    def revalidate(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Ask, by a conditional request (RFC 9110, 13.1), if the master at *path* still has these validators.

        A server that ignores the conditions still sends its validators, and these are compared.
        """
        conditions = self.conditions(etag, last_modified)
        try:
            with closing(self._ask(self.addresses.url_of(path), conditions)) as response:
                if response.status == 304:
                    return MasterStatus.UNCHANGED
                check_no_page(response.headers)
                return compare_validators(response.headers, etag, last_modified)
        except MasterMissing:
            return MasterStatus.GONE

    def conditions(self, etag: str | None, last_modified: str | None) -> dict[str, str]:
        """Return the headers of a request for a master that is not the one with these validators."""
        headers = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        return {name: value for name, value in headers.items() if value}

    def _ask(self, url: str, headers: Mapping[str, str]) -> HttpResponse:
        budget = self.downloads.new_budget()
        head = HttpRequest(url, "HEAD", headers)
        response = self._send(head, budget, NO_BODY | self._no_head)
        if response.status not in self._no_head:
            return response
        response.close()
        return self._send(HttpRequest(url, "GET", headers), budget, NO_BODY)

    def _send(self, request: HttpRequest, budget: RetryBudget, accepted: frozenset[int]) -> HttpResponse:
        return budget.run(lambda: self._client.send(request, budget, accepted))

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """Open the master at *path*. It can be read from its first byte on while the rest is arriving.

        Returns as soon as the origin's response is known to bring a master. Leaving the context ends the download.
        """
        asked, public = self.addresses.url_of(path), urls.join(self.addresses.public, path)
        address = MasterAddress(asked, public, partial(self._digests.late, path))
        with open_download(self._client, address, self.downloads) as master:
            yield master

    def describe(self, path: str) -> MasterDescription:
        """Ask, by a HEAD, what the origin declares of the master at *path*. Raises the origin's failures."""
        with closing(self._ask(self.addresses.url_of(path), self._client.digest_request)) as response:
            check_no_page(response.headers)
            headers, declared = response.headers, self._client.digest_in(response)
            computes = self._digests.computes_digests(response)
        budget = self.downloads.new_budget()
        in_file = self._digests.in_file(path, budget)
        computed = self._digests.computed(path, budget) if computes and in_file is None else None
        known = [digest for digest in (in_file, declared, computed) if digest is not None]
        return MasterDescription(headers.get("ETag"), headers.get("Last-Modified"), _size_in(headers), preferred(known))


def _size_in(headers: Mapping[str, str]) -> int | None:
    """Return the size in the answer to a HEAD. Some servers send 0 there, and the coded size is another one."""
    length = headers.get("Content-Length", "")
    is_plain = headers.get("Content-Encoding", "identity").strip().lower() == "identity"
    return int(length) or None if is_plain and length.isascii() and length.isdigit() else None


def web_access(settings: Settings) -> WebAccess:
    """Return the access to the repository at REPO_BASE_URL, a web server. Raises `WrongSetting`."""
    return WebAccess(addresses_of(settings), settings)


def addresses_of(settings: Settings) -> Addresses:
    """Return the public and the internal address of a web server. Raises `WrongSetting`."""
    public = base_url_in(settings.repo_base_url or "", "REPO_BASE_URL")
    given = settings.repo_internal_url
    return Addresses(public, base_url_in(given, "REPO_INTERNAL_URL") if given else public)


def base_url_in(given: str, variable: str) -> str:
    """Return the URL in *variable* as it will be sent, with its final slash."""
    if "@" in given.split("://", 1)[-1].split("/", 1)[0]:
        raise WrongSetting(
            f"{variable} contains a user name: set REPO_USERNAME and REPO_PASSWORD with AUTH_TYPE=BASIC instead"
        )
    base = normalise_url(given)
    if base is None or "?" in base or "#" in base:
        raise WrongSetting(f"{variable} is {shown(given)}: it may be http(s)://host/path without query or fragment")
    return base.rstrip("/") + "/"
