"""A folder in memory for the files by which processes count together and show that they live.

On a disk, a full or failing one would end the processes: prometheus_client maps its files into memory, and the first
write to a page for which the disk has no block is a SIGBUS.
"""

from __future__ import annotations

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
    for left in parent.glob(f"{PREFIX}-{os.getuid()}-*"):
        if not is_alive(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{PREFIX}-{os.getuid()}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    return folder


def is_alive(pid: int) -> bool:
    """Returns False if there is no process *pid*, or if it is a zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # the process of another user, or a system without /proc
        return True
