"""Removing from a cache folder what only mezcal reads, so that umd-lib/mezcal can use the folder again.

umd-lib/mezcal deletes an image and then its folder: it fails if `image.json` is still in there.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.local.files import ABSENT, os_errors_as_store_down, prune, remove_orphan
from mezcal.store.local.layout import IMAGE, OURS, SIDECAR
from mezcal.store.local.ownership import sidecar_of, sidecar_path
from mezcal.store.local.walk import FolderWalk

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.store.inventory import InventoryItem
    from mezcal.store.local.store import LocalStore


@dataclass(slots=True)
class HandBackResult:
    """How many images were found, how many *sidecars* and *own_images* removed, *foreign* left.

    *own_images* are those that umd-lib/mezcal does not know: of pages, of other profiles, and thumbnails.

    A foreign file is an `image.json` without an image that is not mezcal's. *own_folder*: there was a folder `.mezcal`.
    """

    images: int = 0
    sidecars: int = 0
    own_images: int = 0
    foreign: int = 0
    own_folder: bool = False


class HandBack:
    """Removes mezcal's own files from *store*, which no process may use meanwhile; with *dry_run*, counts them only.

    It may be interrupted, and run again. *report* is called after each folder.
    """

    def __init__(
        self, store: LocalStore, report: Callable[[HandBackResult], None] | None = None, *, dry_run: bool = False
    ) -> None:
        self._store = store
        self._dry_run = dry_run
        self._report = report or (lambda _result: None)
        self._result = HandBackResult()

    def run(self) -> HandBackResult:
        """Remove sidecars, then mezcal's own folder. Raises `StoreDown` if a file is being written, or cannot go."""
        with os_errors_as_store_down():
            self._refuse_live_drafts()
            self._result.own_folder = (self._store.root / OURS).is_dir()
            for item in FolderWalk(self._store.root, names=self._store.names):
                if item.folder == OURS or item.folder.startswith(f"{OURS}/"):
                    self._result.own_images += bool(item.size)
                elif item.name != IMAGE:
                    self._remove_other(item)
                else:
                    self._hand_back(item)
                self._report(self._result)
            if not self._dry_run:
                with suppress(FileNotFoundError):
                    shutil.rmtree(self._store.root / OURS)
        return self._result

    def _refuse_live_drafts(self) -> None:
        """Raise `StoreDown` if a process is writing an image now."""
        with suppress(*ABSENT):
            for draft in self._store.scratch.iterdir():
                if not remove_orphan(draft, dry_run=True) and draft.exists():
                    raise StoreDown("an image is being written to the cache: stop every mezcal that uses it first")

    def _remove_other(self, item: InventoryItem) -> None:
        """Remove the derivative of a profile, which umd-lib/mezcal does not know."""
        image = self._store.root / item.image
        if not self._store.inventory.owns(item):
            return
        self._result.own_images += bool(item.size)
        if not self._dry_run:
            self._store.inventory.remove(item, before=float("inf"))
            sidecar_path(image).unlink(missing_ok=True)  # without an image nothing was removed
            prune(image.parent, self._store.root)

    def _hand_back(self, item: InventoryItem) -> None:
        """Remove the sidecar of *item*, and the folders that it leaves empty."""
        self._result.images += bool(item.size)
        if item.sidecar_modified is None:
            return
        folder = self._store.root / item.folder
        if item.size is None and sidecar_of(folder / IMAGE) is None:
            self._result.foreign += 1
            return
        self._result.sidecars += 1
        if not self._dry_run:
            (folder / SIDECAR).unlink(missing_ok=True)
            prune(folder, self._store.root)
