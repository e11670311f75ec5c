"""Profiles: the named kinds of derivatives of a master."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe
from mezcal.settings.profiles import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mezcal.settings import Settings

MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "tif": "image/tiff",
    "webp": "image/webp",
    "png": "image/png",
    "fits": "application/fits",
}
EXTENSIONS = {"jpeg": "jpg", "pyramid": "tif", "webp": "webp"}  # by the formats of profiles


@dataclass(frozen=True, slots=True)
class Profile:
    """The *name* of a kind of derivative, and the *extension* of its files: that of their format.

    Whatever else a profile says (size, quality, colours) is a setting, not part of the recipe: if it changes, stored
    derivatives are outdated, not unknown.
    """

    name: str
    extension: str

    @property
    def file_name(self) -> str:
        """The name of the file in the folder of its master. That of a mezzanine is umd-lib/mezcal's."""
        return IMAGE if self == MEZZANINE else f"{self.name}.{self.extension}"

    @classmethod
    def parse(cls, name: str, extension: str) -> Profile:
        """Returns the profile in a message. Raises `BadRecipe`."""
        if not NAME.fullmatch(name) or extension not in MEDIA_TYPES:
            raise BadRecipe(f"the message names the profile {name[:40]!r} with files .{extension[:10]}: there is none")
        return cls(name, extension)

    @classmethod
    def of_file(cls, file_name: str) -> Profile:
        """Returns the profile whose files are called *file_name*. Raises `BadRecipe` if none can be."""
        if file_name == IMAGE:
            return MEZZANINE
        name, _, extension = file_name.rpartition(".")
        return cls.parse(name, extension)


IMAGE = "image.jpg"
MEZZANINE = Profile("mezzanine", "jpg")
PYRAMID = Profile("pyramid", "tif")
OF_FRAMES = {  # pictures of frames, by the formats of a request; no master is called so
    None: "image.jpg",
    "png": "frame-picture.png",
    "webp": "frame-picture.webp",
    "fits": "frame-picture.fits",
}


def profiles_of(settings: Settings) -> dict[str, Profile]:
    """Returns the profiles of *settings* by their names."""
    return {name: Profile(name, EXTENSIONS[fields.format]) for name, fields in settings.profiles.items()}


def chosen_profiles(names: Sequence[str], settings: Settings) -> list[Profile]:
    """Returns the profiles called *names*, each once; the mezzanine if there are none. Raises `BadRecipe`."""
    known = profiles_of(settings)
    for name in (name for name in names if name not in known):
        raise BadRecipe(f"there is no profile {name[:40]!r}: it may be {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or [MEZZANINE]
