"""Whether this user may write in the folders of a cache: one of another program may belong to another user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from mezcal.store.local.files import chown_command
from mezcal.store.local.layout import OURS
from mezcal.store.local.walk import LEFT_ALONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

AS_EFFECTIVE_USER = os.access in os.supports_effective_ids


def folders_in(root: Path) -> Iterator[str]:
    """Yields the names of the folders in mezcal's own folder, then of those in *root*."""
    for parent in (OURS, ""):
        with os.scandir(root / parent) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield f"{parent}/{entry.name}" if parent else entry.name


def check_owner(root: Path, folders: Iterable[str]) -> None:
    """Raise `StoreDown`, with the command that mends it, if this user may not write in one of *folders* in *root*."""
    for folder in folders:
        if not _is_foreign(folder) and not _can_write(root / folder):
            raise StoreDown(
                "a folder of the cache belongs to another user, so no image can be stored in it: " + chown_command()
            )


def _is_foreign(folder: str) -> bool:
    """Returns True for what a file system adds at the root: `lost+found`, `.snapshot`."""
    first = folder.partition("/")[0]
    return first in LEFT_ALONE or (first.startswith(".") and first != OURS)


def _can_write(folder: Path) -> bool:
    """Returns True if this user may create files in *folder*, or if it has just been removed."""
    allowed = os.access(folder, os.W_OK | os.X_OK, effective_ids=AS_EFFECTIVE_USER)
    return allowed or not folder.exists()


def check_rename(new: Path, old: Path, root: Path) -> None:
    """Raise `StoreDown` unless renaming a draft over another replaces it, and *root* is on the same file system."""
    new.write_bytes(b"new")
    old.write_bytes(b"old")
    new.replace(old)
    if new.exists() or old.read_bytes() != b"new":
        raise StoreDown("a rename does not replace a file at once: use a file system with POSIX renames")
    if old.parent.stat().st_dev != root.stat().st_dev:
        raise StoreDown(f"{old.parent} is on another file system than {root}: mount only the cache's root")
