"""The objects of a bucket as masters."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mezcal.errors import Failure
from mezcal.http import ignore_outcome
from mezcal.origin.bucket.access import BucketAccess
from mezcal.origin.bucket.listing import BucketListing
from mezcal.origin.growing_file import free_nothing
from mezcal.origin.repository import OriginRepository
from mezcal.origin.retries import RetryBudget

if TYPE_CHECKING:
    from mezcal.http import Observer
    from mezcal.origin.growing_file import FreeSpaceCallback
    from mezcal.settings import Settings

SHOWN_SECONDS = 60.0  # for which one list of masters is shown: visitors of the home page cost the bucket nothing
SHOWN_MAX = 100
LIST_SECONDS = 5.0  # a page waits for that list

logger = logging.getLogger(__name__)


class BucketOrigin(OriginRepository):
    """The objects under REPO_BASE_URL, `s3://bucket/prefix/`. They are requested as those of a web server, signed."""

    def __init__(
        self, settings: Settings, observer: Observer = ignore_outcome, free_space: FreeSpaceCallback = free_nothing
    ) -> None:
        access = BucketAccess(settings)
        super().__init__(access, settings, observer, free_space)
        self.listing = BucketListing(access, self._client, self.downloads.new_budget)
        self._quick_listing = BucketListing(access, self._client, lambda: RetryBudget(0, LIST_SECONDS))
        self._shown: tuple[list[str], float] = [], 0.0  # the first masters, and until when they are shown

    def conditions(self, etag: str | None, last_modified: str | None) -> dict[str, str]:
        """Return the headers for these validators: one alone, since object stores do not all let the entity tag decide.

        With both, an object that was replaced within a second counts as unchanged at some of them.
        """
        return super().conditions(etag, None if etag else last_modified)

    def list_paths(self, most: int) -> list[str]:
        """Return the first masters in the order of their keys, as they were a minute ago at most; none in an outage."""
        paths, until = self._shown
        if time.monotonic() >= until:
            self._shown = paths, time.monotonic() + SHOWN_SECONDS  # other threads need not ask, too
            try:
                paths = self._quick_listing.first_paths(SHOWN_MAX)
            except Failure as failure:
                logger.warning("the bucket cannot be listed for the home page: %s", failure.detail)
            self._shown = paths, time.monotonic() + SHOWN_SECONDS
        return paths[:most]
