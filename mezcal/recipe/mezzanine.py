"""The recipe of a mezzanine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mezcal.errors import BadRecipe
from mezcal.recipe.key import key_of
from mezcal.recipe.path import plain_path

PAGE_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Mezzanine:
    """A whole master as JPEG. *path* is relative to the origin's base, *page* is counted from 1.

    `page=None` is the master's main picture: the only mezzanine that umd-lib/mezcal has.
    """

    path: str
    page: int | None = None
    kind: ClassVar[str] = "mezzanine"

    @classmethod
    def parse(cls, path: str, page: str | int | None = None) -> Mezzanine:
        """Returns the recipe for *path* as a client wrote it. Raises `BadRecipe` with the rule that it breaks."""
        return cls(plain_path(path), None if page is None else page_number(page))

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
        return self.path if self.page is None else f"{self.path} page {self.page}"

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON for messages. `from_json` is its inverse."""
        return {"kind": self.kind, "path": self.path, "page": self.page}


def page_number(page: str | int) -> int:
    """Returns *page* as a whole number from 1 to `PAGE_MAX`. Raises `BadRecipe` for anything else."""
    text = str(page)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= PAGE_MAX and len(text) <= 5):
        raise BadRecipe(f"page is {text[:20]!r}: it must be a whole number from 1 to {PAGE_MAX}")
    return int(text)
