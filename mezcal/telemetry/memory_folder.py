"""A folder in memory for the files by which processes count together and show that they live.

On a disk, a full or failing one would end the processes: prometheus_client maps its files into memory, and the first
write to a page for which the disk has no block is a SIGBUS.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - files there are in memory; each folder in it has mode 0700
PREFIX = "mezcal-run"


@contextmanager
def memory_folder() -> Iterator[Path]:
    """Create the folder of this process, and remove it at the end."""
    folder = create_memory_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_memory_folder() -> Path:
    """Create the folder of this process, and remove those that dead processes of this user have left. Returns it.

    It is among the temporary files where the system has no folder in memory.
    """
    in_memory = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK)
    parent = SHARED_MEMORY if in_memory else Path(tempfile.gettempdir())
    prefix = f"{PREFIX}-{os.getuid()}-"
    for left in parent.glob(f"{prefix}*"):
        lock = _locked(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)  # another user's folder stays
            os.close(lock)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))
        if _locked(folder) is not None and folder.exists():  # else another process removed it before the lock
            return folder  # the lock lasts until this process and its children have ended


def _locked(folder: Path) -> int | None:
    """Lock *folder*. Returns the descriptor that holds the lock, None if a living process has it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_alive(pid: int) -> bool:
    """Returns False if there is no process *pid*, or if it is a zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # the process of another user, or a system without /proc
        return True
