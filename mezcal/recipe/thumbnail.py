"""The recipe of a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mezcal.errors import BadRecipe
from mezcal.recipe.cutout import CHIPS_NAMED_MAX
from mezcal.recipe.key import key_of
from mezcal.recipe.profile import OF_FRAMES
from mezcal.recipe.thumbnail_options import ThumbnailOptions

PIPELINE = 2  # increased whenever the same options and frames begin to give other pixels
FRAME_NAME_MAX = 255  # characters
LABEL_NAMES = 3  # in a label: a mosaic has up to 17
EDGE_MAX = 65_535  # pixels: messages are checked less strictly than requests, because settings may have changed


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a science archive: its id, its file's name, and the version of its file."""

    id: int
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of one frame, of three as red, visual and blue, or of several as one mosaic.

    *pipeline* is the version of the drawing.
    """

    frames: tuple[Frame, ...]
    options: ThumbnailOptions
    pipeline: int = PIPELINE
    kind: ClassVar[str] = "thumbnail"

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Thumbnail:
        """Returns the thumbnail whose `as_json` is *data*. Raises `BadRecipe` where it is none."""
        try:
            frames = tuple(Frame(int(number), str(name), str(version)) for number, name, version in data["frames"])
            options, pipeline = dict(data["look"]), int(data["pipeline"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadRecipe("the message holds no thumbnail's recipe") from error
        if any(len(frame.name) > FRAME_NAME_MAX for frame in frames):
            raise BadRecipe("the name of a frame is too long")
        thumbnail = cls(frames, ThumbnailOptions.parse(options, max_edge=EDGE_MAX), pipeline)
        if len(frames) not in {1, 3} and not (thumbnail.is_mosaic and len(frames) <= CHIPS_NAMED_MAX + 1):
            raise BadRecipe("a thumbnail has one frame or three, or is a mosaic of several")
        return thumbnail

    @property
    def is_mosaic(self) -> bool:
        """True if several frames are put together as chips of one exposure."""
        return self.options.puts_together and len(self.frames) > 1

    @property
    def key(self) -> str:
        """32 hex digits. Other pixels or another version of a frame give another key."""
        return key_of(self.as_json())

    @property
    def masters_key(self) -> str:
        """16 hex digits that name the frames and their versions, as `Mezzanine.masters_key` does a master.

        Of a cutout they are others, because only parts of its frames are downloaded.
        """
        frames = [[frame.id, frame.version] for frame in self.frames]
        return key_of({"kind": self.kind, "frames": frames, "whole": self.options.cutout is None})[:16]

    @property
    def label(self) -> str:
        """The recipe as people read it, in logs and in Flower."""
        names = [frame.name for frame in self.frames]
        others = f" and {len(names) - LABEL_NAMES} more" if len(names) > LABEL_NAMES else ""
        return f"thumbnail of {'+'.join(names[:LABEL_NAMES])}{others}"

    @property
    def profile_name(self) -> str:
        """What stands for a profile in metrics."""
        return self.kind

    @property
    def file_name(self) -> str:
        """The name of the derivative's file in its folder of the store."""
        return OF_FRAMES[self.options.format]

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON for messages. `from_json` is its inverse.

        The options are under `look`, as in stored thumbnails: another name would change every key. A mosaic of several
        frames says so: former versions leave a recipe with that word alone. They would draw three chips as colours.
        """
        frames = [[frame.id, frame.name, frame.version] for frame in self.frames]
        named = {"together": True} if self.is_mosaic else {}
        return {"kind": self.kind, "frames": frames, "look": self.options.as_json(), "pipeline": self.pipeline, **named}
