"""What a local store does to single files, and what the file system's refusals mean."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.values import Stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
A_DAY = 86_400


def described(path: Path, status: os.stat_result) -> Stored | None:
    """The derivative at *path*; None if it is no file, or an empty one."""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return None
    return Stored(path, status.st_size, int(status.st_mtime))


def at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe in an image's place would hold its reader until somebody writes."""
    return os.open(path, flags | os.O_NONBLOCK)


def sync(path: Path) -> None:
    """Have *path* on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def distinguish(draft: Path, published: Path) -> None:
    """Give *draft* a modification time of its own: two versions of one size, made within one second, must not
    share the entity tag that is made of both.
    """
    with suppress(*ABSENT):
        before, now = published.stat(), draft.stat()
        if before.st_size == now.st_size and int(before.st_mtime) >= int(now.st_mtime):
            os.utime(draft, (now.st_atime, int(before.st_mtime) + 1))


def note_use(descriptor: int, status: os.stat_result) -> None:
    """Note that a file is used, where the file system has not for a day; its modification time stays.

    Reading notes it anyway on most mounts (`relatime`: at most once a day), but not with `noatime`, and no HEAD reads.
    """
    if time.time() - status.st_atime > A_DAY:
        with suppress(OSError):  # a read-only file system
            os.utime(descriptor, ns=(time.time_ns(), status.st_mtime_ns))


def prune(empty: Path, root: Path) -> None:
    """Remove the folder *empty* and those above it that are empty then, up to *root*."""
    with suppress(OSError):  # the first folder that still holds something ends it
        while empty != root and root in empty.parents:
            empty.rmdir()
            empty = empty.parent


def rename(draft: Path, path: Path) -> None:
    """Rename within the file system, making the folders; again where a `delete` prunes them meanwhile."""
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            draft.replace(path)
            return
    raise StoreDown(f"{path.parent} is removed as fast as it is made")


def remove_orphan(path: Path, *, only_look: bool = False) -> bool:
    """Remove a scratch file whose writer is dead; whether it was one."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not only_look:
            path.unlink()
        return True
    except OSError:  # locked: its writer lives; or gone: it was put
        return False
    finally:
        os.close(descriptor)


def lock_file(folder: Path, name: str) -> int:
    """Open the lock *name*, to be locked; neither is ever removed."""
    path, flags = str(folder / name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o644)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what the file system refuses into `StoreDown`, with the reason and no path of ours."""
    try:
        yield
    except OSError as error:
        raise down(error) from error


def down(error: OSError) -> StoreDown:
    """The failure that *error* means, with a hint for the operator."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = {
        errno.ENOSPC: ": free some space, or lower the cache's bound",
        errno.EROFS: ": mount it writable",
        errno.EACCES: ": give mezcal's user the right to write there",
    }.get(error.errno or 0, "")
    return StoreDown(f"the cache folder cannot be used ({reason}){hint}")
