"""Freeing space on the full disk of a local store: the derivatives used least recently are removed at once."""

from __future__ import annotations

import heapq
import logging
import os
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mezcal.store.inventory import InventoryItem
    from mezcal.store.local.inventory import LocalInventory
    from mezcal.store.local.trash import Trash

log = logging.getLogger(__name__)

ITEMS_MAX = 20_000  # folders among which the least recently used are chosen, while a job waits
FREE_FILES_MIN = 64  # a file system may run out of files before it runs out of bytes
DISK_SHARE, SHARE_MAX = 100, 256 << 20  # a hundredth of the disk is freed at least, but 256 MiB are enough


class EmergencyEviction:
    """Evicts from one store whose disk is full. The caller holds the store's lock `free_space`."""

    def __init__(self, inventory: LocalInventory, trash: Trash) -> None:
        self._inventory = inventory
        self._trash = trash
        self._walk = inventory.walk()
        self._cursor_file = inventory.root / OURS / "locks" / "free_space.cursor"

    def free(self, needed: int, before: float) -> bool:
        """Free *needed* bytes; what was used since *before* stays. Returns True if there is more space than before.

        The least recently used of the next ITEMS_MAX folders are removed: a small store is read completely, a large one
        as far as a waiting job allows.
        """
        if self._missing(needed) == (0, 0):  # another process has freed space meanwhile, or it is another disk
            return True
        while self._trash.empty(ITEMS_MAX):
            pass
        size, files = self._missing(needed)
        if not size and not files:
            return True
        items = filter(self._inventory.owns, self._next_items())
        victims = least_recently_used(items, size, files, before)
        freed = sum(self._inventory.remove(victim, before) for victim in victims)
        with suppress(OSError):
            self._cursor_file.write_text(self._walk.cursor)
        log.warning("the disk is full: %d bytes of %d derivatives were evicted at once", freed, len(victims))
        return freed > 0

    def _next_items(self) -> Iterable[InventoryItem]:
        """Continue where the last call stopped. At the end of the store, continue at its beginning."""
        cursor = ""
        with suppress(OSError):
            cursor = self._cursor_file.read_text()
        self._walk = self._inventory.walk(cursor)
        if not cursor:
            return islice(self._walk, ITEMS_MAX)
        items = {item.image: item for item in islice(self._walk, ITEMS_MAX)}
        if not self._walk.cursor:
            self._walk = self._inventory.walk()
            items |= {item.image: item for item in islice(self._walk, ITEMS_MAX - len(items))}
        return items.values()

    def _missing(self, needed: int) -> tuple[int, int]:
        """Returns how many bytes and files must be freed."""
        disk = os.statvfs(self._inventory.root)
        wanted = max(needed, min(disk.f_blocks * disk.f_frsize // DISK_SHARE, SHARE_MAX))
        no_files = disk.f_files > 0 and disk.f_favail < FREE_FILES_MIN
        return max(0, wanted - disk.f_bavail * disk.f_frsize), FREE_FILES_MIN if no_files else 0


def least_recently_used(items: Iterable[InventoryItem], size: int, files: int, before: float) -> list[InventoryItem]:
    """Returns the least recently used *items*, at least *size* bytes and *files*, none used since *before*.

    Never holds more items than it returns.
    """
    kept: list[tuple[float, int, InventoryItem]] = []  # a heap with the most recently used one on top
    total = 0
    for number, item in enumerate(items):
        if item.size is None or item.last_used >= before:
            continue
        heapq.heappush(kept, (-item.last_used, number, item))
        total += item.total_bytes
        while len(kept) > max(1, files) and total - kept[0][2].total_bytes >= size:
            total -= heapq.heappop(kept)[2].total_bytes
    return [item for _, _, item in sorted(kept, reverse=True)]
