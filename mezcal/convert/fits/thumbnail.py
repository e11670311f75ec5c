"""One thumbnail from end to end: read, shrink, draw, colour, label, encode."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from mezcal.convert.fits.alignment import affine_between, align_picture, move_plane, stars_of
from mezcal.convert.fits.avm import WCS_ERRORS, SkyPlacement
from mezcal.convert.fits.cutout.cut_frames import cut_frames
from mezcal.convert.fits.cutout.placement import place_cutout
from mezcal.convert.fits.cutout.section_file import write_section
from mezcal.convert.fits.draw import lco, robust
from mezcal.convert.fits.draw.composite import colour_levels
from mezcal.convert.fits.draw.label import draw_label
from mezcal.convert.fits.draw.limits import Limits
from mezcal.convert.fits.draw.overlays import draw_overlays
from mezcal.convert.fits.draw.scaling import (
    ScaledPlane,
    fit_inside,
    resample,
    resize_levels,
    shrink_levels,
    shrink_means,
)
from mezcal.convert.fits.encode import save_picture
from mezcal.convert.fits.exposure import open_frames
from mezcal.convert.fits.flux import flux_factors
from mezcal.convert.fits.geometry import Geometry, enlarged
from mezcal.convert.fits.picture_map import view_of
from mezcal.convert.fits.read.frame import FitsFrame, frame_errors_as_undecodable
from mezcal.convert.fits.read.planes import WHOLE_MAX
from mezcal.convert.options import ConvertedImage
from mezcal.recipe.cutout import write_note
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.fits.alignment import Affine, Alignment
    from mezcal.convert.fits.cutout.cut_frames import CutFrames
    from mezcal.convert.fits.cutout.placement import PlacedCutout
    from mezcal.convert.fits.read.planes import Pixels, Plane
    from mezcal.recipe import ThumbnailOptions
    from mezcal.recipe.cutout import Cutout

CARDS_MAX = 2_000  # of a header that is read for tags alone: a tenth of a millisecond each
ALIGNED_BY = ("wcs", "catalog", "stars", "none", "no-overlap")  # from the best to the worst


def draw(
    files: Sequence[BinaryIO],
    target: Path,
    options: ThumbnailOptions,
    context: ConversionContext,
    names: Sequence[str] | None = None,
) -> ConvertedImage:
    """Write the thumbnail of *files* (one frame, red, visual and blue, or the chips of a mosaic) to *target* as JPEG.

    Returns what was written. Raises `NotAnImage`, `Undecodable`, `TooLarge`, and the exceptions of reading the files;
    their details call the frames by *names*. *target* may hold anything after a failure.
    """
    names = names or [f"file {number}" for number, _ in enumerate(files, 1)]
    with frame_errors_as_undecodable(), open_frames(files, names, options, context) as opened:
        if options.format == "fits" and options.cutout is not None:
            return _write_fits(opened[0], options.cutout, target, options, context)
        frames = opened[0].of_each_colour() if opened[0].colours else opened
        cut = None if options.cutout is None else cut_frames(frames, options.cutout, options)
        whole = frames[0]
        frames = frames if cut is None else cut.frames
        geometry = Geometry.of(frames[0], options, None if cut is None else cut.placed)
        needed = _memory_needed(frames, geometry, options)
        context.reserve_memory(max(memory_budget.STREAMING, memory_budget.SMALL + needed))
        image, aligned_by = _draw_frames(frames, geometry, options, context, cut)
        placed = None if cut is None else cut.placed
        xmp = None if options.look == "lco" else _annotate(image, whole, geometry, placed, options)
    if options.label:
        draw_label(image, options.label, outlined=options.look != "lco")
    save_picture(image, target, options, xmp)
    note = write_note(aligned_by, None if placed is None else placed.description)
    return ConvertedImage(image.width, image.height, "fits", note)


def _annotate(
    image: Image.Image, frame: FitsFrame, geometry: Geometry, placed: PlacedCutout | None, options: ThumbnailOptions
) -> bytes | None:
    """Draw the overlays. Returns an XMP packet that says where on the sky *image* is, None if this is not known.

    Raises `NoSuchSection` if overlays need coordinates that *frame* does not have.
    """
    overlays = options.overlays
    need_sky = overlays is not None and overlays.need_sky
    try:
        on_sky = need_sky or len(frame.header) <= CARDS_MAX
        view = view_of(frame, geometry, placed, image.size, options.cutout, on_sky=on_sky)
    except WCS_ERRORS:
        if need_sky:
            raise
        view = view_of(frame, geometry, placed, image.size, options.cutout, on_sky=False)
    if overlays is not None:
        draw_overlays(image, overlays, view, options.label)
    placement = None if view.coordinates is None else SkyPlacement.of(view)
    return None if placement is None else placement.packet()


def _write_fits(
    frame: FitsFrame, cutout: Cutout, target: Path, options: ThumbnailOptions, context: ConversionContext
) -> ConvertedImage:
    placed = place_cutout(frame, cutout, options)
    write_section(frame, placed.section, target, context)
    section = placed.section
    return ConvertedImage(section.width, section.height, "fits", write_note(None, placed.description))


def _memory_needed(frames: list[FitsFrame], geometry: Geometry, options: ThumbnailOptions) -> int:
    """Returns the bytes that *frames* and their picture take, on top of a small picture's."""
    step = geometry.box[0 if geometry.orientation.transpose else 1]
    block = max(frame.plane.block_bytes(step) for frame in frames)  # they are worked on one after the other
    pixels = max(sum(map(_frame_bytes, frames)), _picture_bytes(geometry, options, len(frames)), block)
    return pixels + sum(frame.header_bytes for frame in frames)


