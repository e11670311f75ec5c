"""A dry run of trimming: it counts, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mezcal.store.inventory import Inventory, InventoryItem, InventoryWalk
    from mezcal.store.values import Sidecar


class DryRunInventory:
    """Wraps *inventory* and changes nothing: an eviction is only counted."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._state = inventory.load_state()
        self.sidecars_per_walk = inventory.sidecars_per_walk

    def walk(self, cursor: str = "") -> InventoryWalk:
        """Returns the walk of the inventory."""
        return self._inventory.walk(cursor)

    def sidecar(self, item: InventoryItem) -> Sidecar | None:
        """Returns the sidecar of *item*."""
        return self._inventory.sidecar(item)

    def evict(self, item: InventoryItem, before: float) -> int:
        """Returns the bytes that would be evicted."""
        return item.total_bytes if item.last_used < before else 0

    def empty_trash(self, limit: int) -> int:  # noqa: ARG002 - the protocol's
        """Returns 0."""
        return 0

    def remove_empty_folder(self, folder: str) -> None:
        """Do nothing."""

    def free_bytes(self) -> int | None:
        """Returns the free bytes of the inventory."""
        return self._inventory.free_bytes()

    def exclusive(self, *, wait: bool) -> AbstractContextManager[bool]:
        """Prevent other processes from trimming."""
        return self._inventory.exclusive(wait=wait)

    def load_state(self) -> bytes:
        """Returns what was saved last, here or in the store."""
        return self._state

    def save_state(self, state: bytes) -> None:
        """Save *state* here."""
        self._state = state
