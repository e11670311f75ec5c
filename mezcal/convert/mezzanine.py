"""A master of any format to one derivative, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from mezcal.convert.options import contradiction

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.options import ConvertedImage


def convert(master: BinaryIO, target: Path, context: ConversionContext) -> ConvertedImage:
    """Write *master* to *target* in the format that *context* asks for. Returns what was written.

    *master* is seekable and open for reading. It may still be growing: a read then blocks until the bytes are
    there, and a seek to the end until the length is known.

    Raises `NotAnImage`, `Undecodable`, `TooLarge`, `BadRecipe` for a page that does not exist, and the exceptions of
    reading *master*. *target* may hold anything after a failure. Raises `ValueError` for options that do not go
    together: settings have been checked for that.
    """
    if reason := contradiction(context.options):
        raise ValueError(reason)
    from mezcal.convert.conversion import Conversion  # noqa: PLC0415 - loads libvips, which only workers need

    return Conversion(master, target, context).run()
