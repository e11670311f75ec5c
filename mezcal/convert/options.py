"""The options of a derivative of a master, which of them go together, and the result of a conversion."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import ProfileMissing
from mezcal.settings.profiles import SIDES

if TYPE_CHECKING:
    from mezcal.settings import Settings

JPEG, PYRAMID, WEBP = "jpeg", "pyramid", "webp"
COMMON = ("max_edge", "color", "background", "keep_metadata")
FIELDS = {  # by format: the options that change its file
    JPEG: (*COMMON, "quality", "subsampling", "progressive", "oversize", "max_pixels"),
    PYRAMID: (*COMMON, "format", "tile", "compression", "alpha", "depth", "oversize"),
    WEBP: (*COMMON, "format", "lossless", "alpha", "oversize"),
}


@dataclass(frozen=True, slots=True)
class ConversionOptions:
    """All settings that change the pixels of a derivative, and no others.

    Not all of them have a meaning in each format: `relevant_fields` has those that do.
    """

    quality: int = 90
    subsampling: str = "4:4:4"
    progressive: bool = False
    max_edge: int = 0  # pixels; 0 is the master's own size
    color: str = "srgb"
    background: tuple[int, int, int] = (255, 255, 255)
    keep_metadata: bool = False
    oversize: str = "scale"
    max_pixels: int | None = 2_000_000_000  # width x height of the master; None is no limit
    format: str = JPEG
    tile: int = 256  # pixels: the sides of a pyramid's tiles, a multiple of 16 (TIFF 6.0)
    compression: str = "jpeg"  # of a pyramid's tiles; deflate, zstd and lzw are lossless
    lossless: bool = False  # WebP
    alpha: str = "flatten"  # over the background, or "keep"
    depth: int = 8  # bits; 16 keeps those of masters that have more than eight

    @classmethod
    def of(cls, settings: Settings, profile: str = "mezzanine") -> ConversionOptions:
        """Returns the options that *settings* have for *profile*. Raises `ProfileMissing`."""
        fields = settings.profiles.get(profile)
        if fields is None:
            raise ProfileMissing(f"there is no profile {profile!r} here: add it to PROFILES_FILE")
        values = fields.model_dump() | {"background": tuple(bytes.fromhex(fields.background[1:]))}
        return cls(**values, oversize=settings.oversize, max_pixels=settings.pixel_limit)

    @property
    def longest_side(self) -> int:
        """Pixels that a side of the derivative may have: larger masters are scaled."""
        return min(self.max_edge or SIDES[self.format], SIDES[self.format])

    @property
    def is_lossy(self) -> bool:
        """True if the coded pixels are not those that were converted."""
        return {JPEG: True, PYRAMID: self.compression == "jpeg", WEBP: not self.lossless}[self.format]

    def relevant_fields(self) -> dict[str, Any]:
        """Returns the fields that change a file of this format, by their names."""
        names = FIELDS[self.format]
        if self.is_lossy and self.format == PYRAMID:
            names += ("quality", "subsampling")
        elif self.is_lossy and self.format == WEBP:
            names += ("quality",)
        return {name: value for name, value in asdict(self).items() if name in names}


def contradiction(options: ConversionOptions) -> str | None:
    """Returns why no file can be written with *options*, and what can be. None if they go together."""
    if options.alpha == "keep" and options.format == JPEG:
        return "JPEG has no transparency: use alpha=flatten, or format=webp or pyramid"
    if options.alpha == "keep" and options.format == PYRAMID and options.is_lossy:
        return "tiles of JPEG have no transparency: use alpha=flatten, or compression=deflate, zstd or lzw"
    if options.depth == 16 and options.format != PYRAMID:
        return f"{options.format} has 8 bits: use depth=8, or format=pyramid with a lossless compression"
    if options.depth == 16 and options.is_lossy:
        return "tiles of JPEG have 8 bits: use depth=8, or compression=deflate, zstd or lzw"
    return None


@dataclass(frozen=True, slots=True)
class ConvertedImage:
    """The file that was written: its size in pixels, the format of its master, and a note for the sidecar.

    The size of a pyramid is that of its largest level.
    """

    width: int
    height: int
    master_format: str
    note: str | None = None
