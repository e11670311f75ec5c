"""The recipe of a mezzanine, or of another derivative of a whole master."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from mezcal.errors import BadRecipe
from mezcal.recipe.key import key_of
from mezcal.recipe.path import plain_path
from mezcal.recipe.profile import MEZZANINE, Profile

PAGE_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Mezzanine:
    """A whole master in one profile. *path* is relative to the origin's base, *page* is counted from 1.

    `page=None` is the master's main picture. In the profile `mezzanine`, it is the only derivative that
    umd-lib/mezcal has.
    """

    path: str
    page: int | None = None
    profile: Profile = MEZZANINE
    kind: ClassVar[str] = "mezzanine"

    @classmethod
    def parse(cls, path: str, page: str | int | None = None, profile: Profile = MEZZANINE) -> Mezzanine:
        """Returns the recipe for *path* as a client wrote it. Raises `BadRecipe` with the rule that it breaks."""
        return cls(plain_path(path), None if page is None else page_number(page), profile)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mezzanine:
        """Returns the recipe whose `as_json` is *data*. Raises `BadRecipe`."""
        name, extension = data.get("profile", MEZZANINE.name), data.get("extension", MEZZANINE.extension)
        profile = Profile.parse(str(name), str(extension))
        return cls.parse(str(data.get("path", "")), data.get("page"), profile)

    @property
    def key(self) -> str:
        """32 hex digits that name this recipe in the store, in Redis, in logs and in the URLs of jobs."""
        return key_of(self.as_json())

    @property
    def masters_key(self) -> str:
        """16 hex digits that name the master: recipes with the same ones can be made from one download."""
        return key_of({"kind": self.kind, "path": self.path})[:16]

    @property
    def label(self) -> str:
        """The recipe as people read it, in logs and in Flower."""
        page = "" if self.page is None else f" page {self.page}"
        profile = "" if self.profile == MEZZANINE else f" as {self.profile.name}"
        return f"{self.path}{page}{profile}"

    @property
    def profile_name(self) -> str:
        """The name of the profile, for settings and metrics."""
        return self.profile.name

    @property
    def file_name(self) -> str:
        """The name of the derivative's file in its folder of the store."""
        return self.profile.file_name

    @property
    def is_main(self) -> bool:
        """True for the mezzanine of the main picture, which stands for its master."""
        return self.page is None and self.profile == MEZZANINE

    def main(self) -> Mezzanine:
        """Returns the mezzanine of the main picture of the same master."""
        return Mezzanine(self.path)

    def in_profile(self, profile: Profile) -> Mezzanine:
        """Returns the derivative of the same picture in another *profile*."""
        return replace(self, profile=profile)

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON for messages. `from_json` is its inverse.

        A mezzanine names no profile: another form would change the key of each.
        """
        named = {"profile": self.profile.name, "extension": self.profile.extension}
        shown = {"kind": self.kind, "path": self.path, "page": self.page}
        return shown if self.profile == MEZZANINE else shown | named


def page_number(page: str | int) -> int:
    """Returns *page* as a whole number from 1 to `PAGE_MAX`. Raises `BadRecipe` for anything else."""
    text = str(page)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= PAGE_MAX and len(text) <= 5):
        raise BadRecipe(f"page is {text[:20]!r}: it must be a whole number from 1 to {PAGE_MAX}")
    return int(text)
