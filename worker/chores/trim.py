"""Chores that keep the store within its bounds."""

from __future__ import annotations

import logging

from mezcal.store import LocalStore
from mezcal.store.housekeeping.trim import Bounds, Trim
from mezcal.store.local.last_use import LastUse
from worker.app import context
from worker.chores import chore

log = logging.getLogger(__name__)

RUN_SECONDS = 30.0  # of every sixty: the pool process also makes derivatives


@chore(every=60)
def trim() -> None:
    """Continue where the last run stopped: count the derivatives, or evict until the store is within its bounds."""
    store, settings = context().store, context().settings
    did = Trim(store.shelf, Bounds.of(settings), settings.pin_seconds).turn(RUN_SECONDS)
    if did.evicted:
        log.info("%d derivatives with %d bytes were evicted", did.evicted, did.bytes)


@chore(every=30)
def read_uses() -> None:
    """Record which derivatives nginx has served since the last run, if it logs them (CACHE_USE_LOG)."""
    store, place = context().store, context().settings.cache_use_log
    if place is not None and isinstance(store, LocalStore):
        LastUse(store, place).read()
