"""A master of any format to one baseline JPEG, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.convert.options import ConversionOptions, ConvertedImage


def convert(  # noqa: PLR0913 - all that a conversion needs, in one call
    master: BinaryIO,
    target: Path,
    choices: ConversionOptions,
    page: int | None = None,
    *,
    scratch: Path | None = None,
    progress: Callable[[float], None] | None = None,
    room: Callable[[int], None] | None = None,
) -> ConvertedImage:
    """Write *master* to *target* as JPEG.

    *master* is seekable and open for reading; it may still be growing, then a read blocks until the bytes are
    there, and a seek to the end until the length is known. *scratch* is the folder of a nameless file that
    turned pictures pass through. *progress* gets the fraction of rows done. *room* is called before
    anything is decoded, with the bytes that will be held, and returns when they may be taken.

    Raises `NotAnImage`, `Undecodable`, `TooLarge`, `BadRecipe` for a page that is not there, or what reading
    *master* raised; *target* may then hold anything.
    """
    from mezcal.convert.conversion import Conversion  # noqa: PLC0415 - starts libvips, which only workers need

    return Conversion(master, target, choices, page, scratch, progress, room).run()
