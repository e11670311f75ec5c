"""What the tests of every store share: stores of each kind, and derivatives to put into them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store import DerivativeStore, LocalStore, Sidecar
from mezcal.store.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.recipe import Recipe
    from mezcal.store import Stored
    from tests.support.s3_server import S3Server

RECIPE = Mezzanine.parse("dc/1")
JPEG = b"\xff\xd8 whole \xff\xd9"
LOCAL = [f"local {layout}" for layout in Layout]
OBJECTS = ["s3", "s3 without conditions"]
STORES = [*LOCAL, *OBJECTS]


def opened(kind: str, folder: Path, servers: Callable[[str], S3Server], pin_seconds: float = 60) -> DerivativeStore:
    """Returns an empty store of *kind*."""
    if kind in LOCAL:
        return LocalStore(folder / "cache", Layout(kind.split()[1]), pin_seconds)
    server = servers("s3" if kind == "s3" else "plain_s3")
    return S3Store(server.settings(server.bucket(), folder, aws_prefix="pre/fix", pin_seconds=pin_seconds))


def sidecar(content: bytes = JPEG, recipe: Recipe = RECIPE, made: float = 1_795_000_000.25) -> Sidecar:
    return Sidecar(
        recipe=recipe.as_json(), recipe_version="1", source=f"http://x/{recipe.label}", master_etag='W/"ä b"',
        master_last_modified="Sun, 22 Nov 2026 03:00:00 GMT", master_size=9, master_format="TIFF", size=len(content),
        width=3, height=2, sha256=hashlib.sha256(content).hexdigest(), made=made, fresh=made,
    )  # fmt: skip


def nobody_else() -> None:
    """Do nothing: the lease is still held."""


def put(
    store: DerivativeStore, content: bytes = JPEG, guard: Callable[[], None] = nobody_else, recipe: Recipe = RECIPE
) -> Stored:
    with store.draft() as draft:
        draft.write_bytes(content)
        return store.put(recipe, draft, replace(sidecar(content, recipe), made=made_now()), guard)


def made_now() -> float:
    """Returns a time that no other derivative of this run has."""
    return 1_795_000_000 + int.from_bytes(os.urandom(4)) / 1000


def content(store: DerivativeStore, recipe: Recipe = RECIPE) -> bytes | None:
    """Returns the bytes that a client would get, None if nothing is stored."""
    found = store.open(recipe)
    if found is None:
        return None
    with found.file:
        return found.file.read()
