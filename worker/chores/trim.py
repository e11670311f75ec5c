"""Keeps the store within its bounds, and empties the trash."""

from __future__ import annotations

import logging

from mezcal.store.housekeeping.trim import Bounds, Trim
from mezcal.store.local.last_use import UseLog
from mezcal.store.protocols import NotesUse
from worker.app import context
from worker.chores import chore

log = logging.getLogger(__name__)

TRIM_SECONDS = 30.0  # of every sixty: the pool process also makes derivatives


@chore(every=60)
def trim() -> None:
    """Continue where the last run stopped: count the derivatives, or evict until the store is within its bounds."""
    store, settings = context().store, context().settings
    result = Trim(store.inventory, Bounds.of(settings), settings.pin_seconds).run(TRIM_SECONDS)
    if result.evicted:
        log.info("evicted %d derivatives with %d bytes", result.evicted, result.bytes)


@chore(every=60)
def expire() -> None:
    """Delete derivatives that were evicted PIN_SECONDS ago, and uploads that were never completed.

    It runs in a pool process, because its requests to a bucket would hold up a worker's event loop.
    """
    context().store.expire()


@chore(every=30)
def read_use_log() -> None:
    """Record which derivatives nginx has served since the last run, if it logs them (CACHE_USE_LOG)."""
    store, path = context().store, context().settings.cache_use_log
    if path is not None and isinstance(store, NotesUse):
        UseLog(store, path).read()
