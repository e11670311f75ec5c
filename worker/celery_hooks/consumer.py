"""Celery's consumer, with a heartbeat and short pauses while the broker is away."""

from __future__ import annotations

import logging
from typing import Any

from celery.worker import consumer, state

from worker.app import app
from worker.celery_hooks.housekeeping import HousekeepingStep, touch_heartbeat

log = logging.getLogger(__name__)

RECONNECT_MOST = 2.0  # seconds between two attempts to reach the broker; Celery's own pauses grow to 30

app.steps["consumer"].add(HousekeepingStep)


class Consumer(consumer.Consumer):  # type: ignore[misc]  # celery ships no types
    """Celery's consumer; docs/library-seams.md has why `ensure_connected` is replaced."""

    def ensure_connected(self, conn: Any) -> Any:
        """Return *conn* once the broker answers. Celery waits in this method, which blocks its event loop."""

        def unreachable(error: Exception, seconds: float) -> None:
            touch_heartbeat()
            log.warning("the broker cannot be reached, next attempt in %.0f s: %s", seconds, error)

        def waiting() -> None:
            touch_heartbeat()
            state.maybe_shutdown()

        conn.ensure_connection(unreachable, None, 1, 1, RECONNECT_MOST, waiting)
        self.first_connection_attempt = False
        self.broker_connection_retry_attempt = 0
        return conn
