"""Which URL paths name derivatives of masters.

`/images/<master>` and `/mezzanine/<master>.jpg` name the mezzanine, `/derivatives/<profile>/<master>.<extension>` any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from mezcal.errors import Failure
from mezcal.recipe import MEZZANINE, Mezzanine, Profile, profiles_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mezcal.settings import Settings

IMAGES, NAMED, DERIVATIVES = "/images/", "/mezzanine/", "/derivatives/"


class NamedImage(NamedTuple):
    """What a URL path names: the path of a *master*, encoded as the URL is, and a *profile*."""

    master: str
    profile: Profile


class ImageUrls:
    """Finds the derivatives that URL paths name; *profiles* are the known ones by their names."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles

    @property
    def profiles(self) -> Iterable[Profile]:
        """The known profiles."""
        return self._profiles.values()

    @classmethod
    def of(cls, settings: Settings) -> ImageUrls:
        """Returns the URLs of an installation with these *settings*."""
        return cls(profiles_of(settings))

    def named(self, path: str) -> NamedImage | None:
        """Returns what the URL path *path* names, None if it names no derivative of a master."""
        if path.startswith(IMAGES):
            return NamedImage(path[len(IMAGES) :], MEZZANINE)
        if path.startswith(NAMED) and path.endswith(".jpg"):
            return NamedImage(path[len(NAMED) : -len(".jpg")], MEZZANINE)
        if path.startswith(DERIVATIVES):
            name, _, file = path[len(DERIVATIVES) :].partition("/")
            return self.in_profile(name, file)
        return None

    def in_profile(self, name: str, file: str) -> NamedImage | None:
        """Returns what *file*, a master's path with an extension, names in the profile *name*; None if nothing."""
        profile = self._profiles.get(name)
        if profile is None or not file.endswith(f".{profile.extension}"):
            return None
        return NamedImage(file.removesuffix(f".{profile.extension}"), profile)

    def decoded(self, path: str) -> Mezzanine | None:
        """Returns the recipe of a URL path that is percent-encoded, None if it names none."""
        named = self.named(path)
        try:
            return _recipe(unquote_to_bytes(named.master), named.profile) if named else None
        except (Failure, UnicodeError):
            return None

    def of_wsgi(self, path_info: str) -> Mezzanine | None:
        """Returns the recipe of a path as WSGI has it, its decoded bytes as Latin-1 (PEP 3333), or None."""
        named = self.named(path_info)
        try:
            return _recipe(named.master.encode("latin-1"), named.profile) if named else None
        except (Failure, UnicodeError):
            return None


def _recipe(master: bytes, profile: Profile) -> Mezzanine | None:
    return Mezzanine.parse(master.decode(), profile=profile) if master else None
