"""The chore that keeps the counts of each day."""

from __future__ import annotations

import time

from mezcal.telemetry import days
from worker.app import context
from worker.chores import chore

COUNT_SECONDS = 600.0


@chore(every=COUNT_SECONDS)
def count_day() -> None:
    """Add the last minutes to their days, and record the size of the cache. The store is not walked for it."""
    ctx, now = context(), time.time()
    days.count_minutes(ctx.jobs, now)
    if usage := ctx.store.usage():
        days.record_size(ctx.jobs.days, usage, now)
