"""What is wanted, as a frozen value: the same recipe has the same key in every process, on every day."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

from mezcal.errors import BadRecipe

PATH_MAX = 2048  # bytes of UTF-8: servers in front accept 4 or 8 KiB of quoted URL, three bytes for each
PAGE_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Mezzanine:
    """The whole of one master as JPEG: *path* relative to the origin's base, *page* counted from 1.

    `page=None` is the master's main picture, and the only mezzanine umd-lib/mezcal knows.
    """

    path: str
    page: int | None = None
    kind: ClassVar[str] = "mezzanine"

    @classmethod
    def parse(cls, path: str, page: str | int | None = None) -> Mezzanine:
        """The recipe for *path*, as a client wrote it; `BadRecipe` says which rule it breaks."""
        return cls(plain_path(path), None if page is None else page_number(page))

    @property
    def key(self) -> str:
        """32 hex digits that name this recipe in Redis, in logs and in job URLs."""
        canonical = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """The recipe for people, in logs and in Flower."""
        return self.path if self.page is None else f"{self.path} page {self.page}"

    def as_json(self) -> dict[str, Any]:
        """Small JSON for messages; `from_json` is its inverse."""
        return {"kind": self.kind, "path": self.path, "page": self.page}


Recipe = Mezzanine


def from_json(data: dict[str, Any]) -> Recipe:
    """The recipe of a message, checked again: a message is input too."""
    if data.get("kind") != Mezzanine.kind:
        raise BadRecipe(f"there is no recipe of the kind {data.get('kind')!r}")
    return Mezzanine.parse(str(data.get("path", "")), data.get("page"))


def plain_path(path: str) -> str:
    """*path* unchanged if it is a plain relative path: RFC 3986 segments, none empty, `.` or `..`."""
    if not path:
        raise BadRecipe("the path is empty: name a master, as in /images/<path>")
    if len(path.encode("utf-8", "surrogatepass")) > PATH_MAX:
        raise BadRecipe(f"the path is longer than {PATH_MAX} bytes")
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in path):
        raise BadRecipe("the path holds a control character")
    if "\N{REPLACEMENT CHARACTER}" in path:
        raise BadRecipe("the path is not UTF-8")
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            raise BadRecipe(f"the path has a segment {segment!r}: only plain relative paths name a master")
    return path


def page_number(page: str | int) -> int:
    """*page* as a whole number from 1."""
    text = str(page)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= PAGE_MAX and len(text) <= 5):
        raise BadRecipe(f"page is {text[:20]!r}: it must be a whole number from 1 to {PAGE_MAX}")
    return int(text)
