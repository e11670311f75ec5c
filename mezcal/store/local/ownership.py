"""Which files of a cache folder are mezcal's: other programs may keep files with the names of profiles in it.

An `image.jpg` is always mezcal's, or umd-lib/mezcal's, and so is everything in `.mezcal`. Any other file counts only
with its record: a sidecar whose recipe names the file's profile. A hit looks only whether there is a record; whatever
lists, removes or overwrites a file reads it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import FileIO
from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.errors import StoreDown
from mezcal.recipe import EXTENSIONS, OF_FRAMES, Mezzanine, Thumbnail
from mezcal.store.local.files import open_image
from mezcal.store.local.layout import IMAGE, OURS, FileNames, sidecar_name
from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

FOREIGN_HINT = "move it away, or give the profile another name"
RECORD_BYTES_MAX = 1 << 20  # ours have two kilobytes; another program's file may have any size


def sidecar_path(image: Path) -> Path:
    """Returns the path of the sidecar of *image*."""
    return image.with_name(sidecar_name(image.name))


def sidecar_of(image: Path) -> Sidecar | None:
    """Returns the sidecar of *image*, None if there is none that can be read, or another program's file."""
    try:
        with FileIO(sidecar_path(image), opener=open_image) as file:
            sidecar = Sidecar.from_bytes(file.read(RECORD_BYTES_MAX) or b"")
    except OSError:
        return None
    return sidecar if sidecar and (image.name == IMAGE or _names(sidecar.recipe, image.name)) else None


def _names(recipe: Any, file_name: str) -> bool:
    """Returns True if *recipe*, as a sidecar has it, is of a derivative whose file is called *file_name*."""
    if not isinstance(recipe, dict):
        return False
    if recipe.get("kind") == Thumbnail.kind:
        return file_name in OF_FRAMES.values()
    named = f"{recipe.get('profile')}.{recipe.get('extension')}"
    return recipe.get("kind") == Mezzanine.kind and named == file_name


def needs_record(own: PurePosixPath) -> bool:
    """Returns True if the derivative *own*, a path below the root, counts only with its record."""
    return own.name != IMAGE and own.parts[0] != OURS


def has_record(root: Path, own: PurePosixPath) -> bool:
    """Returns True if the derivative *own* may be served. Costs at most one `stat`: the record is not read."""
    return not needs_record(own) or os.path.exists(sidecar_name(str(root / own)))  # noqa: PTH110 - on hits


def foreign_file(root: Path, own: PurePosixPath) -> Path | None:
    """Returns another program's file in the place of the derivative *own* or of its record, None if there is none."""
    image = root / own
    if not needs_record(own) or sidecar_of(image) is not None:
        return None
    return next((path for path in (image, sidecar_path(image)) if os.path.lexists(path)), None)


def refuse_foreign_file(root: Path, own: PurePosixPath) -> None:
    """Raise `StoreDown` if another program's file is in the place of the derivative *own*, or of its record."""
    foreign = foreign_file(root, own)
    if foreign is not None:
        name = foreign.relative_to(root)
        raise StoreDown(f"{name} in the cache folder is another program's file, or has no record", FOREIGN_HINT)


def remove_former_format(root: Path, own: PurePosixPath) -> bool:
    """Remove what the profile of the derivative *own* made in another format, before its settings changed.

    Its record is in the place of that of *own*, and it is served no more: a profile has one format. Returns True if
    there was one.
    """
    image = root / own
    others = [image.with_suffix(f".{extension}") for extension in EXTENSIONS.values()] if needs_record(own) else []
    former = next((other for other in others if other != image and sidecar_of(other) is not None), None)
    if former is None:
        return False
    former.unlink(missing_ok=True)  # before its record: without that it would count as another program's
    sidecar_path(former).unlink(missing_ok=True)
    return True


def remove_old_folder(folder: Path, names: FileNames) -> None:
    """Remove *folder* if it holds nothing but derivatives.

    It is in the place of a profile's file. Masters that are called so are kept by key; an old cache has them here.
    """
    with suppress(OSError):  # something else is in it, or appears meanwhile: then it stays
        with os.scandir(folder) as entries:
            found = {entry.name for entry in islice(entries, len(names.all) + 1)}
        if found <= _own_files(folder, names):
            for name in found:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()


def _own_files(folder: Path, names: FileNames) -> set[str]:
    with_record = {image for image in names.images if sidecar_of(folder / image) is not None}
    return {IMAGE, *with_record, *map(sidecar_name, with_record)}
