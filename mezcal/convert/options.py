"""The options of a mezzanine, and the result of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.settings import Settings


@dataclass(frozen=True, slots=True)
class ConversionOptions:
    """All settings that change a mezzanine's pixels, and no others."""

    quality: int = 90
    subsampling: str = "4:4:4"
    progressive: bool = False
    max_edge: int = 0  # pixels; 0 is the master's own size
    color: str = "srgb"
    background: tuple[int, int, int] = (255, 255, 255)
    keep_metadata: bool = False
    oversize: str = "scale"
    max_pixels: int | None = 2_000_000_000  # width x height of the master; None is no limit

    @classmethod
    def of(cls, settings: Settings) -> ConversionOptions:
        """Returns the options that *settings* set for mezzanines."""
        return cls(
            quality=settings.mezzanine_quality,
            subsampling=settings.mezzanine_subsampling,
            progressive=settings.mezzanine_progressive,
            max_edge=settings.mezzanine_max_edge,
            color=settings.color,
            background=tuple(bytes.fromhex(settings.background[1:])),  # type: ignore[arg-type]
            keep_metadata=settings.keep_metadata,
            oversize=settings.oversize,
            max_pixels=settings.pixel_limit,
        )


@dataclass(frozen=True, slots=True)
class ConvertedImage:
    """The JPEG that was written: its size in pixels, the format of its master, and a note for the sidecar."""

    width: int
    height: int
    master_format: str
    note: str | None = None
