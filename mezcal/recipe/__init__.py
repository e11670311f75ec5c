"""What is wanted, as a frozen value: the same recipe has the same key in every process, on every day."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from typing import Any, ClassVar

from mezcal.errors import BadRecipe
from mezcal.recipe.thumbnail_options import ThumbnailOptions

PATH_MAX = 2048  # bytes of UTF-8: servers in front accept 4 or 8 KiB of quoted URL, three bytes for each
PAGE_MAX = 65_535
THUMBNAIL_PIPELINE = 1  # raised whenever the same look of the same frames begins to have other pixels
NAME_MAX = 255


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
        return key_of(self.as_json())

    @property
    def label(self) -> str:
        """The recipe for people, in logs and in Flower."""
        return self.path if self.page is None else f"{self.path} page {self.page}"

    def as_json(self) -> dict[str, Any]:
        """Small JSON for messages; `from_json` is its inverse."""
        return {"kind": self.kind, "path": self.path, "page": self.page}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a science archive: its id, its file's name, and what tells its file from earlier ones."""

    id: int
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of one frame, or of three as red, visual and blue; *pipeline* made or makes it."""

    frames: tuple[Frame, ...]
    look: ThumbnailOptions
    pipeline: int = THUMBNAIL_PIPELINE
    kind: ClassVar[str] = "thumbnail"

    @property
    def key(self) -> str:
        """32 hex digits: other pixels, or another version of a frame, other digits."""
        return key_of(self.as_json())

    @property
    def label(self) -> str:
        """The recipe for people, in logs and in Flower."""
        return f"thumbnail of {'+'.join(frame.name for frame in self.frames)}"

    def as_json(self) -> dict[str, Any]:
        """Small JSON for messages; `from_json` is its inverse."""
        frames = [[frame.id, frame.name, frame.version] for frame in self.frames]
        return {"kind": self.kind, "frames": frames, "look": self.look.as_json(), "pipeline": self.pipeline}


Recipe = Mezzanine | Thumbnail


def key_of(data: dict[str, Any]) -> str:
    """The key of a recipe's JSON: the same in every process, on every day."""
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def from_json(data: dict[str, Any]) -> Recipe:
    """The recipe of a message, checked again: a message is input too."""
    match data.get("kind"):
        case Mezzanine.kind:
            return Mezzanine.parse(str(data.get("path", "")), data.get("page"))
        case Thumbnail.kind:
            return _thumbnail(data)
        case other:
            raise BadRecipe(f"there is no recipe of the kind {other!r}")


def _thumbnail(data: dict[str, Any]) -> Thumbnail:
    try:
        frames = tuple(Frame(int(number), str(name), str(version)) for number, name, version in data["frames"])
        look, pipeline = dict(data["look"]), int(data["pipeline"])
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecipe("the message holds no thumbnail's recipe") from error
    if len(frames) not in {1, 3} or any(len(frame.name) > NAME_MAX for frame in frames):
        raise BadRecipe("a thumbnail has one frame or three")
    return Thumbnail(frames, ThumbnailOptions.parse(look, max_edge=PAGE_MAX), pipeline)


def plain_path(path: str) -> str:
    """*path* unchanged if it is a plain relative path: RFC 3986 segments, none empty, `.` or `..`."""
    if not path:
        raise BadRecipe("the path is empty: name a master, as in /images/<path>")
    if len(path) > PATH_MAX or (not path.isascii() and len(path.encode("utf-8", "surrogatepass")) > PATH_MAX):
        raise BadRecipe(f"the path is longer than {PATH_MAX} bytes")
    # What is printable has no control characters, and is told from the rest a hundred times as fast.
    if not path.isprintable() and any(unicodedata.category(char) in {"Cc", "Cs"} for char in path):
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
