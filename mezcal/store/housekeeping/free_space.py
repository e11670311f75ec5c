"""A disk that is full in the middle of a job: room is made at once, and the job goes on."""

from __future__ import annotations

import heapq
import logging
import os
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown, is_disk_full
from mezcal.store.local.files import down
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from mezcal.store import Store
    from mezcal.store.housekeeping.inventory import LocalInventory
    from mezcal.store.local.trash import Trash
    from mezcal.store.local.walk import Found
    from mezcal.store.values import Stored

log = logging.getLogger(__name__)

TRIES = 6  # each with twice the room that the one before had used up
LEAST_BYTES = 1 << 16  # that a job is taken to need, however little it had written
LOOKED_AT = 20_000  # folders, among which the least used is sought: a job waits meanwhile
FILES_LEAST = 64  # a file system may run out of files before it runs out of bytes
PART_OF_DISK, PART_MOST = 100, 256 << 20  # of each disk a hundredth is made free, at most 256 MiB


def drafted(store: Store, work: Callable[[Path], Stored]) -> Stored:
    """What *work* makes of a draft; where the disk is full, room is made and it is done again.

    Raises `StoreDown` where there is nothing to be evicted, and whatever else *work* raises.
    """
    written = 0
    for attempt in range(1, TRIES + 1):
        try:
            with store.draft() as draft:
                try:
                    return work(draft)
                finally:
                    written = _written(draft)
        except (StoreDown, OSError) as error:
            if not is_disk_full(error):
                raise
            if attempt == TRIES or not store.make_room(2 * max(written, LEAST_BYTES)):
                raise (down(error) if isinstance(error, OSError) else error) from error
            log.warning("the disk was full in mid-job: room was made, it goes on (%d of %d)", attempt, TRIES)
    raise AssertionError("the last try returns or raises")


def _written(draft: Path) -> int:
    with suppress(OSError):  # it was put
        return draft.stat().st_size
    return 0


class Room:
    """The room on the disk of a local store; for whoever holds the lock of those who trim."""

    def __init__(self, shelf: LocalInventory, aside: Trash) -> None:
        self._shelf = shelf
        self._aside = aside
        self._walk = shelf.walk()
        self._place = shelf.root / OURS / "locks" / "room.place"

    def made(self, needed: int, before: float) -> bool:
        """Whether *needed* bytes can be had, or at least more than could: what was used since *before* stays.

        The least used of the next LOOKED_AT folders goes: all of a small store is looked at, and of a large one as
        much as may be while somebody waits.
        """
        if self._lacking(needed) == (0, 0):  # somebody else has made room meanwhile, or it is another disk
            return True
        while self._aside.clear(LOOKED_AT):
            pass
        lacking, files = self._lacking(needed)
        if not lacking and not files:
            return True
        victims = least_used(self._next(), lacking, files, before)
        freed = sum(self._shelf.remove(victim, before) for victim in victims)
        self._keep_place()
        log.warning("the disk is full: %d bytes of %d derivatives were evicted at once", freed, len(victims))
        return freed > 0

    def _next(self) -> Iterable[Found]:
        """Go on where the last one who needed room stopped; from the store's end at its beginning."""
        place = ""
        with suppress(OSError):
            place = self._place.read_text()
        self._walk = self._shelf.walk(place)
        if not place:
            return islice(self._walk, LOOKED_AT)
        found = {one.folder: one for one in islice(self._walk, LOOKED_AT)}
        if not self._walk.cursor:
            self._walk = self._shelf.walk()
            found |= {one.folder: one for one in islice(self._walk, LOOKED_AT - len(found))}
        return found.values()

    def _keep_place(self) -> None:
        with suppress(OSError):
            self._place.write_text(self._walk.cursor)

    def _lacking(self, needed: int) -> tuple[int, int]:
        """Bytes and files that should be free and are not."""
        disk = os.statvfs(self._shelf.root)
        wanted = max(needed, min(disk.f_blocks * disk.f_frsize // PART_OF_DISK, PART_MOST))
        no_files = disk.f_files > 0 and disk.f_favail < FILES_LEAST
        return max(0, wanted - disk.f_bavail * disk.f_frsize), FILES_LEAST if no_files else 0


def least_used(found: Iterable[Found], size: int, files: int, before: float) -> list[Found]:
    """Those of *found* that were used least lately, and not since *before*: together *size* bytes and *files* at least.

    Holds no more of them than it gives.
    """
    kept: list[tuple[float, int, Found]] = []  # the one used last on top
    total = 0
    for number, one in enumerate(found):
        if one.size is None or one.used >= before:
            continue
        heapq.heappush(kept, (-one.used, number, one))
        total += one.bytes
        while len(kept) > max(1, files) and total - kept[0][2].bytes >= size:
            total -= heapq.heappop(kept)[2].bytes
    return [one for _, _, one in sorted(kept, reverse=True)]
