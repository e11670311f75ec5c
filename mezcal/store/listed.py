"""The shelf of a store that lists what it holds by name, as S3 does: when something was used, nobody notes there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mezcal.store.walk import Found

if TYPE_CHECKING:
    from collections.abc import Iterator


class Listed(Protocol):
    """One derivative of a listing; *name* is where it lies, *used* None where the store cannot tell."""

    @property
    def name(self) -> str:
        """Its name below the store's root."""

    @property
    def size(self) -> int:
        """Its bytes."""

    @property
    def modified(self) -> float:
        """When it was published, in seconds since 1970."""

    @property
    def used(self) -> float | None:
        """When it was read last."""


class Lister(Protocol):
    """What such a store has to offer."""

    def entries(self, after: str = "") -> Iterator[Listed]:
        """All derivatives whose names come behind *after*, in the order of their names."""

    def evict_named(self, name: str) -> bool:
        """Put the derivative *name* aside; whether there was one."""

    def expire(self) -> int:
        """Remove what was put aside PIN_SECONDS ago; how many."""

    def noted(self) -> bytes:
        """What `note` kept; empty if nothing was."""

    def note(self, notes: bytes) -> None:
        """Keep *notes* beside the derivatives."""


class Named:
    """A walk through the names; the last one is the place to go on behind."""

    def __init__(self, lister: Lister, after: str) -> None:
        self._lister = lister
        self.cursor = after

    def __iter__(self) -> Iterator[Found]:
        """Each derivative, as if it lay in a folder of its name. Its sidecar is a part of it: none is bare."""
        for one in self._lister.entries(self.cursor):
            self.cursor = one.name
            used = one.modified if one.used is None else max(one.used, one.modified)
            yield Found(one.name, one.size, used, noted=one.modified)
        self.cursor = ""


class ListedShelf:
    """Whoever trims is alone by the chore's own key: such a store has no lock."""

    def __init__(self, lister: Lister) -> None:
        self._lister = lister

    def walk(self, cursor: str = "") -> Named:
        """The derivatives, from *cursor* on."""
        return Named(self._lister, cursor)

    def evict(self, found: Found, before: float) -> int:
        """Put what was *found* aside, unless it was published since *before*; its bytes, or 0."""
        gone = found.used < before and self._lister.evict_named(found.folder)
        return max(found.bytes, 1) if gone else 0

    def clear(self, most: int) -> int:  # noqa: ARG002 - such a store removes what it may at once
        """Remove what was put aside and whose time is over."""
        return self._lister.expire()

    def tidy(self, folder: str) -> None:
        """Nothing: there are no folders."""

    def free_bytes(self) -> None:
        """None: nobody knows an end."""
        return

    @contextmanager
    def alone(self, *, wait: bool) -> Iterator[bool]:  # noqa: ARG002 - there is nothing to wait for
        """True."""
        yield True

    def notes(self) -> bytes:
        """What was noted last."""
        return self._lister.noted()

    def note(self, notes: bytes) -> None:
        """Keep *notes*."""
        self._lister.note(notes)
