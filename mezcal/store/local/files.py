"""Operations on single files of a local store, and the failures that errors of the file system mean."""

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
IRREGULAR = (errno.ELOOP, errno.ENXIO)  # of links, which are not followed, and of sockets
DAY = 86_400
LOCK_POLL_SECONDS = 0.05


def described(path: Path, status: os.stat_result) -> Stored | None:
    """Returns the derivative at *path* with *status*, None if it is no regular file or an empty one."""
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return None
    return Stored(path, status.st_size, int(status.st_mtime))


def open_image(path: str, flags: int) -> int:
    """Open a file, but no link to one. A named pipe in its place does not block."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def is_folder(path: Path) -> bool:
    """Returns True if *path* is a folder, or a link to one."""
    with suppress(OSError):
        return stat.S_ISDIR(path.stat().st_mode)
    return False


def sync(path: Path) -> None:
    """Flush *path* to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def ensure_new_etag(draft: Path, published: Path) -> None:
    """Give *draft* another modification time than *published* has, if both have the same size.

    The entity tag consists of size and second: two versions made within a second must not share it.
    """
    with suppress(*ABSENT):
        before, now = published.stat(), draft.stat()
        if before.st_size == now.st_size and int(before.st_mtime) >= int(now.st_mtime):
            os.utime(draft, (now.st_atime, int(before.st_mtime) + 1))


def set_last_use(descriptor: int, status: os.stat_result) -> None:
    """Set the access time of a file to now, unless it is less than a day old. The modification time stays.

    Reading sets it on most mounts (`relatime`: at most once a day), but not with `noatime`, and a HEAD reads nothing.
    """
    if time.time() - status.st_atime > DAY:
        with suppress(OSError):  # a read-only file system
            os.utime(descriptor, ns=(time.time_ns(), status.st_mtime_ns))


def prune(empty: Path, root: Path) -> None:
    """Remove the folder *empty*, and then the empty folders above it, up to *root*."""
    with suppress(OSError):  # the first folder that is not empty ends it
        while empty != root and root in empty.parents:
            empty.rmdir()
            empty = empty.parent


def rename(draft: Path, path: Path) -> None:
    """Rename within the file system, creating the folders; again if a `delete` removes them meanwhile."""
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            draft.replace(path)
            return
    raise StoreDown(f"{path.parent} is removed as fast as it is created")


def remove_orphan(path: Path, *, dry_run: bool = False) -> bool:
    """Remove a scratch file whose writer is dead. Returns True if it is one; with *dry_run* it stays."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not dry_run:
            path.unlink()
        return True
    except OSError:  # locked: its writer lives; or gone: it was put
        return False
    finally:
        os.close(descriptor)


def lock_file(folder: Path, name: str) -> int:
    """Open the lock file *name*, to be locked. Lock files are never removed: that needs another lock to be safe."""
    path, flags = str(folder / name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o644)


def lock_within(descriptor: int, patience: float | None) -> None:
    """Lock the file behind *descriptor*. Raises `StoreDown` if others hold its lock for *patience* seconds."""
    if patience is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    ends = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= ends:
                raise StoreDown("another process publishes to this part of the store: try again") from None
            time.sleep(LOCK_POLL_SECONDS)
        else:
            return


@contextmanager
def os_errors_as_store_down() -> Iterator[None]:
    """Turn errors of the file system into `StoreDown`, with the reason and without our paths."""
    try:
        yield
    except OSError as error:
        raise as_store_down(error) from error


def chown_command() -> str:
    """Returns what an operator does if this user may not write to the cache."""
    return f"as root, run chown -R {os.geteuid()}:{os.getegid()} on the folder of STORAGE_DIR"


def as_store_down(error: OSError) -> StoreDown:
    """Returns the failure that *error* means, with a hint for the operator."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    hint = {
        errno.ENOSPC: ": free some space, or lower the cache's bound",
        errno.EROFS: ": mount it writable",
        errno.EACCES: f": {chown_command()}",
    }.get(error.errno or 0, "")
    return StoreDown(f"the cache folder cannot be used ({reason}){hint}")
