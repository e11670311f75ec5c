"""A master of any format to one baseline JPEG, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.settings import Settings


@dataclass(frozen=True, slots=True)
class Choices:
    """What a JPEG is to be like; whatever changes pixels is here and nowhere else."""

    quality: int = 90
    subsampling: str = "4:4:4"
    progressive: bool = False
    max_edge: int = 0  # pixels; 0 is the master's own size
    color: str = "srgb"
    background: tuple[int, int, int] = (255, 255, 255)
    keep_metadata: bool = False
    oversize: str = "scale"
    max_pixels: int | None = 2_000_000_000  # width x height of the master; None is no limit

    @classmethod
    def of(cls, settings: Settings) -> Choices:
        """The choices that *settings* make for mezzanines."""
        return cls(
            quality=settings.mezzanine_quality,
            subsampling=settings.mezzanine_subsampling,
            progressive=settings.mezzanine_progressive,
            max_edge=settings.mezzanine_max_edge,
            color=settings.color,
            background=tuple(bytes.fromhex(settings.background[1:])),  # type: ignore[arg-type]
            keep_metadata=settings.keep_metadata,
            oversize=settings.oversize,
            max_pixels=settings.pixel_limit,
        )


@dataclass(frozen=True, slots=True)
class Picture:
    """The JPEG that was written: its size in pixels, the format of its master, what to note."""

    width: int
    height: int
    master_format: str
    note: str | None = None


def convert(
    master: BinaryIO,
    target: Path,
    choices: Choices,
    page: int | None = None,
    *,
    scratch: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Picture:
    """Write *master* to *target* as JPEG.

    *master* is seekable and open for reading; it may still be growing, then a read blocks until the bytes are
    there, and a seek to the end until the length is known. *scratch* is the folder of a nameless file that
    turned pictures pass through. *progress* gets the fraction of rows done.

    Raises `NotAnImage`, `Undecodable`, `TooLarge`, `BadRecipe` for a page that is not there, or what reading
    *master* raised; *target* may then hold anything.
    """
    from mezcal.convert.pipeline import Conversion  # noqa: PLC0415 - starts libvips, which only workers need

    return Conversion(master, target, choices, page, scratch, progress).run()
