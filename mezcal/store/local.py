"""A folder of derivatives that nginx, an IIIF server or a person can read as it stands."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING, BinaryIO, cast
from uuid import uuid4

from mezcal.errors import StoreDown
from mezcal.store.entry import Opened, Sidecar, Stored
from mezcal.store.layout import IMAGE, OURS, SIDECAR, folder
from mezcal.store.usage import Counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.recipe import Recipe
    from mezcal.settings import Layout
    from mezcal.store.usage import Usage

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalStore:
    """`<root>/<folder>/image.jpg`, beside it `image.json`; see `layout` for the folder."""

    def __init__(self, root: Path, layout: Layout) -> None:
        self.root = root
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
            return _described(path, path.stat())
        except ABSENT:
            return None
        except OSError as error:
            raise _down(error) from error

    def open(self, recipe: Recipe) -> Opened | None:
        """As `find`, held open: what is sent is what was described, even if it is replaced meanwhile."""
        return self.open_at(self.path(recipe))

    def open_at(self, path: Path) -> Opened | None:
        """As `open`, where the *path* is known already."""
        try:
            file = FileIO(path)
        except ABSENT:
            return None
        except OSError as error:
            raise _down(error) from error
        stored = _described(path, os.fstat(file.fileno()))
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

    # --- publishing: a scratch file, synced, renamed

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A scratch file in the store's own file system, removed at the end unless it was put.

        It is locked while its writer lives, so that `sweep` can tell what a killed one left behind.
        """
        with _reported():
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
        with _reported(), self.draft() as beside:
            beside.write_bytes(sidecar.as_bytes())
            _sync(draft)
            with self._publishing(recipe):
                guard()
                _distinguish(draft, path)
                _rename(draft, path)
                _rename(beside, path.with_name(SIDECAR))
            stored = _described(path, path.stat())
        if stored is None:
            raise StoreDown(f"{path} vanished while it was stored")
        return stored

    def delete(self, recipe: Recipe) -> bool:
        """Forget *recipe*'s derivative and the folders it leaves empty; whether there was one."""
        path = self.path(recipe)
        with _reported(), self._publishing(recipe):
            try:
                path.unlink()
                existed = True
            except ABSENT:
                existed = False
            with suppress(*ABSENT):
                path.with_name(SIDECAR).unlink()
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

    # --- keeping house

    def sweep(self) -> int:
        """Remove the scratch files whose writers are dead; how many there were."""
        removed = 0
        with suppress(*ABSENT):
            for path in self.scratch.iterdir():
                removed += _remove_orphan(path)
        return removed

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless a derivative could be stored now."""
        with self.draft() as draft, _reported():
            draft.write_bytes(b"\xff")

    def usage(self) -> Usage | None:
        """What the store holds, at most ten seconds old; None where it is too much to count in a moment."""
        return self._counted.now()

    def free_bytes(self) -> int:
        """Bytes that the file system still takes."""
        with _reported():
            self.root.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.root).free


def _described(path: Path, status: os.stat_result) -> Stored | None:
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return None
    return Stored(path, status.st_size, int(status.st_mtime))


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _distinguish(draft: Path, published: Path) -> None:
    """Give *draft* a modification time of its own: two versions of one size, made within one second, must not
    share the entity tag that is made of both.
    """
    with suppress(*ABSENT):
        before, now = published.stat(), draft.stat()
        if before.st_size == now.st_size and int(before.st_mtime) >= int(now.st_mtime):
            os.utime(draft, (now.st_atime, int(before.st_mtime) + 1))


def _rename(draft: Path, path: Path) -> None:
    """Rename within the file system, making the folders; again where a `delete` prunes them meanwhile."""
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            draft.replace(path)
            return
    raise StoreDown(f"{path.parent} is removed as fast as it is made")


def _remove_orphan(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    except OSError:  # locked: its writer lives; or gone: it was put
        return False
    finally:
        os.close(descriptor)


@contextmanager
def _reported() -> Iterator[None]:
    """Turn what the file system refuses into `StoreDown`, with the reason and no path of ours."""
    try:
        yield
    except OSError as error:
        raise _down(error) from error


def _down(error: OSError) -> StoreDown:
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = {
        errno.ENOSPC: ": free some space, or lower the cache's bound",
        errno.EROFS: ": mount it writable",
        errno.EACCES: ": give mezcal's user the right to write there",
    }.get(error.errno or 0, "")
    return StoreDown(f"the cache folder cannot be used ({reason}){hint}")