def _frame_bytes(frame: FitsFrame) -> int:
    """Returns the most bytes of *frame* that are held: its pixels as floats, twice, unless they are read in blocks."""
    rows, columns = frame.plane.shape
    return max(2 * min(4 * rows * columns, WHOLE_MAX), frame.plane.decoding_bytes)


def _picture_bytes(geometry: Geometry, options: ThumbnailOptions, frames: int) -> int:
    """Returns the bytes of the averaged *frames*, which are floats, and of the picture.

    The lco look works on one averaged frame at a time, in bytes, but resizes it in four copies. A picture that is
    rotated by the exact angle has up to twice its pixels.
    """
    width, height = geometry.small_size
    rotated = 3 if geometry.is_rotated or (options.orient == "exact" and options.cutout is not None) else 1
    averaged = 1 if options.look == "lco" else frames * rotated
    return 4 * width * height * averaged + 8 * math.prod(geometry.final)


def _draw_frames(
    frames: list[FitsFrame],
    geometry: Geometry,
    options: ThumbnailOptions,
    context: ConversionContext,
    cut: CutFrames | None,
) -> tuple[Image.Image, str | None]:
    """Returns the picture without its label, as RGB, and how its frames were aligned if they are several files."""
    alignments: list[Alignment] = [(None, "wcs")] * len(frames)  # the colours of one file need no alignment
    aligned_by: str | None = None
    if len(frames) > 1 and not frames[0].colours:
        alignments = _align(frames) if cut is None else cut.alignments
        aligned_by = max((way for _, way in alignments), key=ALIGNED_BY.index)
    if options.look == "lco":
        return _draw_lco(frames, alignments, geometry, options, context.scratch), aligned_by
    affines = [affine for affine, _ in alignments]
    return _draw_robust(frames, affines, geometry, options, None if cut is None else cut.placed), aligned_by


def _align(frames: list[FitsFrame]) -> list[Alignment]:
    """Returns the maps from the first of *frames* to each."""
    stars = stars_of(frames[0])
    return [(None, "wcs"), *(affine_between(frames[0], other, stars) for other in frames[1:])]


