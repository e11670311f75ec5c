"""What every engine returns: pixels that are not decoded yet, and what they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mezcal.convert.engines.row_stream import Strips


OBJECT = re.compile(r"<[^<>]* (object )?at 0x[0-9a-fA-F]+>")


def reported(library: str, words: str) -> str:
    """Returns the *words* of *library* as a reason for people: quoted, without addresses of objects."""
    return f'{library} reports "{OBJECT.sub("the file", words)}"'


class CannotRead(Exception):
    """An engine cannot decode the master; the message is its reason. Another engine may."""


class Damaged(CannotRead):
    """The engine knows the layout and found damage. A more lenient engine would make a wrong picture."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that is decoded as it is read.

    *image* is a `pyvips.Image` that may be read once, from top to bottom. *space* is grey, rgb, cmyk, lab (as in
    libvips: L from 0 to 100) or xyz. The first bands are the colour; *alpha* is the index of the alpha band. *peak* is
    the value of full intensity, None if only the range of the data tells it.
    """

    image: Any
    space: str
    peak: float | None = 255
    alpha: int | None = None
    associated: bool = False  # the colours are multiplied by alpha
    inverted: bool = False
    orientation: int = 1
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    nodata: float | None = None  # a value that stands for no data
    full_size: tuple[int, int] | None = None  # the master's width and height, if it is decoded in a smaller size
    header_errors: frozenset[str] = frozenset()  # the decoder's complaints about the header
    parallel_strips: Strips | None = None  # the same samples, if several threads can decode them
    failures: list[Exception] = field(default_factory=list)  # of Python code that libvips called while decoding

    @property
    def colours(self) -> int:
        """Bands that make the colour."""
        return {"grey": 1, "cmyk": 4}.get(self.space, 3)

    @property
    def upright_dpi(self) -> tuple[float, float] | None:
        """Dots an inch across and down, once the picture is upright."""
        return self.dpi[::-1] if self.dpi and self.orientation >= 5 else self.dpi
