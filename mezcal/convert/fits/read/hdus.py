"""Which HDU of a frame is the picture, and whether the file holds all of it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.errors import TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.convert.fits.read.hdu_list import HduList
    from mezcal.recipe import ThumbnailOptions

PADDING_MAX = 2879  # bytes


def choose_picture(hdus: HduList, options: ThumbnailOptions) -> Any:
    """Returns the HDU to show: of those asked for, SCI or the first; the lco look takes the first of two dimensions.

    Raises `Undecodable` if there is no picture.
    """
    first = None
    for hdu in pictures(hdus, options.hdu):
        first = hdu if first is None else first
        if len(hdu.shape) == 2 if options.look == "lco" else hdu.name == "SCI":
            return hdu
    if first is None:
        asked = f"HDU {options.hdu!r} of the frame" if options.hdu else "the frame"
        raise Undecodable(f"{asked} holds no picture: {_contents(hdus)}")
    return first


def pictures(hdus: HduList, name: str | None = None) -> Iterator[Any]:
    """Yields the HDUs that are pictures, in their order; with *name*, only those of that number or EXTNAME."""
    return (hdu for hdu in _named(hdus, name) if _is_picture(hdu))


def _named(hdus: HduList, name: str | None) -> Iterable[Any]:
    if name is None:
        return hdus
    if name.isdigit():
        return islice(hdus, int(name), int(name) + 1) if len(name) < 5 else []
    return (hdu for hdu in hdus if hdu.name == name)


def _is_picture(hdu: Any) -> bool:
    shape: tuple[int, ...] = (getattr(hdu, "shape", None) or ()) if hdu.is_image else ()
    return len(shape) >= 2 and all(shape)


def _contents(hdus: HduList) -> str:
    return "it has " + ", ".join(f"{hdu.name or 'unnamed'} ({type(hdu).__name__})" for hdu in islice(hdus, 10))


def check_complete(hdu: Any, file_size: int) -> None:
    """Raise `Undecodable` if the file ends before the data of *hdu*. Some writers leave the padding out."""
    info = hdu.fileinfo()
    needed = info["datLoc"] + max(0, info["datSpan"] - PADDING_MAX)
    if file_size < needed:
        raise Undecodable(f"the frame is cut off: it ends at byte {file_size:,} and needs at least {needed:,}")


def check_pixels(shape: tuple[int, ...], max_pixels: int | None) -> None:
    """Raise `TooLarge` if a plane of this *shape* has more than *max_pixels*."""
    if max_pixels is not None and shape[-1] * shape[-2] > max_pixels:
        raise TooLarge(f"the frame has {shape[-1]:,} x {shape[-2]:,} pixels, more than {max_pixels:,}")