def _draw_lco(
    frames: list[FitsFrame],
    alignments: list[Alignment],
    geometry: Geometry,
    options: ThumbnailOptions,
    scratch: Path | None,
) -> Image.Image:
    """Draw each frame between its own limits, as one band. Small frames are moved first, as thumbnail-service does.

    A frame that shows another part of the sky is a black band: it has no pixels from which limits could come.
    """
    spread = _common_spread(frames) if frames[0].colours else None
    bands = []
    for frame, (affine, way) in zip(frames, alignments, strict=True):
        if way == "no-overlap":
            bands.append(Image.new("L", geometry.final))
            continue
        moved = move_plane(frame.plane, affine, geometry.shape)
        small = _lco_levels(moved or frame.plane, geometry, options, scratch, spread)
        frame.plane.release()
        aligned = small if moved else align_picture(small, affine, geometry, frame.plane.shape)
        bands.append(Image.fromarray(resize_levels(aligned, geometry.part, geometry.final)))
    return Image.merge("RGB", bands * 3 if len(bands) == 1 else bands)


def _common_spread(frames: list[FitsFrame]) -> float:
    """Returns the distance of black and white for all colours of a file: with one for each, all stars are white."""
    spreads = []
    for frame in frames:
        within = lco.limits(frame.plane)
        frame.plane.release()
        spreads.append(within.white - within.black)
    return max(spreads)


def _lco_levels(
    plane: Plane, geometry: Geometry, options: ThumbnailOptions, scratch: Path | None, spread: float | None
) -> Pixels:
    """Returns the averaged levels of *plane*. White is *spread* above black, or by its own limits."""
    plane = plane.for_reading_twice(scratch)
    limits = lco.limits(plane)
    if spread is not None:
        limits = Limits(limits.black, limits.black + spread)
    table = lco.GAMMA
    if options.median and options.percentile is not None:
        table = lco.median_table(plane, limits, options.percentile)
    return shrink_levels(plane, geometry.orientation, geometry.box, lco.GreyLevels(limits, table))


def _draw_robust(
    frames: list[FitsFrame],
    affines: list[Affine | None],
    geometry: Geometry,
    options: ThumbnailOptions,
    placed: PlacedCutout | None,
) -> Image.Image:
    """Average each frame as floats and align it with the reference; then resample and stretch all of them together."""
    planes, factors = [], flux_factors(frames, affines)
    for frame, affine, factor in zip(frames, affines, factors, strict=True):
        small = shrink_means(frame.plane, geometry.orientation, geometry.box)
        frame.plane.release()
        if factor != 1:
            small *= np.float32(factor)
        aligned = align_picture(small, affine, geometry, frame.plane.shape)
        planes.append(
            aligned if np.isfinite(aligned).any() else np.zeros_like(aligned)
        )  # what the others show is drawn
    method = _resampling(options)
    if placed is not None and placed.turned:
        planes = [placed.turn(plane, geometry.box) for plane in planes]
        scale = partial(resample, part=placed.part(geometry.box), final=geometry.final, method=method)
    elif geometry.is_rotated:
        scale = partial(_rotate, angle=geometry.angle, options=options)
    else:
        scale = partial(resample, part=geometry.part, final=geometry.final, method=method)
    if len(planes) == 1:
        return robust.coloured(robust.grey_levels(planes[0], scale, options), options)
    picture = colour_levels(planes, scale, options, factors, finished=frames[0].is_finished)
    return robust.coloured(picture, options)


def _resampling(options: ThumbnailOptions) -> Image.Resampling:
    """Returns how pixels become those of the final size. HAMMING would enlarge them to blurred squares."""
    if options.resample == "nearest":
        return Image.Resampling.NEAREST
    return Image.Resampling.BILINEAR if options.zoom else Image.Resampling.HAMMING


def _rotate(small: Pixels, angle: float, options: ThumbnailOptions) -> ScaledPlane:
    """Returns *small* rotated by *angle* degrees, at its final size. Pixels outside of it are NaN, which is black."""
    whole = Image.fromarray(small)
    rotated = whole.rotate(angle, Image.Resampling.BILINEAR, expand=True, fillcolor=float("nan"))
    size = fit_inside(enlarged(rotated.size, options), (options.width, options.height))
    return resample(np.asarray(rotated), rotated.size, size)
