"""What every engine hands over: pixels not yet decoded, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mezcal.convert.engines.row_stream import Strips


class CannotRead(Exception):
    """An engine cannot decode the master; the message is its reason. Another engine may."""


class Damaged(CannotRead):
    """The engine knows the format and found it broken: a more lenient one would make a wrong picture."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A lazily decoded picture.

    *image* is a `pyvips.Image` that may be read once, from top to bottom. *space* is grey, rgb, cmyk, lab
    (as libvips counts it: L 0..100) or xyz; the first bands are the colour, *alpha* is the index of alpha.
    *peak* is the value of full intensity; None says that only the data's own range tells.
    """

    image: Any
    space: str
    peak: float | None = 255
    alpha: int | None = None
    associated: bool = False
    inverted: bool = False
    orientation: int = 1
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    full: tuple[int, int] | None = None  # the master's width and height, if it is decoded in a smaller size
    known: frozenset[str] = frozenset()  # the decoder's complaints about the header
    plain: Strips | None = None  # the same samples, where several threads may decode them
    failures: list[Exception] = field(default_factory=list)  # of Python code below libvips, while it decodes

    @property
    def colours(self) -> int:
        """Bands that make the colour."""
        return {"grey": 1, "cmyk": 4}.get(self.space, 3)
