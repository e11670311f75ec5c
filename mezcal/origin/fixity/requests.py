"""Requests for the digests of masters that did not come with them: for their files, and by `Want-Digest`."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import TYPE_CHECKING

from mezcal.errors import (
    Failure,
    MasterDenied,
    MasterForbidden,
    MasterMissing,
    PageInstead,
    UnusableResponse,
)
from mezcal.http import BodyTooLarge, HttpRequest, RequestFailed
from mezcal.origin.fixity.check import LateDigest
from mezcal.origin.fixity.digest_files import SIZE_MAX, DigestFiles
from mezcal.origin.fixity.headers import WANT_DIGEST, WANTED, is_of_ldp
from mezcal.origin.responses import check_no_page
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.http import HttpResponse
    from mezcal.origin.access import Addresses
    from mezcal.origin.client import OriginClient
    from mezcal.origin.fixity.digest import Digest
    from mezcal.origin.retries import RetryBudget

NO_FILE = (MasterMissing, MasterDenied, MasterForbidden, UnusableResponse, PageInstead)  # of digests: as for a master

logger = logging.getLogger(__name__)


class DigestRequests:
    """Asks one web server or bucket. *files* is where it has the digests, None if it has no files of them."""

    def __init__(
        self,
        client: OriginClient,
        addresses: Addresses,
        files: DigestFiles | None,
        new_budget: Callable[[], RetryBudget],
    ) -> None:
        self._client, self._addresses = client, addresses
        self._files, self._new_budget = files, new_budget

    def late(self, path: str, response: HttpResponse) -> LateDigest | None:
        """Return the digest to be asked for while *response* brings the master at *path*, None if there is none.

        Fedora reads a whole file to compute its digest before it begins to send it. So it is asked beside the
        download, and not by the request that brings the master.
        """
        budget = self._new_budget()
        if self._files is not None:
            return LateDigest(self._files.algorithm, lambda: self.in_file(path, budget), budget)
        if self.computes_digests(response):
            return LateDigest(WANTED, lambda: self.computed(path, budget), budget)
        return None

    def computes_digests(self, response: HttpResponse) -> bool:
        """Return True if the server of *response*, which declares no digest, may compute one when it is asked."""
        return (
            self._client.asks_for_digests and self._client.digest_in(response) is None and is_of_ldp(response.headers)
        )

    def in_file(self, path: str, budget: RetryBudget) -> Digest | None:
        """Return the digest in the file of the master at *path*, None if there is none.

        Raises the failure of an origin that does not answer: it may have the file.
        """
        if self._files is None:
            return None
        files, url = self._files, self._addresses.url_of(self._files.path_for(path))
        try:
            found = files.read(budget.run(lambda: self._content(url, budget)), path)
        except NO_FILE as failure:
            if not isinstance(failure, MasterMissing):
                logger.warning("the digest of %s is not known: %s", path, failure.detail)
            return None
        if found is None:
            logger.warning("%s has no digest of %s", files.path_for(path), path)
        return found

    def _content(self, url: str, budget: RetryBudget) -> bytes:
        with closing(self._client.get(url, budget)) as response:
            check_no_page(response.headers)
            try:
                return response.read(SIZE_MAX)
            except BodyTooLarge as error:
                raise UnusableResponse(f"the file {error}: it is none of digests") from None
            except RequestFailed as error:
                raise TransientFailure(UnusableResponse(f"the repository {error}")) from None

    def computed(self, path: str, budget: RetryBudget) -> Digest | None:
        """Return the digest that the server computes of the master at *path*, None if it does not.

        It is asked once: the server reads the whole file each time, and the job waits for it.
        """
        request = HttpRequest(self._addresses.url_of(path), "HEAD", WANT_DIGEST)
        try:
            with closing(self._client.send(request, budget)) as response:
                found = self._client.digest_in(response)
        except (Failure, TransientFailure) as failure:
            logger.info("the repository computes no digest of %s: %s", path, failure)
            return None
        return found if found is not None and found.algorithm == WANTED else None
