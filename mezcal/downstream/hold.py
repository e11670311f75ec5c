"""The right of one process to notify a hook: what is sent of one derivative is in order."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Self

from mezcal.errors import BrokerDown

if TYPE_CHECKING:
    from mezcal.jobs.bulk.downstream import Downstream

log = logging.getLogger(__name__)

HELD_SECONDS = 6.0  # after which another process may notify the hook, if this one has died


class HookHold:
    """Holds *hook* until the block ends, by renewals from a thread.

    Raises `BrokerDown` at the beginning if Redis cannot be reached.
    """

    def __init__(self, changes: Downstream, hook: str) -> None:
        self._changes, self._hook = changes, hook
        self._until = float("-inf")
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew_periodically, name="hook", daemon=True)
        self.holder: str | None = None

    def __enter__(self) -> Self:
        """Try once to hold it: see `is_held`."""
        until = time.monotonic() + HELD_SECONDS
        self.holder = self._changes.hold(self._hook, HELD_SECONDS)
        if self.holder is not None:
            self._until = until
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let others notify the hook."""
        if self.holder is None:
            return
        self._released.set()
        self._thread.join()
        try:
            self._changes.let_go(self._hook, self.holder)
        except BrokerDown as failure:
            log.warning("a hook is held for some seconds more: %s", failure.detail)

    @property
    def is_held(self) -> bool:
        """True while no other process may notify the hook."""
        return time.monotonic() < self._until

    def _renew_periodically(self) -> None:
        assert self.holder is not None
        while not self._released.wait(HELD_SECONDS / 3):
            until = time.monotonic() + HELD_SECONDS
            try:
                if not self._changes.renew(self._hook, self.holder, HELD_SECONDS):
                    self._until = float("-inf")
                    return
                self._until = until
            except BrokerDown as failure:
                log.warning("the hold on a hook could not be renewed: %s", failure.detail)
