"""Keeps the store within its bounds: a turn each minute, on whichever worker is free."""

from __future__ import annotations

import logging

from mezcal.store import LocalStore
from mezcal.store.housekeeping.trim import Bounds, Trim
from mezcal.store.local.last_use import LastUse
from worker.app import context
from worker.chores import chore

log = logging.getLogger(__name__)

TURN_SECONDS = 30.0  # of every sixty: a pool process has other things to do


@chore(every=60)
def trim() -> None:
    """Go on with what the last turn left: counting what there is, or evicting what is too much."""
    store, settings = context().store, context().settings
    did = Trim(store.shelf, Bounds.of(settings), settings.pin_seconds).turn(TURN_SECONDS)
    if did.evicted:
        log.info("%d derivatives with %d bytes were evicted", did.evicted, did.bytes)


@chore(every=30)
def read_uses() -> None:
    """Note what nginx has served lately, where it writes that down (CACHE_USE_LOG)."""
    store, place = context().store, context().settings.cache_use_log
    if place is not None and isinstance(store, LocalStore):
        LastUse(store, place).read()
