"""One conversion from end to end: sniff, choose the page, try the engines, scale, turn, encode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from mezcal.convert import engines
from mezcal.convert.engines import libvips
from mezcal.convert.engines.decoded import CannotRead, Damaged, Decoded
from mezcal.convert.formats import mode_of, sniff
from mezcal.convert.jpeg import encoder
from mezcal.convert.master_reader import MasterReader
from mezcal.convert.options import ConversionOptions, ConvertedImage
from mezcal.convert.pixels import colour
from mezcal.convert.pixels.orientation import upright
from mezcal.convert.pixels.rows import Rows
from mezcal.convert.tiff.header import BadTiff
from mezcal.convert.tiff.pages import Page, choose, pages_of
from mezcal.errors import Failure, NotAnImage, TooLarge, Undecodable
from mezcal.runtime import memory_budget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.convert.formats import Format
    from mezcal.convert.pixels.colour import Treatment

PROGRESSIVE = 6  # bytes a pixel that a progressive JPEG's encoder holds: three samples' coefficients


@dataclass
class Conversion:
    """What `convert` was given, on its way."""

    master: BinaryIO
    target: Path
    choices: ConversionOptions
    page: int | None
    scratch: Path | None
    progress: Callable[[float], None] | None
    room: Callable[[int], None] | None = None
    encoder_holds: int = 0

    def run(self) -> ConvertedImage:
        """The picture that was written; raises as `convert` does."""
        watched = MasterReader(self.master, self._take)
        try:
            return self._convert(watched)
        except Failure:
            raise
        except BadTiff as error:
            raise Undecodable(f"TIFF: {error}") from error
        except Exception:
            if watched.failure is not None:  # the origin's fault, not the picture's
                raise watched.failure from None
            raise

    def _convert(self, master: MasterReader) -> ConvertedImage:
        master.seek(0)
        kind = sniff(master.read(64))
        if kind is None:
            raise NotAnImage("its first bytes are those of no image format that is accepted")
        reasons = []
        for opened in self._attempts(kind, master):
            try:
                return self._write(opened, kind.name)
            except CannotRead as error:
                reasons.append(str(error))
                broken = isinstance(error, Damaged)
            if master.failure is not None:
                raise master.failure
            if broken:
                break
        raise Undecodable(f"{kind.name}: {reasons[0]}")

    def _attempts(self, kind: Format, master: MasterReader) -> Iterator[Callable[[], Decoded]]:
        """Ways to open the master, the best first."""
        if kind.name != "TIFF":
            for engine in kind.engines:
                smaller = self.choices.oversize == "scale"
                yield partial(engines.picture, engine, kind, master, self.page, self._check_size, smaller)
            return
        page = self._tiff_page(master)
        mode = mode_of(page)
        if not mode.engines:
            raise Undecodable(f"TIFF: {mode.treatment}")
        for engine in mode.engines:
            yield partial(engines.tiff_page, engine, master, page)

    def _tiff_page(self, master: MasterReader) -> Page:
        page = choose(pages_of(master), self.page)
        self._check_size(page.width, page.height)
        page.check_content()
        return page

    def _check_size(self, width: int, height: int) -> None:
        most = self.choices.max_pixels
        if most is not None and width * height > most:
            raise TooLarge(f"{width} x {height} pixels are more than the {most:,} that are allowed")
        unscaled = self.choices.oversize == "refuse" and not self.choices.max_edge
        if unscaled and max(width, height) > encoder.SIDE_MAX:
            raise TooLarge(f"{width} x {height} pixels do not fit a JPEG, whose sides end at {encoder.SIDE_MAX:,}")
        if self.choices.progressive:
            self.encoder_holds = PROGRESSIVE * width * height

    def _take(self, needed: int) -> None:
        if self.room is not None:
            self.room(max(memory_budget.STREAMING, memory_budget.SMALL + needed) + self.encoder_holds)

    def _write(self, opened: Callable[[], Decoded], kind: str) -> ConvertedImage:
        loaded = self._opened(opened)
        self._check_size(loaded.image.width, loaded.image.height)
        try:
            span = None
            if colour.needs_span(loaded):
                span = colour.span(loaded)
                libvips.check_errors(loaded.known)
                loaded = self._opened(opened)
            try:
                size, note = self._written(loaded, span)
            except CannotRead as error:
                if loaded.plain is None or isinstance(error, Damaged):
                    raise
                loaded = replace(self._opened(opened), plain=None)  # libvips judges what is odd or damaged
                size, note = self._written(loaded, span)
            libvips.check_errors(loaded.known)
        except libvips.FAILURES as error:
            reason = libvips.reason(loaded.failures[0] if loaded.failures else error)
            libvips.forget_errors()
            # what was wrong with the header alone says nothing about the pixels: another engine may read them
            raise (CannotRead if reason in loaded.known else Damaged)(reason) from error
        return ConvertedImage(*size, kind, note)

    def _written(self, loaded: Decoded, span: tuple[float, float] | None) -> tuple[tuple[int, int], str | None]:
        treatment = colour.treatment(loaded, self.choices, span)
        rows, note = self._rows(loaded, treatment)
        return self._encode(rows, encoder.Encoding(self.choices, loaded, treatment.embedded, self.progress)), note

    def _opened(self, opened: Callable[[], Decoded]) -> Decoded:
        try:
            return replace(opened(), known=libvips.complaints())
        except libvips.FAILURES as error:
            reason = libvips.reason(error)
            libvips.forget_errors()
            raise CannotRead(reason) from error

    def _rows(self, loaded: Decoded, treatment: Treatment) -> tuple[Rows, str | None]:
        """The picture not yet turned, and a note if it is scaled."""
        image = loaded.image.fliphor() if loaded.orientation == 2 else loaded.image
        full = loaded.full or (image.width, image.height)
        note = f"scaled from {full[0]} x {full[1]}"
        longest = max(image.width, image.height)
        edge = min(self.choices.max_edge or longest, encoder.SIDE_MAX)
        if longest <= edge:
            plain = loaded.plain if loaded.orientation != 2 else None
            return Rows.of(image, treatment, plain), note if full != (image.width, image.height) else None
        width, height = (max(1, round(side * edge / longest)) for side in (image.width, image.height))
        shown = treatment.of(image)
        return Rows.of(shown.resize(width / image.width, vscale=height / image.height)), note

    def _encode(self, rows: Rows, encoding: encoder.Encoding) -> tuple[int, int]:
        turned, scratch = upright(rows, encoding.loaded.orientation, self.scratch)
        try:
            with self.target.open("wb") as file:
                encoding.write(turned, file)
            if self.progress is not None:
                self.progress(1.0)
        finally:
            if scratch is not None:
                scratch.close()
        return turned.strips.width, turned.strips.height
