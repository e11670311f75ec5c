"""Whether a miss could be made now: each part that is needed, pinged."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from redis import RedisError

from mezcal.errors import Failure
from mezcal.jobs.broker import check_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs import Jobs
    from mezcal.store import Store

FRESH_SECONDS = 1.0  # the probes of several balancers share one look


class Health:
    """The checks behind `/readyz`."""

    def __init__(self, jobs: Jobs, store: Store) -> None:
        self._checks: dict[str, Callable[[], object]] = {
            "broker": partial(check_policy, jobs.table.redis),
            "store": store.check,
        }
        self._lock = threading.Lock()
        self._said: dict[str, str] = {}
        self._until = 0.0

    def now(self) -> dict[str, str]:
        """For each part `ok` or what is wrong with it, at most a second old."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._said = {name: _said(check) for name, check in self._checks.items()}
                self._until = time.monotonic() + FRESH_SECONDS
            return self._said


def _said(check: Callable[[], object]) -> str:
    try:
        check()
    except Failure as failure:
        return failure.detail
    except RedisError as error:
        return f"cannot be reached ({type(error).__name__})"
    return "ok"
