"""All the work in one place: fetch the master, convert it, store the derivative."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from mezcal.convert import convert
from mezcal.errors import NotAnImage, StoreDown, Undecodable
from mezcal.recipe import Thumbnail
from mezcal.store.housekeeping.free_space import drafted
from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.convert import ConversionOptions, ConvertedImage
    from mezcal.origin import Master, Origin
    from mezcal.progress import Progress
    from mezcal.recipe import Recipe, ThumbnailOptions
    from mezcal.store import Store, Stored

    Room = Callable[[int], None] | None

PIPELINE = 1  # raised whenever the same choices begin to make other pixels


def _unguarded() -> None:
    """Nobody else makes this derivative."""


def derive(  # noqa: PLR0913 - all the work, in one call
    recipe: Recipe,
    origin: Origin,
    store: Store,
    choices: ConversionOptions,
    *,
    guard: Callable[[], None] = _unguarded,
    remake: bool = False,
    progress: Progress | None = None,
    room: Callable[[int], None] | None = None,
) -> Stored:
    """Make the derivative unless it is there. Safe to run twice, even at once.

    *progress* is kept up to date. *room* is told how much memory it takes, and returns when there is so much.
    *guard* is asked just before publishing and raises `Superseded` where another has taken over. Raises the
    `Failure` that says why there is no derivative; nothing is left behind then.
    """
    found = None if remake else store.find(recipe)
    if found is not None:
        return found
    with ExitStack() as stack:
        masters: list[Master] = []

        def make(draft: Path) -> Stored:
            if not masters:  # else the disk was full when they had arrived
                masters.extend([stack.enter_context(origin.open(name)) for name in _names(recipe)])
            sidecar = _made(recipe, masters, draft, choices, progress, room)
            if progress is not None:
                progress.drawn(sidecar)
            stored = store.put(recipe, draft, sidecar, guard)
            if progress is not None:
                progress.stored()
            return stored

        return drafted(store, make)


def _names(recipe: Recipe) -> list[str]:
    """What *recipe*'s origin calls its masters: a path, or the ids of frames, which are downloaded at once."""
    return [str(frame.id) for frame in recipe.frames] if isinstance(recipe, Thumbnail) else [recipe.path]


def _made(
    recipe: Recipe,
    masters: list[Master],
    draft: Path,
    choices: ConversionOptions,
    progress: Progress | None,
    room: Room,
) -> Sidecar:
    """Write the picture of *recipe* to *draft*, and what is known of it."""
    if progress is not None:
        progress.reading(*masters)
    if isinstance(recipe, Thumbnail):
        picture = _drawn(masters, draft, recipe.options, choices.max_pixels, room)
        return _sidecar(recipe, masters, picture, draft, f"thumbnail {recipe.pipeline}")
    picture = _whole(masters[0], draft, choices, recipe.page, progress, room)
    return _sidecar(recipe, masters, picture, draft, version(choices))


def _drawn(
    masters: list[Master], draft: Path, look: ThumbnailOptions, max_pixels: int | None, room: Room
) -> ConvertedImage:
    """Draw *masters*, and say that one broke off where it looks damaged; never a picture of half a frame."""
    from mezcal.convert.fits.thumbnail import draw  # noqa: PLC0415 - astropy: only for those who draw frames

    files = [master.file for master in masters]
    try:
        picture = draw(files, draft, look, scratch=draft.parent, max_pixels=max_pixels, room=room)
    except (NotAnImage, Undecodable):  # whatever else ended it, nobody shall wait for what is still to arrive
        _complete(masters)
        raise
    _complete(masters)
    return picture


def _complete(masters: list[Master]) -> None:
    for master in masters:
        master.complete()


def _whole(
    master: Master, draft: Path, choices: ConversionOptions, page: int | None, progress: Progress | None, room: Room
) -> ConvertedImage:
    """Convert *master*, and say that it broke off where a decoder would call it damaged."""
    tell = progress.converting if progress is not None else None
    try:
        picture = convert(master.file, draft, choices, page, scratch=draft.parent, progress=tell, room=room)
    except Undecodable:
        master.complete()  # raises what is truer: that the master was cut on its way
        raise
    except OSError as error:  # reading fails as a `Failure`, so it is writing that did: a full disk, most often
        raise StoreDown(f"the picture could not be written: {error.strerror or error}") from error
    master.complete()
    return picture


def _sidecar(recipe: Recipe, masters: list[Master], picture: ConvertedImage, draft: Path, made_by: str) -> Sidecar:
    master = masters[0]
    now = time.time()
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Sidecar(
        recipe=recipe.as_json(),
        recipe_version=made_by,
        source=" ".join(master.source for master in masters),
        master_etag=master.etag,
        master_last_modified=master.last_modified,
        master_size=master.size,
        master_format=picture.master_format,
        size=draft.stat().st_size,
        width=picture.width,
        height=picture.height,
        sha256=digest,
        made=now,
        fresh=now,
        note=picture.note,
    )


def version(choices: ConversionOptions) -> str:
    """Twelve hex digits for all that makes pixels: other settings, or a better pipeline, other digits."""
    canonical = json.dumps([PIPELINE, asdict(choices)], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
