"""The frames of one picture: one, three colours, or the chips of one exposure, which are put together to one."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from mezcal.convert.fits.cutout.frame_coordinates import coordinates_of
from mezcal.convert.fits.read.chip_mosaic import Chip, ChipMosaic, join_chips, mosaic_header
from mezcal.convert.fits.read.frame import FrameHeader, frame_errors_as_undecodable, open_frame
from mezcal.convert.fits.read.hdus import check_pixels
from mezcal.errors import NoSuchPicture, NoSuchSection, NotAnImage, TooLarge, Undecodable
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.fits.read.frame import FitsFrame
    from mezcal.recipe import ThumbnailOptions

CHIPS_MAX = 1_000  # of a mosaic, as in one file: each is compared with each other one
OF_ONE_FILE = (NoSuchPicture, NoSuchSection, NotAnImage, TooLarge, Undecodable)


@contextmanager
def open_frames(
    files: Sequence[BinaryIO], names: Sequence[str], options: ThumbnailOptions, context: ConversionContext
) -> Iterator[list[FitsFrame]]:
    """Yields the frames in *files*. Those of a mosaic are one frame.

    If there are several files, a failure says which of the *names* it is about. Raises as `open_frame`.
    """
    with ExitStack() as stack:
        frames: list[FitsFrame] = []
        for file, name in zip(files, names, strict=True):
            beside = _beside(frames, context)
            with _about(name if len(files) > 1 else None):
                frames.append(stack.enter_context(open_frame(file, options, beside)))
            if len(files) > 1:
                frames[-1].plane.release()  # memory is reserved for one frame, until all are open
        yield [_put_together(frames, names, context)] if options.puts_together and len(frames) > 1 else frames


def _beside(frames: list[FitsFrame], context: ConversionContext) -> ConversionContext:
    """Returns *context* for one more file. Reserves the memory for the headers of *frames* if they are large."""
    held = sum(frame.header_bytes for frame in frames)
    if held > memory_budget.SMALL:  # less fits into what every conversion may take
        context.reserve_memory(memory_budget.SMALL + held)
    return replace(context, reserve_memory=lambda needed: context.reserve_memory(needed + held))


@contextmanager
def _about(name: str | None) -> Iterator[None]:
    """Begin the detail of a failure with the *name* of its frame, unless it is None."""
    try:
        with frame_errors_as_undecodable():
            yield
    except OF_ONE_FILE as failure:
        if name is not None:
            failure.detail = f"{name}: {failure.detail}"
            failure.args = (failure.detail,)
        raise


def _put_together(frames: list[FitsFrame], names: Sequence[str], context: ConversionContext) -> FitsFrame:
    """Returns the chips of all *frames* as one. Raises `NoSuchSection`, and `TooLarge` for too many chips or pixels."""
    chips: list[Chip] = []
    for frame, name in zip(frames, names, strict=True):
        with _about(name):
            chips += [replace(chip, name=name) for chip in _chips_of(frame)]
    if len(chips) > CHIPS_MAX:
        raise TooLarge(f"the frames have {len(chips):,} chips: a mosaic may have {CHIPS_MAX:,}")
    mosaic = join_chips(chips)
    check_pixels(mosaic.shape, context.options.max_pixels)
    header = mosaic_header(mosaic, frames[0].header)
    of_others = sum(frame.header_bytes for frame in frames) - frames[0].hdus.memory
    return replace(frames[0], plane=mosaic, header=FrameHeader(header, header), table_bytes=of_others)


def _chips_of(frame: FitsFrame) -> tuple[Chip, ...]:
    """Returns the chips in one file; amplifiers that are joined are one chip."""
    if isinstance(frame.plane, ChipMosaic):
        return frame.plane.chips
    return (Chip(frame.plane, coordinates_of(frame, None)),)
