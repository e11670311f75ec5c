"""Whether a miss could be made now: each part that is needed, looked at."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mezcal.checks.broker import broker_check
from mezcal.checks.store import store_check

if TYPE_CHECKING:
    from mezcal.checks import Finding
    from mezcal.jobs import Jobs
    from mezcal.store import Store

FRESH_SECONDS = 1.0  # the probes of several balancers share one look


class Readiness:
    """The checks behind `/readyz`."""

    def __init__(self, jobs: Jobs, store: Store) -> None:
        self._checks = (broker_check(jobs.broker), store_check(store))
        self._lock = threading.Lock()
        self._found: dict[str, Finding] = {}
        self._until = 0.0

    def now(self) -> dict[str, Finding]:
        """What each check found, by its name, at most a second ago; whoever asks meanwhile waits for the same look."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._found = {check.name: check.run() for check in self._checks}
                self._until = time.monotonic() + FRESH_SECONDS
            return self._found
