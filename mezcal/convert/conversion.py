"""One conversion from end to end: find the format, choose the page, try the engines, scale, turn upright, encode."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from mezcal.convert.encoders import NAMES, encoder_bytes, encoder_of, output_size, shown_bytes
from mezcal.convert.engines import libvips, memory_limits
from mezcal.convert.engines.decoded import CannotRead, Damaged, Decoded, reported
from mezcal.convert.engines.open_image import open_image
from mezcal.convert.engines.open_tiff import open_tiff_page
from mezcal.convert.formats import FORMATS, LIBVIPS, detect_format, mode_of
from mezcal.convert.jpeg import missing_end
from mezcal.convert.master_reader import MasterReader
from mezcal.convert.options import ConvertedImage
from mezcal.convert.pixels import colour
from mezcal.convert.pixels.orientation import upright
from mezcal.convert.pixels.rows import Rows
from mezcal.convert.tiff import hidden_tags
from mezcal.convert.tiff.header import BadTiff
from mezcal.convert.tiff.pages import Page, choose_page, read_pages
from mezcal.errors import Failure, NotAnImage, OutOfMemory, PageInstead, TooLarge, Undecodable, is_out_of_memory
from mezcal.runtime import memory_budget
from mezcal.settings.profiles import SIDES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.convert.context import ConversionContext
    from mezcal.convert.formats import Format
    from mezcal.convert.pixels.colour import ColourConversion, ValueRange

CHECK_COPY = "The file is damaged or incomplete: compare it with the original, and copy or save it again."
SAVE_DIFFERENTLY = "Save the master in another form: as an uncompressed RGB or grey TIFF, for example."
WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<!doctype html|<html|<head|<!--|\{\s*\")", re.IGNORECASE)


@dataclass
class Conversion:
    """The arguments of `convert`, and what is found out on the way.

    *decoder_bytes*, *row_bytes* and *encoder_bytes* are the memory that the decoder, the rows that are worked on, and
    the encoder will need. *notes* are for the sidecar.
    """

    master: BinaryIO
    target: Path
    context: ConversionContext
    decoder_bytes: int = 0
    row_bytes: int = 0
    encoder_bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def run(self) -> ConvertedImage:
        """Returns the picture that was written. Raises as `convert` does."""
        reader = MasterReader(self.master, self._reserve_memory)
        try:
            return self._convert(reader)
        except Failure:
            raise
        except BadTiff as error:
            raise Undecodable(f"TIFF: {error}. {CHECK_COPY}") from error
        except Exception:
            if reader.failure is not None:  # the origin's failure is the cause, not the decoder's error
                raise reader.failure from None
            raise

    def _convert(self, master: MasterReader) -> ConvertedImage:
        master.seek(0)
        head = master.read(64)
        image_format = detect_format(head)
        if image_format is None:
            raise _no_image(head)
        master.reserve(0)
        reasons = []
        for open_master in self._ways_to_open(image_format, master):
            try:
                return self._write(open_master, image_format.name)
            except CannotRead as error:
                _raise_if_out_of_memory(error, image_format)
                reasons.append(str(error))
                damaged = isinstance(error, Damaged)
            if master.failure is not None:
                raise master.failure
            if damaged:
                break
        if image_format.name == "JPEG" and damaged:
            picture = self._convert_without_end(image_format, master)
            if picture is not None:
                return picture
        raise Undecodable(f"{image_format.name}: {reasons[0]}. {CHECK_COPY if damaged else SAVE_DIFFERENTLY}")

    def _convert_without_end(self, image_format: Format, master: MasterReader) -> ConvertedImage | None:
        """Returns the picture of a JPEG that lacks its end marker alone, None for any other."""
        completed = missing_end.completed(master)
        if completed is None:
            return None
        open_master = partial(open_image, LIBVIPS, image_format, completed, self.context, self._check_size)
        try:
            picture = self._write(open_master, image_format.name)
        except CannotRead:
            return None
        self._note(missing_end.NOTE)
        return replace(picture, note="; ".join(self.notes))

    def _ways_to_open(self, image_format: Format, master: MasterReader) -> Iterator[Callable[[], Decoded]]:
        """Yields functions that open the master, the best engine's first."""
        if image_format.name != "TIFF":
            for engine in image_format.engines:
                yield partial(open_image, engine, image_format, master, self.context, self._check_size)
            return
        page = self._tiff_page(master)
        mode = mode_of(page)
        if not mode.engines:
            raise Undecodable(f"TIFF: {mode.treatment} ({page.kind}). {SAVE_DIFFERENTLY}")
        for engine in mode.engines:
            yield partial(open_tiff_page, engine, master, page)

    def _tiff_page(self, master: MasterReader) -> Page:
        pages = read_pages(master)
        page = choose_page(pages, self.context.page)
        self._note(pages.note)
        hidden_tags.hide(master, pages)
        self._check_size(page.width, page.height)
        page.check_content()
        return page

    def _note(self, note: str | None) -> None:
        if note is not None:
            self.notes.append(note)

    def _check_size(self, width: int, height: int) -> None:
        options = self.context.options
        most, side = options.max_pixels, SIDES[options.format]
        if most is not None and width * height > most:
            size = f"{width} x {height} pixels ({width * height:,})"
            raise TooLarge(f"the master has {size}, more than the {most:,} that MAX_IMAGE_PIXELS allows")
        unscaled = options.oversize == "refuse" and not options.max_edge
        if unscaled and max(width, height) > side:
            name = NAMES[options.format]
            raise TooLarge(f"{width} x {height} pixels do not fit a {name}, whose sides end at {side:,}")

    def _reserve_memory(self, decoder_bytes: int) -> None:
        self.decoder_bytes = decoder_bytes
        needed = memory_budget.SMALL + decoder_bytes + self.row_bytes + self.encoder_bytes
        self.context.reserve_memory(max(memory_budget.STREAMING, needed))

    def _reserve_rows(self, decoded: Decoded) -> None:
        """Reserve the memory of the rows that are decoded, converted and encoded at a time."""
        options = self.context.options
        self.row_bytes = memory_limits.bytes_of_rows(decoded, options.longest_side, shown_bytes(decoded, options))
        self.encoder_bytes = encoder_bytes(decoded, options)
        held = self.decoder_bytes + self.row_bytes + self.encoder_bytes
        if held > memory_budget.STREAMING - memory_budget.SMALL:
            self._reserve_memory(self.decoder_bytes)

    def _write(self, open_master: Callable[[], Decoded], format_name: str) -> ConvertedImage:
        decoded = _open(open_master)
        self._check_size(decoded.image.width, decoded.image.height)
        self._reserve_rows(decoded)
        try:
            value_range = None
            if colour.needs_value_range(decoded):
                value_range = colour.value_range(decoded)
                _check_decoded(decoded)
                decoded = _open(open_master)  # an image can be read once
            try:
                size, note = self._encode(decoded, value_range)
            except CannotRead as error:
                if decoded.parallel_strips is None or isinstance(error, Damaged):
                    raise
                decoded = replace(_open(open_master), parallel_strips=None)  # libvips may do better with this layout
                size, note = self._encode(decoded, value_range)
            _check_decoded(decoded)
        except libvips.FAILURES as error:
            _raise_failure(decoded)
            reason = libvips.reason(error)
            libvips.forget_errors()
            # a complaint about the header alone says nothing about the pixels: another engine may read them
            kind = CannotRead if reason in decoded.header_errors else Damaged
            raise kind(reported("libvips", reason)) from error
        self._note(note)
        return ConvertedImage(*size, format_name, "; ".join(self.notes) or None)

    def _encode(self, decoded: Decoded, value_range: ValueRange | None) -> tuple[tuple[int, int], str | None]:
        """Write the file. Returns its width and height, and a note if the picture was scaled."""
        conversion = colour.colour_conversion(decoded, self.context.options, value_range)
        rows, note = self._scaled_rows(decoded, conversion)
        encoder = encoder_of(self.context, decoded, conversion)
        upright_rows, scratch = upright(rows, decoded.orientation, self.context.scratch)
        try:
            with self.target.open("wb") as file:
                encoder.write(upright_rows, file)
            self.context.report_progress(1.0)
        finally:
            if scratch is not None:
                scratch.close()
        return (upright_rows.strips.width, upright_rows.strips.height), note

    def _scaled_rows(self, decoded: Decoded, conversion: ColourConversion) -> tuple[Rows, str | None]:
        """Returns the picture before it is turned upright (2 is mirrored here), and a note if it is scaled."""
        mirrored = decoded.orientation == 2
        image = decoded.image.fliphor() if mirrored else decoded.image
        full_size = decoded.full_size or (image.width, image.height)
        note = f"scaled from {full_size[0]} x {full_size[1]}"
        width, height = output_size((image.width, image.height), self.context.options)
        if (width, height) == (image.width, image.height):
            parallel_strips = None if mirrored else decoded.parallel_strips
            rows = Rows.of(image, conversion, parallel_strips)
            return rows, note if full_size != (image.width, image.height) else None
        shown = conversion.apply(image)
        return Rows.of(
            colour.resized(shown, width / image.width, height / image.height, alpha=conversion.has_alpha)
        ), note


