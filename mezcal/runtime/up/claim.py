"""What one `mezcal up` reserves before it starts anything: the data folder, one in memory, and the cache."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import CannotStart
from mezcal.store.origin_note import ADOPT, ForeignStore, cache_left_behind, claim_store, remove_unused_cache
from mezcal.telemetry.memory_folder import memory_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.settings import Settings

ORPHANS_SECONDS = 15.0  # that the parts of a killed `mezcal up` may take to end
POLL_SECONDS = 0.05
NEXT_STEP = "stop that one, or name another folder with --data-dir"
FORMER_CACHE = "cache"  # in DATA_DIR, of the development versions: for all origins


@dataclass(frozen=True, slots=True)
class Folder:
    """The data folder, reserved for this process. A process that inherits *lock* keeps it reserved until it ends.

    *memory* is a folder in memory for what must work while the disk is full: heartbeat files and metrics.
    """

    root: Path
    lock: int
    memory: Path

    @property
    def run(self) -> Path:
        """The folder for sockets and heartbeat files; nothing in it is needed after a stop."""
        return self.root / "run"


@contextmanager
def claimed(root: Path) -> Iterator[Folder]:
    """Reserve the data folder *root* for this process; it is created if needed. Raises `CannotStart`.

    There are two locks: `mezcal up` holds `up.lock`, every part also holds `parts.lock`. After a kill -9 of `mezcal up`
    the next one waits until the parts have ended: two brokers that append to one file would damage it.
    """
    with ExitStack() as stack:
        try:
            for folder in (root, root / "run", root / "broker"):
                folder.mkdir(mode=0o777 if folder is root else 0o700, parents=True, exist_ok=True)
            own, parts = (_opened(root / "run" / name, stack) for name in ("up.lock", "parts.lock"))
        except OSError as error:
            raise CannotStart(f"the data folder {root} cannot be written: {error.strerror}") from error
        if not _locked(own, patience=0):
            raise CannotStart(f"the data folder {root} is in use by another mezcal{_holder(own)}: {NEXT_STEP}")
        os.truncate(own, 0)
        os.pwrite(own, str(os.getpid()).encode(), 0)
        stack.callback(os.truncate, own, 0)
        if not _locked(parts, patience=ORPHANS_SECONDS):
            raise CannotStart(f"the data folder {root} is in use by parts of a mezcal that was killed: {NEXT_STEP}")
        yield Folder(root, parts, stack.enter_context(memory_folder()))


def _opened(path: Path, stack: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    stack.callback(os.close, descriptor)
    return descriptor


def _locked(descriptor: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


def _holder(descriptor: int) -> str:
    pid = os.pread(descriptor, 20, 0).decode()
    return f" (process {pid})" if pid else ""


def claim_cache(settings: Settings) -> list[str]:
    """Claim the cache for the origin of *settings*. Returns lines for the log. Raises `ForeignStore`, `CannotStart`."""
    lines = [_take_former_cache(settings), _left_behind(settings), claim_store(settings)]
    return [line for line in lines if line]


def _left_behind(settings: Settings) -> str | None:
    folder = cache_left_behind(settings)
    if folder is None:
        return None
    remedy = f"to keep its images, stop mezcal and run once: {ADOPT} {folder}"
    return f"the cache {folder} is not used since REPO_BASE_URL was added; {remedy}"


def _take_former_cache(settings: Settings) -> str | None:
    """Rename the cache that an older version made in DATA_DIR, if it is the origin's, which has no images elsewhere.

    Returns a line for the log.
    """
    former, folder = settings.data_dir.absolute() / FORMER_CACHE, settings.cache_dir
    wanted = settings.storage == "local" and settings.storage_dir is None
    if not wanted or not former.is_dir() or folder.resolve() == former.resolve():
        return None
    try:
        claim_store(settings.model_copy(update={"storage_dir": former}))
    except ForeignStore as error:
        return f"it is not used: {error}"
    if not remove_unused_cache(settings):
        return f"the cache {former} of an older version is not used: {folder} is in use already"
    try:
        former.rename(folder)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise CannotStart(f"the cache {former} cannot be renamed to {folder}: {error.strerror}") from error
        folder.symlink_to(former.name)  # a disk of its own is mounted there, and a mount point cannot be renamed
    return f"the cache {former} is now {folder}"
