"""Finds hits that are stale, and has them compared with their masters. The hit itself does not wait for that.

A worker asks a repository. A file of a folder is compared here, by the thread that else asks the worker: most files are
unchanged, and need no message and no new sidecar.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown, Failure, StoreDown
from mezcal.ingest.revalidation import RevalidationResult, is_outdated
from mezcal.jobs import Lane
from mezcal.origin import FolderOrigin, MasterStatus
from mezcal.recipe import Mezzanine
from mezcal.store.local.layout import sidecar_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mezcal.jobs import Jobs
    from mezcal.origin import Origin
    from mezcal.recipe import Recipe
    from mezcal.store import Store, Stored

log = logging.getLogger(__name__)

STALE_SECONDS = 5.0  # for which a stale image is known to be stale; then its sidecar is checked again
KNOWN_MAX = 4096  # images whose age is remembered
REQUESTS_MAX = 1000  # waiting revalidations; past it, the next hit or the worker's walk through the store asks again
DUE_SECONDS = 1.0  # between two looks for images that have become stale since they were requested
FILE_SECONDS = 0.005  # of rest after each comparison with a file: at most 200 in a second
CHANGED_ONCE_IN = 10  # seconds for which a changed file is not reported again


class Freshness:
    """Knows the ages of stored derivatives by the times of their sidecars, and remembers them in memory.

    *after* returns REVALIDATE_AFTER of a master's origin, in seconds, by the master's path. *versions* are those of
    derivatives made with the settings of now, by the names of their profiles.
    """

    def __init__(
        self, after: Callable[[str], float], jobs: Jobs, store: Store, origin: Origin, versions: Mapping[str, str]
    ) -> None:
        self._after = after
        self._versions = versions
        self._jobs = jobs
        self._store = store
        self._origin = origin
        self._has_folders = any(isinstance(member.origin, FolderOrigin) for member in origin.members)
        self._known: dict[Stored, tuple[float, bool | None]] = {}  # valid until; whether it is stale, None for never
        self._requests: queue.Queue[tuple[Stored, Mezzanine]] = queue.Queue(REQUESTS_MAX)
        self._requested: dict[Stored, Mezzanine] = {}  # while fresh: to be compared when they no longer are
        self._pid = 0

    def is_stale(self, stored: Stored, recipe: Recipe) -> bool:
        """Return True if *stored* was last found fresh longer than REVALIDATE_AFTER ago, and request a revalidation.

        A thumbnail is never stale: its key has the versions of its frames. Neither is an image without a sidecar, as
        umd-lib/mezcal made them: nothing is known of its master at that time.
        """
        after = self._after(recipe.path) if isinstance(recipe, Mezzanine) else 0
        if not after or not isinstance(recipe, Mezzanine):
            return False
        now = time.time()
        valid_until, stale = self._known.get(stored, (0.0, False))
        if now >= valid_until:
            valid_until, stale = self._check(stored, after, now)
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            self._known[stored] = valid_until, stale
            if stale:
                self._request(stored, recipe)
        if self._has_folders and stale is False and len(self._requested) < KNOWN_MAX:
            self._requested[stored] = recipe
            self._start_thread()
        return bool(stale)

    def _check(self, stored: Stored, after: float, now: float) -> tuple[float, bool | None]:
        """Return until when the answer is valid, and whether *stored* is stale: None if it has no sidecar."""
        fresh = _last_fresh(stored)
        if fresh is None:
            return now + after, None
        fresh_until = fresh + after
        return (fresh_until, False) if now < fresh_until else (now + STALE_SECONDS, True)

    def _request(self, stored: Stored, recipe: Mezzanine) -> None:
        self._start_thread()
        try:
            self._requests.put_nowait((stored, recipe))
        except queue.Full:
            log.debug("too many images are stale at once: %s is revalidated later", recipe.label)

    def _start_thread(self) -> None:
        if self._pid != os.getpid():  # threads do not survive a fork
            self._pid = os.getpid()
            threading.Thread(target=self._handle_requests, name="freshness", daemon=True).start()

    def _handle_requests(self) -> None:
        while True:
            with suppress(queue.Empty):
                self._handle(*self._requests.get(timeout=DUE_SECONDS))
            self.handle_due(time.time())

    def handle_due(self, now: float) -> None:
        """Compare the images with their files that were requested while fresh and are not any more.

        So the only request after a change is enough, even if it came too soon to notice it.
        """
        for stored, recipe in list(self._requested.items()):
            if self._known.get(stored, (0.0, False))[0] <= now:
                self._requested.pop(stored, None)
                self._handle(stored, recipe)

    def _handle(self, stored: Stored, recipe: Mezzanine) -> None:
        try:
            result = self._compare(recipe)
            if result is RevalidationResult.UNCHANGED:
                self._known[stored] = time.time() + self._after(recipe.path), False
            elif result is RevalidationResult.CHANGED:
                self._jobs.request_revalidation(recipe, CHANGED_ONCE_IN, Lane.INTERACTIVE)
            else:  # after a change of the settings all images are outdated: they do not compete with clients who wait
                self._jobs.request_revalidation(recipe)
        except (BrokerDown, StoreDown) as error:
            log.warning("%s could not be revalidated: %s", recipe.label, error)
        except Failure as error:  # the folder is away: a line for each image would be too many
            log.debug("%s could not be revalidated: %s", recipe.label, error)
            self._known[stored] = time.time() + self._after(recipe.path), True

    def _compare(self, recipe: Mezzanine) -> RevalidationResult | None:
        """Return whether the file or the settings have changed since; a file that is gone has changed.

        Returns None if the master is no file.
        """
        member, path = self._origin.of_path(recipe.path)
        if not isinstance(member.origin, FolderOrigin):
            return None
        time.sleep(FILE_SECONDS)
        sidecar = self._store.sidecar(recipe)
        if sidecar is None:
            return RevalidationResult.CHANGED
        status = member.origin.revalidate(path, sidecar.master_etag, sidecar.master_last_modified)
        if status is not MasterStatus.UNCHANGED:
            return RevalidationResult.CHANGED
        outdated = is_outdated(sidecar, self._versions.get(recipe.profile.name))
        return RevalidationResult.OUTDATED if outdated else RevalidationResult.UNCHANGED


def _last_fresh(stored: Stored) -> float | None:
    """Return when *stored* was last found fresh, None if it has no sidecar."""
    if stored.fresh is not None or stored.tag is not None:  # of a bucket, which has no files
        return stored.fresh
    try:
        return os.stat(stored.path.with_name(sidecar_name(stored.path.name))).st_mtime  # noqa: PTH116 - hit path
    except OSError:
        return None