def _raise_if_out_of_memory(error: CannotRead, image_format: Format) -> None:
    """Raise `OutOfMemory` if *error* says so: no other engine is asked then."""
    if is_out_of_memory(error):
        raise OutOfMemory(f"{image_format.name}: {error}") from error


def _check_decoded(decoded: Decoded) -> None:
    """Raise `Damaged` if a part could not be decoded. libvips reports success for those that it only logs."""
    _raise_failure(decoded)
    libvips.check_errors(decoded.header_errors)


def _raise_failure(decoded: Decoded) -> None:
    """Raise `Damaged` if Python code failed that libvips called: libvips knows no more than that its input ended."""
    if decoded.failures:
        libvips.forget_errors()
        failure = decoded.failures[0]
        words = libvips.first_line(str(failure) or type(failure).__name__)
        raise Damaged(words if isinstance(failure, CannotRead) else reported("the decoder", words)) from failure


def _open(open_master: Callable[[], Decoded]) -> Decoded:
    """Returns the opened master with the complaints about its header. Raises `CannotRead`."""
    try:
        return replace(open_master(), header_errors=libvips.take_errors())
    except libvips.FAILURES as error:
        reason = libvips.reason(error)
        libvips.forget_errors()
        raise CannotRead(reported("libvips", reason)) from error


def _no_image(head: bytes) -> NotAnImage:
    """Return the failure of a master that begins with *head*."""
    if WEB_PAGE.match(head):
        return PageInstead("it begins as a web page or JSON does: a page for signing in, or of an outage?")
    return NotAnImage(f"the file does not begin like any supported image format ({', '.join(FORMATS)})")
