"""Tells whether a derivative that is not cached could be made now."""

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
    from mezcal.store.origin_note import OriginNote

VALID_SECONDS = 1.0  # the probes of several balancers share one run of the checks


class Readiness:
    """The checks behind `/readyz`."""

    def __init__(self, jobs: Jobs, store: Store, note: OriginNote) -> None:
        self._checks = (broker_check(jobs.broker), store_check(store, note))
        self._lock = threading.Lock()
        self._findings: dict[str, Finding] = {}
        self._valid_until = 0.0

    def findings(self) -> dict[str, Finding]:
        """Return what each check found, by its name, at most a second ago. Simultaneous callers share one run."""
        with self._lock:
            if time.monotonic() >= self._valid_until:
                self._findings = {check.name: check.run() for check in self._checks}
                self._valid_until = time.monotonic() + VALID_SECONDS
            return self._findings
