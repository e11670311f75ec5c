"""Opens files and folders below a folder, name by name, so that no link leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

# O_PATH: a folder that may be entered but not listed can be passed, too.
FOLDER_FLAGS = os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK  # opening a pipe would wait for its writer


def open_without_links(root: str, names: Sequence[str]) -> BinaryIO:
    """Open the file at *names* below *root*. Raises `OSError` if there is no such file, or if one of *names* is a link.

    Each folder is opened in the one before it. So a folder that another program replaces by a link, after the path was
    resolved, does not lead out of *root*.
    """
    *folders, name = names or (".",)
    with _entered(root, folders) as descriptor:
        return open_regular(name, descriptor)


def open_regular(name: str, folder: int) -> BinaryIO:
    """Open the regular file *name* in the open *folder*. Raises `OSError` if it is something else, or a link."""
    descriptor = os.open(name, FILE_FLAGS, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return os.fdopen(descriptor, "rb")


@contextmanager
def scanned(root: str, folders: Sequence[str]) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Open the folder at *folders* below *root* for listing. Raises `OSError` as `open_without_links` does."""
    with _entered(root, folders) as descriptor:
        listed = os.open(".", os.O_DIRECTORY | os.O_RDONLY, dir_fd=descriptor)
    try:
        with os.scandir(listed) as entries:
            yield entries
    finally:
        os.close(listed)


@contextmanager
def _entered(root: str, folders: Sequence[str]) -> Iterator[int]:
    """Open the folder at *folders* below *root*. Its descriptor is closed at the end."""
    descriptor = os.open(root, FOLDER_FLAGS)
    try:
        for folder in folders:
            above, descriptor = descriptor, os.open(folder, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(above)
        yield descriptor
    finally:
        os.close(descriptor)
