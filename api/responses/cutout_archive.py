"""Stored cutouts as one tar, written while it is sent."""

from __future__ import annotations

import json
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.recipe import Thumbnail
    from mezcal.store import Opened, Store

BLOCK = 512  # bytes, of tar
PIECE = 1 << 16
INDEX = "index.json"


def tar_of(recipes: list[tuple[int, Thumbnail]], answer: dict[str, Any], store: Store) -> Iterator[bytes]:
    """Yield a tar with `index.json`, which is *answer*, and the stored derivatives of *recipes* by their numbers.

    One that was evicted a moment ago is left out.
    """
    index = json.dumps(answer, indent=1).encode()
    yield from _member(INDEX, len(index), 0, iter([index]))
    for number, recipe in recipes:
        opened = store.open(recipe)
        if opened is not None:
            extension = recipe.file_name.rpartition(".")[2]
            name = f"{number:04}-{_plain(recipe.frames[0].name)}.{extension}"
            with closing(opened.file):
                yield from _member(name, opened.stored.size, opened.stored.modified, _pieces(opened))
    yield b"\0" * 2 * BLOCK


def _member(name: str, size: int, modified: float, pieces: Iterator[bytes]) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = size, int(modified)
    yield member.tobuf(tarfile.GNU_FORMAT)
    yield from pieces
    yield b"\0" * (-size % BLOCK)


def _pieces(opened: Opened) -> Iterator[bytes]:
    while piece := opened.file.read(PIECE):
        yield piece


def _plain(name: str) -> str:
    """Return a frame's *name* without its extensions, and without what a path could mean."""
    letters = (char if char.isascii() and (char.isalnum() or char in "-_") else "_" for char in name.partition(".")[0])
    return "".join(letters)[:80] or "frame"
