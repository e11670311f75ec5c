"""A folder of derivatives that nginx, an IIIF server or a person can read as it stands."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, cast
from uuid import uuid4

from mezcal.errors import StoreDown
from mezcal.recipe import Mezzanine
from mezcal.store.entry import Opened, Sidecar
from mezcal.store.files import ABSENT, at_once, described, distinguish, down, remove_orphan, rename, reported, sync
from mezcal.store.layout import IMAGE, OURS, SIDECAR, by_key, folder
from mezcal.store.usage import Counted
from mezcal.store.walk import pages_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.recipe import Recipe
    from mezcal.settings import Layout
    from mezcal.store.entry import Stored
    from mezcal.store.usage import Usage

EVICTED = "evicted"


class LocalStore:
    """`<root>/<folder>/image.jpg`, beside it `image.json`; see `layout` for the folder."""

    def __init__(self, root: Path, layout: Layout, pin_seconds: float = 60) -> None:
        self.root = root
        self.pin_seconds = pin_seconds
        self.evicted = root / OURS / EVICTED
        self.layout = layout
        self.scratch = root / OURS / "scratch"
        self.locks = root / OURS / "locks"
        self._counted = Counted(root)

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
        path = self.path(recipe)
        return self.open_at(path) or (self.open_at(path) if self._brought_back(recipe, path) else None)

    def open_key(self, key: str) -> Opened | None:
        """As `open`, for a thumbnail of which only the key is known; *key* must be one."""
        return self.open_at(self.root / by_key(key) / IMAGE)

    def open_at(self, path: Path) -> Opened | None:
        """What is stored at *path*, held open."""
        try:
            file = FileIO(path, opener=at_once)
        except ABSENT:
            return None
        except OSError as error:
            raise down(error) from error
        stored = described(path, os.fstat(file.fileno()))
        if stored is None:
            file.close()
            return None
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

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A scratch file in the store's own file system, removed at the end unless it was put.

        It is locked while its writer lives, so that `sweep` can tell what a killed one left behind.
        """
        with reported():
            path, descriptor = self._claimed_scratch()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _claimed_scratch(self) -> tuple[Path, int]:
        self.scratch.mkdir(parents=True, exist_ok=True)
        while True:
            path = self.scratch / f"{uuid4().hex}.jpg"
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else a sweep came between creating and locking
                return path, descriptor
            os.close(descriptor)

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft* as *recipe*'s derivative.

        *guard* raises `Superseded` where the job has gone to another meanwhile. It is asked under the
        recipe's publishing lock, which `delete` takes too: who fences, then deletes, is never overtaken.
        The image is renamed before its sidecar: a death in between leaves an old sidecar, which costs one
        revalidation, where the reverse would call an old image fresh.
        """
        path = self.path(recipe)
        with reported(), self.draft() as beside:
            beside.write_bytes(sidecar.as_bytes())
            sync(draft)
            with self._publishing(recipe):
                guard()
                distinguish(draft, path)
                stored = described(path, draft.stat())  # before anybody may delete it again
                if stored is None:
                    raise StoreDown("the picture is empty: it was not written to the end")
                rename(draft, path)
                rename(beside, path.with_name(SIDECAR))
        return stored

    def delete(self, recipe: Recipe) -> bool:
        """Forget *recipe*'s derivative and the folders it leaves empty; whether there was one."""
        path = self.path(recipe)
        with reported(), self._publishing(recipe):
            try:
                path.unlink()
                existed = True
            except ABSENT:
                existed = False
            for other in (path.with_name(SIDECAR), *self._put_aside(recipe)):
                with suppress(*ABSENT):
                    other.unlink()
            self._prune(path.parent)
        return existed

    def _prune(self, empty: Path) -> None:
        with suppress(OSError):  # the first folder that still holds something ends it
            while empty != self.root and self.root in empty.parents:
                empty.rmdir()
                empty = empty.parent

    @contextmanager
    def _publishing(self, recipe: Recipe) -> Iterator[None]:
        """One publisher of *recipe* at a time, on every host that shares the folder."""
        self.locks.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.locks / recipe.key[:2], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Note anew what is known of *recipe*'s derivative, unless another one was stored meanwhile."""
        with reported(), self.draft() as beside, self._publishing(recipe):
            now = self.sidecar(recipe)
            if now is None or now.made != sidecar.made:
                return False
            beside.write_bytes(sidecar.as_bytes())
            rename(beside, self.path(recipe).with_name(SIDECAR))
        return True

    # --- evicting: for PIN_SECONDS what is asked for again comes back, so a HEAD's 200 holds for as long

    def evict(self, recipe: Recipe) -> bool:
        """Put *recipe*'s derivative aside; `sweep` removes it after PIN_SECONDS. Whether there was one.

        No reader has to mark what it has announced: nginx could not, nor could we on a read-only file system.
        """
        path = self.path(recipe)
        image, sidecar = self._put_aside(recipe)
        with reported(), self._publishing(recipe):
            self.evicted.mkdir(parents=True, exist_ok=True)
            try:
                path.rename(image)
            except ABSENT:
                return False
            with suppress(*ABSENT):
                path.with_name(SIDECAR).rename(sidecar)
            self._prune(path.parent)
        return True

    def _put_aside(self, recipe: Recipe) -> tuple[Path, Path]:
        return self.evicted / f"{recipe.key}.jpg", self.evicted / f"{recipe.key}.json"

    def _brought_back(self, recipe: Recipe, path: Path) -> bool:
        """Undo the eviction of *recipe*, if that was just now."""
        image, sidecar = self._put_aside(recipe)
        if not image.exists():
            return False
        with reported(), self._publishing(recipe), suppress(*ABSENT):
            if image.exists() and not path.exists():
                rename(image, path)
                rename(sidecar, path.with_name(SIDECAR))
        return True

    # --- keeping house

    def sweep(self) -> int:
        """Remove the scratch files whose writers are dead; how many there were."""
        removed = 0
        with suppress(*ABSENT):
            for path in self.scratch.iterdir():
                removed += remove_orphan(path)
        with suppress(*ABSENT):
            for path in self.evicted.iterdir():
                if time.time() - path.stat().st_ctime > self.pin_seconds:  # ctime: when it was put there
                    path.unlink()
        return removed

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless a derivative could be stored now."""
        with self.draft() as draft, reported():
            draft.write_bytes(b"\xff")

    def usage(self) -> Usage | None:
        """What the store holds, at most ten seconds old; None where it is too much to count in a moment."""
        return self._counted.now()

    def free_bytes(self) -> int:
        """Bytes that the file system still takes."""
        with reported():
            self.root.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.root).free
