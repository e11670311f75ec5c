"""A store as housekeeping sees it: files with sizes and times, not recipes.

The recipe of a folder in umd-lib/mezcal's MD5 layouts is not known, so derivatives are evicted by their files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from mezcal.store.denials import KeepsDenials
from mezcal.store.local.layout import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mezcal.store.values import Sidecar

YOUNG_SECONDS = 60.0  # nothing is evicted within so long after it was written or used


@dataclass(frozen=True, slots=True)
class InventoryItem:
    """A folder of the store, and the image *name* in it. Sizes are bytes, times are seconds since 1970.

    *size* is the image's, None if there is no image. *last_used* is when the image was last read, as far as that is
    known (most often to a day), or written. *sidecar_modified* is None if there is no sidecar. *empty* says that the
    folder holds nothing at all, *irregular* that a link or a pipe is in the place of the image.
    """

    folder: str
    name: str = IMAGE
    size: int | None = None
    last_used: float = 0
    sidecar_size: int = 0
    sidecar_modified: float | None = None
    empty: bool = False
    modified: float = 0
    irregular: bool = False

    @property
    def image(self) -> PurePosixPath:
        """The path of the image below the store's root."""
        return PurePosixPath(self.folder, self.name)

    @property
    def total_bytes(self) -> int:
        """The bytes of the image and its sidecar."""
        return (self.size or 0) + self.sidecar_size


class InventoryWalk(Protocol):
    """A walk through the inventory that another process can continue."""

    def __iter__(self) -> Iterator[InventoryItem]:
        """Yields the items, in an order that stays the same."""

    @property
    def cursor(self) -> str:
        """Where to continue after the items yielded so far; "" once all were."""


class Inventory(Protocol):
    """The interface of a store for trimming and revalidating. Every method raises `StoreDown` if the store fails."""

    @property
    def sidecars_per_walk(self) -> int:
        """How many sidecars a chore may read in one run: each costs a request at a bucket."""

    def walk(self, cursor: str = "") -> InventoryWalk:
        """Returns a walk through all items from *cursor* on, which never holds all in memory."""

    def sidecar(self, item: InventoryItem) -> Sidecar | None:
        """Returns the sidecar of *item*, None if there is none that can be read."""

    def evict(self, item: InventoryItem, before: float) -> int:
        """Move *item* to the trash, unless it was used since *before* (seconds since 1970). Returns the bytes, or 0."""

    def empty_trash(self, limit: int) -> int:
        """Remove up to *limit* files evicted more than PIN_SECONDS ago. Returns how many."""

    def remove_empty_folder(self, folder: str) -> None:
        """Remove *folder* if it is empty."""

    def free_bytes(self) -> int | None:
        """Returns how many bytes can still be stored, None if the store has no limit."""

    def exclusive(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Prevent other processes from trimming. Yields False if another one is trimming; with *wait*, waits for it."""

    def load_state(self) -> bytes:
        """Returns what was saved last, empty if nothing was."""

    def save_state(self, state: bytes) -> None:
        """Save *state* in the store, for any process that continues."""


class NotesOrigin(Inventory, KeepsDenials, Protocol):
    """The inventory of a whole store, which also keeps the note of the store's origin, and the denials."""

    def sha256(self, item: InventoryItem) -> str | None:
        """Return the SHA-256 of the image of *item* in hexadecimal digits, None if it is gone. This is no use of it."""

    def load_origin_note(self) -> bytes | None:
        """Returns the content of the store's note of its origin, None if there is none."""

    def save_origin_note(self, note: bytes, *, replace: bool) -> bool:
        """Save the *note*. Returns False if there is one already, unless it is to be replaced."""


@runtime_checkable
class RemovesEmptyImages(Protocol):
    """An inventory of files that nginx serves: an empty one, left by a full disk, would be served too."""

    def remove_empty_image(self, item: InventoryItem) -> None:
        """Remove the image of *item* if it has no bytes."""
