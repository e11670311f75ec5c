"""Where derivatives are kept: what every store promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mezcal.store.local.store import LocalStore
from mezcal.store.values import Opened, Sidecar, Stored, StoredEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mezcal.recipe import Mezzanine, Recipe
    from mezcal.settings import Settings
    from mezcal.store.housekeeping.inventory import Inventory
    from mezcal.store.usage import Usage

__all__ = ["LocalStore", "Opened", "Sidecar", "Store", "Stored", "StoredEntry", "open_store"]


class Store(Protocol):
    """A derivative appears whole or not at all, and finding one takes no lock.

    Every method raises `StoreDown` where the store itself fails; only `draft` and `put` are to find that out
    about writing, and `draft` does before the work is done.
    """

    def find(self, recipe: Recipe) -> Stored | None:
        """What is stored for *recipe*, at the price of one look."""

    def open(self, recipe: Recipe) -> Opened | None:
        """As `find`, with the bytes to send."""

    def open_key(self, key: str) -> Opened | None:
        """As `open`, for a thumbnail of which only the key is known."""

    def sidecar(self, recipe: Recipe) -> Sidecar | None:
        """Where the derivative comes from and what it is, as far as known."""

    def pages(self, recipe: Recipe) -> list[Mezzanine]:
        """The mezzanines of single pages of *recipe*'s master that are stored; none for a thumbnail."""

    def draft(self) -> AbstractContextManager[Path]:
        """A local file to write a derivative to, gone at the end."""

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft*, unless *guard* raises `Superseded`."""

    def delete(self, recipe: Recipe) -> bool:
        """Forget the derivative; whether there was one."""

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Note anew what is known, unless another derivative was stored meanwhile; whether it was noted."""

    def evict(self, recipe: Recipe) -> bool:
        """Put the derivative aside; whether there was one. `find` has it no more; `open` brings it back if that is
        within PIN_SECONDS, so that what a HEAD announced can be had.
        """

    def sweep(self) -> int:
        """Remove what killed writers left on this host, quickly; how many files."""

    def expire(self) -> int:
        """Remove for good what was put aside PIN_SECONDS ago, and what was never published; how many. It may take
        long: a chore's work.
        """

    def link_key(self, key: str, method: str = "GET") -> str | None:
        """A URL at the store itself by which anybody may fetch a thumbnail for days, the same all day; None where
        the store can sign none.
        """

    def make_room(self, needed: int) -> bool:
        """Have *needed* bytes free on a local disk that is full; whether it is worth another try."""

    def check(self) -> None:
        """Raise `StoreDown` unless a derivative could be stored now."""

    @property
    def shelf(self) -> Inventory:
        """The same store for whoever keeps it within its bounds: what is found there is evicted by where it lies."""

    def entries(self) -> Iterator[StoredEntry]:
        """Every derivative there is, one by one and in no promised order: a million are never held at once.

        What comes or goes meanwhile may be shown or not.
        """

    def usage(self) -> Usage | None:
        """What the store holds; None where it is too much to count in a moment."""

    def free_bytes(self) -> int | None:
        """Bytes that can still be stored; None where nobody knows a bound."""


def open_store(settings: Settings) -> Store:
    """The store that *settings* name; nothing is made on disk, and nobody asked, before it is needed."""
    if settings.storage == "s3":
        from mezcal.store.s3 import S3Store  # noqa: PLC0415 - whoever keeps files needs none of it

        return S3Store(settings)
    return LocalStore(settings.cache_dir, settings.storage_layout, settings.pin_seconds)
