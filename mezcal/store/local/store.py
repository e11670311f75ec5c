"""A folder of derivatives that nginx, an IIIF server or a person can read as it stands."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.recipe import Mezzanine
from mezcal.store.housekeeping.inventory import LocalInventory
from mezcal.store.housekeeping.trim import TrimState
from mezcal.store.local.files import (
    ABSENT,
    at_once,
    described,
    distinguish,
    down,
    lock_file,
    note_use,
    prune,
    rename,
    reported,
    sync,
)
from mezcal.store.local.layout import IMAGE, OURS, SIDECAR, by_key, folder
from mezcal.store.local.listing import entries
from mezcal.store.local.scratch import Scratch
from mezcal.store.local.trash import Trash, name_of
from mezcal.store.local.walk import Found, pages_in
from mezcal.store.usage import Counted, Usage, count
from mezcal.store.values import Opened, Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path, PurePosixPath

    from mezcal.recipe import Recipe
    from mezcal.settings import Layout
    from mezcal.store.values import Stored, StoredEntry

SWEPT_MOST = 500  # evicted files removed at once: more would hold up the event loop that sweeps


class LocalStore:
    """`<root>/<folder>/image.jpg`, beside it `image.json`; see `layout` for the folder."""

    def __init__(self, root: Path, layout: Layout, pin_seconds: float = 60) -> None:
        self.root = root
        self.layout = layout
        self.scratch = root / OURS / "scratch"
        self.locks = root / OURS / "locks"
        self.aside = Trash(root / OURS / "evicted", pin_seconds)
        self._counted = Counted(partial(count, root))

    # --- finding: no lock, one stat

    def path(self, recipe: Recipe) -> Path:
        """Where *recipe*'s derivative is, or would be."""
        return self.root / folder(recipe, self.layout) / IMAGE

    def find(self, recipe: Recipe) -> Stored | None:
        """The derivative of *recipe*, None if there is none. An empty file, as a full disk left behind under
        umd-lib/mezcal, is none.
        """
        path = self.path(recipe)
        try:
            return described(path, path.stat())
        except ABSENT:
            return None
        except OSError as error:
            raise down(error) from error

    def open(self, recipe: Recipe) -> Opened | None:
        """As `find`, held open: what is sent is what was described, even if it is replaced meanwhile."""
        return self._open_in(folder(recipe, self.layout))

    def open_key(self, key: str) -> Opened | None:
        """As `open`, for a thumbnail of which only the key is known; *key* must be one."""
        return self._open_in(by_key(key))

    def _open_in(self, own: PurePosixPath) -> Opened | None:
        path = self.root / own / IMAGE
        return self.open_at(path) or (self.open_at(path) if self._brought_back(own) else None)

    def open_at(self, path: Path) -> Opened | None:
        """What is stored at *path*, held open."""
        try:
            file = FileIO(path, opener=at_once)
        except ABSENT:
            return None
        except OSError as error:
            raise down(error) from error
        status = os.fstat(file.fileno())
        stored = described(path, status)
        if stored is None:
            file.close()
            return None
        note_use(file.fileno(), status)
        return Opened(stored, cast("BinaryIO", file))

    def sidecar(self, recipe: Recipe) -> Sidecar | None:
        """What is known of *recipe*'s derivative; None for one of umd-lib/mezcal's, which has no sidecar."""
        try:
            return Sidecar.from_bytes(self.path(recipe).with_name(SIDECAR).read_bytes())
        except OSError:
            return None

    def pages(self, recipe: Recipe) -> list[Mezzanine]:
        """The pages of *recipe*'s master that are stored, or were a moment ago."""
        return pages_in(self.root, recipe.path) if isinstance(recipe, Mezzanine) else []

    # --- publishing: a scratch file, synced, renamed

    def draft(self) -> AbstractContextManager[Path]:
        """A scratch file in the store's own file system, removed at the end unless it was put."""
        return Scratch(self.scratch).draft()

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft* as *recipe*'s derivative.

        *guard* raises `Superseded` where the job has gone to another meanwhile. It is asked under the
        recipe's publishing lock, which `delete` takes too: who fences, then deletes, is never overtaken.
        The image is renamed before its sidecar: a death in between leaves an old sidecar, which costs one
        revalidation, where the reverse would call an old image fresh.
        """
        own = folder(recipe, self.layout)
        path = self.root / own / IMAGE
        with reported(), self.draft() as beside:
            beside.write_bytes(sidecar.as_bytes())
            sync(draft)
            with self.publishing(own):
                guard()
                distinguish(draft, path)
                stored = described(path, draft.stat())  # before anybody may delete it again
                if stored is None:
                    raise StoreDown("the picture is empty: it was not written to the end")
                rename(draft, path)
                rename(beside, path.with_name(SIDECAR))
                self.aside.forget(own)  # else an older version might come back, once this one is evicted
        return stored

    def delete(self, recipe: Recipe) -> bool:
        """Forget *recipe*'s derivative and the folders it leaves empty; whether there was one."""
        own = folder(recipe, self.layout)
        path = self.root / own / IMAGE
        with reported(), self.publishing(own):
            try:
                path.unlink()
                existed = True
            except ABSENT:
                existed = False
            with suppress(*ABSENT):
                path.with_name(SIDECAR).unlink()
            self.aside.forget(own)
            prune(path.parent, self.root)
        return existed

    @contextmanager
    def publishing(self, own: PurePosixPath) -> Iterator[None]:
        """One publisher to the folder *own* at a time, on every host that shares the store."""
        descriptor = lock_file(self.locks, name_of(own)[:2])
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Note anew what is known of *recipe*'s derivative, unless another one was stored meanwhile."""
        own = folder(recipe, self.layout)
        with reported(), self.draft() as beside, self.publishing(own):
            now = self.sidecar(recipe)
            if now is None or now.made != sidecar.made:
                return False
            beside.write_bytes(sidecar.as_bytes())
            rename(beside, self.root / own / SIDECAR)
        return True

    # --- keeping house

    @property
    def shelf(self) -> LocalInventory:
        """The same store by its folders, for whoever keeps it within its bounds."""
        return LocalInventory(self)

    def evict(self, recipe: Recipe) -> bool:
        """Put *recipe*'s derivative aside, however lately it was used; whether there was one."""
        return bool(self.shelf.evict(Found(str(folder(recipe, self.layout))), before=float("inf")))

    def _brought_back(self, own: PurePosixPath) -> bool:
        """Undo an eviction, if that was just now."""
        if not self.aside.has(own):
            return False
        with reported(), self.publishing(own):
            self.aside.take_back(own, self.root / own / IMAGE)
        return True

    def make_room(self, needed: int) -> bool:
        """Have *needed* bytes free on a disk that is full, at the price of what was used least lately; whether it is
        worth another try.
        """
        return self.shelf.make_room(needed)

    def sweep(self) -> int:
        """Remove the scratch files whose writers are dead, and some of what was evicted; how many of the former."""
        removed = Scratch(self.scratch).sweep()
        with reported():
            self.aside.clear(SWEPT_MOST)
        return removed

    def expire(self) -> int:
        """Nothing: what was put aside goes with the next sweeps and trims."""
        return 0

    def link_key(self, key: str, method: str = "GET") -> str | None:  # noqa: ARG002 - other stores can
        """None: a folder signs no URLs."""
        return None

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless a derivative could be stored now."""
        with self.draft() as draft, reported():
            draft.write_bytes(b"\xff")

    def entries(self) -> Iterator[StoredEntry]:
        """Every derivative there is, one by one."""
        return entries(self.root)

    def usage(self) -> Usage | None:
        """What the store holds, at most ten seconds old; of a large one, what the last survey counted."""
        return self._counted.now(self._surveyed)

    def _surveyed(self) -> Usage | None:
        survey = TrimState.from_bytes(self.shelf.notes()).survey
        return Usage(survey.derivatives, survey.image_bytes) if survey else None

    def free_bytes(self) -> int:
        """Bytes that the file system still takes."""
        with reported():
            self.root.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.root).free
