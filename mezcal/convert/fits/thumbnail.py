"""The story of one thumbnail: read, shrink, draw, colour, label, encode."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from mezcal.convert.fits.alignment import Affine, affine_between, aligned, moved
from mezcal.convert.fits.draw import lco, robust
from mezcal.convert.fits.draw.label import labelled
from mezcal.convert.fits.draw.orientation import Orientation, turn_of
from mezcal.convert.fits.draw.scaling import Final, Size, factors, fitted, means, resampled, resized, shrunk
from mezcal.convert.fits.read.frame import FitsFrame, opened, reported
from mezcal.convert.fits.read.mosaic import Mosaic
from mezcal.convert.fits.read.planes import HELD_MOST, Plane, Whole, release
from mezcal.convert.fits.read.rice_tiles import Tiles
from mezcal.convert.fits.read.spilled_planes import twice
from mezcal.convert.options import ConvertedImage
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.fits.read.planes import Pixels
    from mezcal.recipe import ThumbnailOptions

# Pixels that are left for each of the final size: 2 would mean four times the memory at 1200 of 4096 pixels.
ROBUST_GAP = 1.5


def draw(
    frames: Sequence[BinaryIO],
    target: Path,
    look: ThumbnailOptions,
    context: ConversionContext,
) -> ConvertedImage:
    """Write the thumbnail of *frames* (one, or red, visual and blue) to *target* as JPEG.

    Raises `NotAnImage`, `Undecodable`, `TooLarge` or what
    reading the frames raised; *target* may then hold anything.
    """
    with reported(), ExitStack() as stack:
        read = [stack.enter_context(opened(file, look, context)) for file in frames]
        sheet = Sheet.of(read[0], look)
        needed = max(sum(map(_held, read)), _laid_out(sheet, look, len(read)))
        context.reserve_memory(max(memory_budget.STREAMING, memory_budget.SMALL + needed))
        image, how = _drawn(read, sheet, look, context.scratch)
    if look.label:
        labelled(image, look.label, outlined=look.look != "lco")
    image.save(target, "JPEG", quality=look.quality)
    return ConvertedImage(image.width, image.height, "fits", None if how is None else f"aligned={how}")


def _held(frame: FitsFrame) -> int:
    """Bytes that are held of *frame* at most: its pixels, as floats, as far as they are not read in blocks, twice."""
    rows, columns = frame.plane.shape
    return 2 * max(min(4 * rows * columns, HELD_MOST), 4 * _at_once(frame.plane))


def _at_once(plane: Plane) -> int:
    """Pixels that are decoded together, however many they are: tiles may be as high as the frame."""
    if isinstance(plane, Mosaic):
        return sum(_at_once(part.plane) for part in plane.parts)
    rows, columns = plane.shape
    high = rows if isinstance(plane, Whole) else plane.high if isinstance(plane, Tiles) else 0
    return high * columns


def _laid_out(sheet: Sheet, look: ThumbnailOptions, frames: int) -> int:
    """Bytes of the sheets of so many *frames*, which are floats, and of the picture.

    Of old one sheet is worked on at a time, in bytes, but LANCZOS in fours has it four times. One that is turned to
    the exact angle has up to twice its pixels.
    """
    width, height = map(math.ceil, sheet.part)
    turned = 3 if look.orient == "exact" and sheet.angle else 1
    sheets = 1 if look.look == "lco" else frames * turned
    return 4 * width * height * sheets + 8 * math.prod(sheet.final)


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a picture is laid out on: the reference frame's pixels, how they are turned, averaged and scaled."""

    shape: Size  # rows and columns
    turn: Orientation
    angle: float
    by: Size
    final: Size

    @classmethod
    def of(cls, frame: FitsFrame, look: ThumbnailOptions) -> Sheet:
        """The sheet for *frame* in *look*'s size."""
        turn, angle = turn_of(frame.header)
        size = turn.size(frame.plane.shape)
        final = fitted(size, (look.width, look.height))
        if look.look == "lco":
            return cls(frame.plane.shape, turn, angle, factors(size, final), final)
        seen = max(final[0], _least(size, 0)), max(final[1], _least(size, 1))
        return cls(frame.plane.shape, turn, angle, factors(size, seen, ROBUST_GAP), final)

    @property
    def part(self) -> tuple[float, float]:
        """Width and height of the picture after it was averaged: the last boxes may be partly empty."""
        width, height = self.turn.size(self.shape)
        return width / self.by[0], height / self.by[1]


