"""A local store's derivatives, one by one."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.store.entry import Entry
from mezcal.store.layout import BY_KEY, IMAGE, OURS
from mezcal.store.walk import sidecar_at

if TYPE_CHECKING:
    from collections.abc import Iterator


def entries(root: Path) -> Iterator[Entry]:
    """Every derivative below *root*, those put aside left out."""
    for folder, below, names in os.walk(root):
        if folder == str(root / OURS):
            below[:] = [name for name in below if name == BY_KEY]
        if IMAGE in names:
            with suppress(OSError):  # it may be removed meanwhile
                status = os.stat(os.path.join(folder, IMAGE))  # noqa: PTH116, PTH118 - a million times
                if status.st_size:
                    yield _entry(root, Path(folder), status)


def _entry(root: Path, folder: Path, status: os.stat_result) -> Entry:
    name = (folder / IMAGE).relative_to(root).as_posix()
    return Entry(name, status.st_size, status.st_mtime, status.st_atime, partial(sidecar_at, folder))
