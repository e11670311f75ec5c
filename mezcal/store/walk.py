"""A walk through a local store in parts: each goes on where the one before ended, in whichever process."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine
from mezcal.store.entry import Sidecar
from mezcal.store.layout import IMAGE, SIDECAR, pages

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Seen:
    """A folder of the store: its image's size and when that was last noted as fresh, None where there is none."""

    folder: str
    size: int | None
    noted: float | None


def next_part(root: Path, after: str, most: int) -> tuple[list[Seen], bool]:
    """The *most* folders behind *after* ("" is the beginning), and whether these are the last."""
    part = list(islice(_folders(root, PurePath(after).parts), most))
    return part, len(part) < most


def _folders(root: Path, after: tuple[str, ...]) -> Iterator[Seen]:
    """The folders behind *after*, each before those in it, in the order of their names."""
    ahead: list[tuple[str, tuple[str, ...] | None]] = [("", after)]  # None: nothing of it was seen before
    while ahead:
        folder, seen_to = ahead.pop()
        below, files = _listed(root / folder)
        if seen_to is None:
            yield _seen(folder, files)
        for name in sorted(below, reverse=True):
            if not seen_to or name >= seen_to[0]:
                rest = seen_to[1:] if seen_to and name == seen_to[0] else None
                ahead.append((os.path.join(folder, name), rest))  # noqa: PTH118 - a hundred thousand times


def _listed(folder: Path) -> tuple[list[str], dict[str, os.stat_result]]:
    below, files = [], {}
    with suppress(OSError), os.scandir(folder) as entries:  # it may be pruned meanwhile
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            elif entry.name in {IMAGE, SIDECAR}:
                files[entry.name] = entry.stat()
    return below, files


def _seen(folder: str, status: dict[str, os.stat_result]) -> Seen:
    image, sidecar = status.get(IMAGE), status.get(SIDECAR)
    return Seen(folder, image.st_size if image else None, sidecar.st_mtime if sidecar else None)


def sidecar_at(folder: Path) -> Sidecar | None:
    """The sidecar in *folder*, None if there is none that can be read."""
    try:
        return Sidecar.from_bytes((folder / SIDECAR).read_bytes())
    except OSError:
        return None


def pages_in(root: Path, path: str) -> list[Mezzanine]:
    """The pages of the master at *path* that have a folder."""
    below, _ = _listed(root / pages(path))
    return [Mezzanine(path, int(name)) for name in below if name.isdecimal()]