def _least(size: Size, axis: int) -> int:
    """The side that limits need, less what averaging leaves on top of what it is told to."""
    return max(1, int(size[axis] * robust.STATISTICS_EDGE / (ROBUST_GAP * max(size))))


def _drawn(
    frames: list[FitsFrame], sheet: Sheet, look: ThumbnailOptions, scratch: Path | None
) -> tuple[Image.Image, str | None]:
    """The picture without its label, as RGB; and how its frames were aligned, where they are several."""
    ways = [(None, "wcs"), *(affine_between(frames[0], other) for other in frames[1:])]
    order: Callable[[str], int] = ("wcs", "catalog", "none").index
    how = max((way for _, way in ways), key=order) if len(frames) > 1 else None
    affines = [affine for affine, _ in ways]
    if look.look == "lco":
        return _as_lco(frames, affines, sheet, look, scratch), how
    return _as_robust(frames, affines, sheet, look), how


def _as_lco(
    frames: list[FitsFrame], affines: list[Affine | None], sheet: Sheet, look: ThumbnailOptions, scratch: Path | None
) -> Image.Image:
    """Each frame between limits of its own, as one band; moved first, as of old, where it is small enough."""
    bands = []
    for frame, affine in zip(frames, affines, strict=True):
        whole = moved(frame.plane, affine, sheet.shape)
        small = _lco_levels(whole or frame.plane, sheet, look, scratch)
        release(frame.plane)
        placed = small if whole else _placed(small, frame, affine, sheet)
        bands.append(Image.fromarray(resized(placed, sheet.part, sheet.final)))
    return Image.merge("RGB", bands * 3 if len(bands) == 1 else bands)


def _lco_levels(plane: Plane, sheet: Sheet, look: ThumbnailOptions, scratch: Path | None) -> Pixels:
    plane = twice(plane, scratch)
    limits = lco.limits(plane)
    table = lco.GAMMA
    if look.median and look.percentile is not None:
        table = lco.median_table(plane, limits, look.percentile)
    return shrunk(plane, sheet.turn, sheet.by, lco.Levels(limits, table))


def _as_robust(
    frames: list[FitsFrame], affines: list[Affine | None], sheet: Sheet, look: ThumbnailOptions
) -> Image.Image:
    """Each frame averaged as floats, and laid on the reference; brought to size and stretched together."""
    planes = []
    for frame, affine in zip(frames, affines, strict=True):
        small = means(frame.plane, sheet.turn, sheet.by)
        release(frame.plane)
        planes.append(_placed(small, frame, affine, sheet))
    if look.orient == "exact" and sheet.angle:
        finish = partial(_rotated, angle=sheet.angle, look=look)
    else:
        finish = partial(resampled, part=sheet.part, final=sheet.final)
    levels = robust.levels if len(planes) == 1 else robust.colour_levels
    return robust.coloured(levels(planes, finish, look), look)


def _placed(small: Pixels, frame: FitsFrame, affine: Affine | None, sheet: Sheet) -> Pixels:
    """*small* with *frame*'s pixels where the reference's are."""
    width, height = map(math.ceil, sheet.part)
    return aligned(small, affine, sheet.turn, sheet.by, (sheet.shape, frame.plane.shape), (height, width))


def _rotated(small: Pixels, angle: float, look: ThumbnailOptions) -> Final:
    """*small* turned by *angle* degrees and made to fit; what was not in it is no number, which is black."""
    whole = Image.fromarray(small)
    turned = whole.rotate(angle, Image.Resampling.BILINEAR, expand=True, fillcolor=float("nan"))
    size = fitted(turned.size, (look.width, look.height))
    return resampled(np.asarray(turned), turned.size, size)
