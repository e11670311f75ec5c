"""A master as derive and convert see it, wherever it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable


def _nothing_to_wait_for() -> None:
    pass


def _never() -> None:
    return None


def _nobody_counts() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Master:
    """One master, open for reading, with what its origin says about it.

    *file* is seekable; a read past what has arrived blocks until it has, or raises the origin's failure. Only
    a folder's masters have a `fileno()`. *source* is the URL without credentials; *etag* and *last_modified*
    are as the origin sent them; *size* is in bytes, None where the origin did not say.
    """

    file: BinaryIO
    source: str
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None
    content_type: str | None = None
    arrival: Callable[[], object] = field(default=_nothing_to_wait_for, repr=False, compare=False)
    landed: Callable[[], float | None] = field(default=_never, repr=False, compare=False)  # monotonic: its last byte
    arrived: Callable[[], int] = field(default=_nobody_counts, repr=False, compare=False)  # bytes, so far

    def complete(self) -> None:
        """Wait until the whole master has arrived.

        Raises `OriginFailed`, `OriginTimeout`, `TooLarge` or `StoreDown` if it did not arrive whole. Call it
        before a derivative is stored, and before a decoder's complaint is believed: a master that was cut on
        its way looks damaged.
        """
        self.arrival()
