"""Ctrl-C and SIGTERM for commands that have something to put in order first."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Raises `KeyboardInterrupt` for the signals while `heard`, but never in the middle of what is `unbroken`."""

    def __init__(self) -> None:
        self._held = 0
        self._came = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear the signals as long as the block lasts."""
        before = [signal.signal(number, self._hear) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Let the block end before a signal is obeyed."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._came and not self._held:
            self._raise()

    def _hear(self, *_: Any) -> None:
        self._came = True
        if not self._held:
            self._raise()

    def _raise(self) -> None:
        self._came = False
        raise KeyboardInterrupt
