"""Whether a hit is old, and a word to the workers where it is. The hit itself waits for neither."""

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

LOOK_AGAIN = 5.0  # seconds after which an old image's sidecar is looked at again
KEPT = 4096  # images whose age is remembered
WORDS_MOST = 1000  # recipes waiting to be told of; past it the next hit, or the walk through the store, tells


class Freshness:
    """Ages of stored derivatives, by their sidecars' times; one `stat` each in a while, kept in memory between."""

    def __init__(self, after: float, jobs: Jobs) -> None:
        self._after = after
        self._jobs = jobs
        self._known: dict[Stored, tuple[float, bool]] = {}  # until when it is known, and whether it is old
        self._words: queue.Queue[Recipe] = queue.Queue(WORDS_MOST)
        self._pid = 0

    def old(self, stored: Stored, recipe: Recipe) -> bool:
        """Whether *stored* was found fresh longer than REVALIDATE_AFTER ago; if so, a worker is told, once."""
        if not self._after:
            return False
        now = time.time()
        until, old = self._known.get(stored, (0.0, False))
        if now < until:
            return old
        until, old = self._look(stored, now)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[stored] = until, old
        if old:
            self._tell(recipe)
        return old

    def _look(self, stored: Stored, now: float) -> tuple[float, bool]:
        if stored.noted is not None:
            ends = stored.noted + self._after
            return (ends, False) if now < ends else (now + LOOK_AGAIN, True)
        try:
            ends = os.stat(stored.path.with_name(SIDECAR)).st_mtime + self._after  # noqa: PTH116 - on the hit path
        except OSError:  # umd-lib/mezcal's: nobody knows what its master was
            return now + self._after, False
        return (ends, False) if now < ends else (now + LOOK_AGAIN, True)

    def _tell(self, recipe: Recipe) -> None:
        if self._pid != os.getpid():  # threads do not survive a fork
            self._pid = os.getpid()
            threading.Thread(target=self._pass_on, name="freshness", daemon=True).start()
        try:
            self._words.put_nowait(recipe)
        except queue.Full:
            log.debug("too much is old at once: %s waits", recipe.label)

    def _pass_on(self) -> None:
        while True:
            recipe = self._words.get()
            try:
                self._jobs.request_revalidation(recipe)
            except Failure as error:
                log.warning("%s could not be revalidated: %s", recipe.label, error)
