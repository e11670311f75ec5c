"""Ctrl-C and SIGTERM for commands that have to finish something first."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turns the signals into `KeyboardInterrupt`, but not within a block that is `delayed`."""

    def __init__(self) -> None:
        self._delays = 0
        self._pending = False

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise `KeyboardInterrupt` for the signals during the block."""
        before = [signal.signal(number, self._receive) for number in SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Let the block end before a signal is raised."""
        self._delays += 1
        try:
            yield
        finally:
            self._delays -= 1
        if self._pending and not self._delays:
            self._raise()

    def _receive(self, *_: Any) -> None:
        self._pending = True
        if not self._delays:
            self._raise()

    def _raise(self) -> None:
        self._pending = False
        raise KeyboardInterrupt
