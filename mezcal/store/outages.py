"""What to do while the store fails: wait, so that a finished picture is not thrown away because of one minute."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, TypeVar

from mezcal.errors import StoreDown
from mezcal.store.protocols import MakesFreeSpace

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.store.protocols import Store

log = logging.getLogger(__name__)
Result = TypeVar("Result")

PATIENCE = 120.0  # seconds that a finished picture waits for the store before it is given up
PAUSE_FIRST, PAUSE_MAX = 0.5, 5.0  # between attempts; the latter bounds how late the end of an outage is noticed
RETRY_AFTER_MAX = 10.0
FREE_BYTES = 1 << 20  # with less than this a disk is full: hardly any image fits


def persist(call: Callable[[], Result], wait: Callable[[float], bool], patience: float = PATIENCE) -> Result:
    """Repeat *call* while the store fails in a way that may pass, for *patience* seconds. Returns its result.

    The pauses grow, and are no shorter than the store asks for, within bounds. *wait* waits some seconds; it returns
    False if there is no time left. Raises the last `StoreDown`, and the exceptions of *call* and *wait*.
    """
    ends, pause = time.monotonic() + patience, PAUSE_FIRST
    while True:
        try:
            return call()
        except StoreDown as failure:
            seconds = max(pause * random.uniform(0.5, 1), min(failure.pause or 0.0, RETRY_AFTER_MAX))  # noqa: S311
            if not failure.may_pass or time.monotonic() + seconds > ends:
                raise
            log.warning("waiting for the store: %s", failure.detail)
            if not wait(seconds):
                raise
        pause = min(pause * 2, PAUSE_MAX)


def wait_for_store(store: Store, wait: Callable[[float], bool], patience: float) -> None:
    """Wait until a derivative can be stored. Raises `StoreDown` if that may pass, but takes longer than *patience*.

    On a full disk derivatives are evicted. Raises `StoreDown` if none may be: no master is read in vain then. What else
    does not pass by itself is for the job to find.
    """
    try:
        persist(store.check, wait, patience)
    except StoreDown as failure:
        if failure.may_pass:
            raise
    if isinstance(store, MakesFreeSpace) and store.free_bytes() < FREE_BYTES and not store.make_free_space(FREE_BYTES):
        raise StoreDown("the disk is full, and no image may be evicted", "free some space")
