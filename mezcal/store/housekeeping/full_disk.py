"""A disk that becomes full during a job: derivatives are evicted at once, and the job continues."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown, is_disk_full
from mezcal.store.local.files import as_store_down
from mezcal.store.protocols import MakesFreeSpace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store.protocols import Store
    from mezcal.store.values import Stored

log = logging.getLogger(__name__)

ATTEMPTS = 6  # before a retry, twice the bytes of the failed draft are freed
LEAST_BYTES = 1 << 16  # freed for a job, however little it had written


def write_draft(store: Store, write: Callable[[Path], Stored]) -> Stored:
    """Call *write* with a draft. Frees space and calls it again if the disk becomes full. Returns its result.

    Raises `StoreDown` if nothing can be evicted, and the exceptions of *write*.
    """
    written = 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with store.draft() as draft:
                try:
                    return write(draft)
                finally:
                    written = _size(draft)
        except (StoreDown, OSError) as error:
            if not is_disk_full(error):
                raise
            if attempt == ATTEMPTS or not make_free_space(store, 2 * max(written, LEAST_BYTES)):
                raise (as_store_down(error) if isinstance(error, OSError) else error) from error
            log.warning("the disk became full during a job: freed space, trying again (%d of %d)", attempt, ATTEMPTS)
    raise AssertionError("the last attempt returns or raises")


def make_free_space(store: Store, needed: int) -> bool:
    """Free *needed* bytes by evicting, if *store* is on a local disk. Returns True if another attempt is worthwhile."""
    return isinstance(store, MakesFreeSpace) and store.make_free_space(needed)


def free_space_for_masters(settings: Settings, store: Store) -> Callable[[int], bool]:
    """Returns a function that frees bytes on the disk where masters arrive, if that is the cache's disk."""

    def make(needed: int) -> bool:
        if settings.tmp_dir is not None and _device(settings.tmp_dir) != _device(settings.cache_dir):
            return False
        return make_free_space(store, needed)

    return make


def _device(folder: Path) -> int | None:
    """Returns the file system that *folder* is on, None if the folder is missing."""
    with suppress(OSError):
        return folder.stat().st_dev
    return None


def _size(draft: Path) -> int:
    with suppress(OSError):  # the draft is gone: it was renamed into the store
        return draft.stat().st_size
    return 0
