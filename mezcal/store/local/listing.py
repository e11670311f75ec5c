"""A local store's derivatives, one by one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mezcal.store.local.layout import IMAGE
from mezcal.store.local.walk import Walk, sidecar_at
from mezcal.store.values import StoredEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def entries(root: Path) -> Iterator[StoredEntry]:
    """Every derivative below *root*, those put aside left out."""
    for found in Walk(root):
        if found.size:
            look = partial(sidecar_at, root / found.folder)
            yield StoredEntry(f"{found.folder}/{IMAGE}", found.size, found.written, found.used, look)
