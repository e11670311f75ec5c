"""Frames with only the pixels of a cutout. Those of a composite are aligned by their coordinates at the cutout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mezcal.convert.fits.alignment import affine_between, fit_affine
from mezcal.convert.fits.cutout.frame_coordinates import coordinates_of
from mezcal.convert.fits.cutout.placement import PlacedCutout, place_cutout
from mezcal.convert.fits.cutout.section import MARGIN, Section, SectionPlane
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.alignment import Affine, Alignment
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.recipe import ThumbnailOptions
    from mezcal.recipe.cutout import Cutout

POINTS = 3  # a side, from which the map between two sections is fitted


@dataclass(frozen=True, slots=True)
class CutFrames:
    """Frames with the pixels of their sections alone, where the first one's section is, and how others are aligned."""

    frames: list[FitsFrame]
    placed: PlacedCutout
    alignments: list[Alignment]


def cut_frames(frames: list[FitsFrame], cutout: Cutout, options: ThumbnailOptions) -> CutFrames:
    """Returns the sections of *frames*: of one, of the colours of one file, or of three files.

    Raises `NoSuchSection` if the first frame does not show any of *cutout*.
    """
    first = frames[0]
    placed = place_cutout(first, cutout, options)
    if len(frames) == 1 or first.colours:
        cut = [_cut(frame, placed.section) for frame in frames]
        return CutFrames(cut, placed, [(None, "wcs")] * len(frames))
    cut = [_cut(first, placed.section)]
    alignments: list[Alignment] = [(None, "wcs")]
    for other in frames[1:]:
        frame, alignment = _cut_other(first, other, placed.section, cutout)
        cut.append(frame)
        alignments.append(alignment)
    return CutFrames(cut, placed, alignments)


def _cut(frame: FitsFrame, section: Section) -> FitsFrame:
    return replace(frame, plane=SectionPlane(frame.plane, section))


def _cut_other(first: FitsFrame, other: FitsFrame, section: Section, cutout: Cutout) -> tuple[FitsFrame, Alignment]:
    """Returns the part of *other* that shows the *section* of *first*, and the map between the two sections."""
    affine, way = _local_affine(first, other, section, cutout)
    if affine is None:
        affine, way = affine_between(first, other)
    matrix, shift = affine if affine is not None else (np.eye(2), np.zeros(2))
    far = np.array([section.width, section.height])
    corners = (section.corner + far * [[0, 0], [0, 1], [1, 0], [1, 1]]) @ matrix.T + shift
    low, high = np.floor(corners.min(axis=0)) - MARGIN, np.ceil(corners.max(axis=0)) + MARGIN
    width, height = (high - low).astype(int).tolist()
    part = Section(int(low[0]), int(low[1]), width, height, (0.0, 0.0))
    part.check_size(other.plane.shape)
    if not part.covered(other.plane.shape):
        way = "no-overlap"
    return _cut(other, part), ((matrix, shift + matrix @ section.corner - low), way)


def _local_affine(first: FitsFrame, other: FitsFrame, section: Section, cutout: Cutout) -> tuple[Affine | None, str]:
    """Returns the map from *first*'s pixels to *other*'s by the coordinates of both at the *section*."""
    across, along = np.linspace(0, section.width, POINTS), np.linspace(0, section.height, POINTS)
    points = np.stack(np.meshgrid(across, along), -1).reshape(-1, 2) + section.corner
    try:
        here, there = coordinates_of(first, cutout), coordinates_of(other, cutout)
        moved = np.array([there.to_pixel(*position) for position in here.to_sky(points - 0.5).tolist()]) + 0.5
    except NoSuchSection:
        return None, "none"
    affine = fit_affine(points, moved)
    return affine, "wcs" if affine is not None else "none"
