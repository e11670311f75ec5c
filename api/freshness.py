"""Finds hits that are stale, and asks the workers to revalidate them. The hit itself does not wait for that."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from typing import TYPE_CHECKING

from mezcal.errors import Failure
from mezcal.store.local.layout import SIDECAR

if TYPE_CHECKING:
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import Stored

log = logging.getLogger(__name__)

STALE_SECONDS = 5.0  # for which a stale image is known to be stale; then its sidecar is checked again
KNOWN_MAX = 4096  # images whose age is remembered
REQUESTS_MAX = 1000  # waiting revalidations; past it, the next hit or the worker's walk through the store asks again


class Freshness:
    """Knows the ages of stored derivatives by the times of their sidecars, and remembers them in memory."""

    def __init__(self, after: float, jobs: Jobs) -> None:
        self._after = after
        self._jobs = jobs
        self._known: dict[Stored, tuple[float, bool]] = {}  # valid until, and whether the image is stale
        self._requests: queue.Queue[Recipe] = queue.Queue(REQUESTS_MAX)
        self._pid = 0

    def is_stale(self, stored: Stored, recipe: Recipe) -> bool:
        """Return True if *stored* was last found fresh longer than REVALIDATE_AFTER ago, and request a revalidation."""
        if not self._after:
            return False
        now = time.time()
        valid_until, stale = self._known.get(stored, (0.0, False))
        if now < valid_until:
            return stale
        valid_until, stale = self._check(stored, now)
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[stored] = valid_until, stale
        if stale:
            self._request(recipe)
        return stale

    def _check(self, stored: Stored, now: float) -> tuple[float, bool]:
        """Return until when the answer is valid, and whether *stored* is stale."""
        if stored.fresh is not None:
            fresh_until = stored.fresh + self._after
        else:
            try:
                fresh_until = os.stat(stored.path.with_name(SIDECAR)).st_mtime + self._after  # noqa: PTH116 - hit path
            except OSError:  # an image of umd-lib/mezcal: its master's state at that time is unknown
                return now + self._after, False
        return (fresh_until, False) if now < fresh_until else (now + STALE_SECONDS, True)

    def _request(self, recipe: Recipe) -> None:
        if self._pid != os.getpid():  # threads do not survive a fork
            self._pid = os.getpid()
            threading.Thread(target=self._send_requests, name="freshness", daemon=True).start()
        try:
            self._requests.put_nowait(recipe)
        except queue.Full:
            log.debug("too many images are stale at once: %s is revalidated later", recipe.label)

    def _send_requests(self) -> None:
        while True:
            recipe = self._requests.get()
            try:
                self._jobs.request_revalidation(recipe)
            except Failure as error:
                log.warning("%s could not be revalidated: %s", recipe.label, error)
