"""The store, and the scratch folder where masters arrive."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed, Severity
from mezcal.store.protocols import PublishesByRename

if TYPE_CHECKING:
    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore, Store

FREE_BYTES_LEAST = 2**30  # some hundred large mezzanines
FOLDERS_MAX = 20_000  # a second on a local disk
HINT = "check the folder of STORAGE_DIR: its disk, its owner, its mount"


def store_check(store: Store) -> Check:
    """Check that a derivative can be stored now."""
    return Check("store", partial(_check_store, store), HINT)


def thorough_store_check(store: DerivativeStore) -> Check:
    """Check the same as `store_check`, and a rename over an existing file, more folders, and the free space."""
    return Check("store", partial(_check_store_thoroughly, store), HINT)


def scratch_check(settings: Settings) -> Check:
    """Check that masters can be written while they are downloaded."""
    return Check("scratch", partial(_check_scratch, settings), "check the folder of TMP_DIR: its disk, its owner")


def _check_store(store: Store) -> str:
    store.check()
    return "ok"


def _check_store_thoroughly(store: DerivativeStore) -> str:
    store.check()
    free = store.free_bytes()
    if not isinstance(store, PublishesByRename) or free is None:
        return "can be written"
    store.check_rename()
    store.check_folders(FOLDERS_MAX)
    detail = f"can be written, renames replace whole files, {free / 2**30:,.1f} GiB free"
    if free < FREE_BYTES_LEAST:
        raise CheckFailed(detail, "free space on the disk, or keep fewer derivatives", Severity.WARNING)
    return detail


def _check_scratch(settings: Settings) -> str:
    folder = settings.scratch_dir
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"\xff")
    return f"{folder} can be written"
