"""Which HDU of a frame is the picture, and whether the file holds all of it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from astropy.io import fits

from mezcal.errors import NoSuchPicture, TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mezcal.convert.fits.read.file.hdu_list import HduList
    from mezcal.recipe import ThumbnailOptions

ABOUT_PIXELS = {
    *("ERR", "ERROR", "ERRORS", "SIGMA", "NOISE", "RMS", "VAR", "VARIANCE", "IVAR", "UNCERT", "STAT"),
    *("DQ", "BPM", "MASK", "FLAG", "FLAGS", "QUALITY", "DATA_QUALITY", "WHT", "WGT", "WEIGHT", "WEIGHTS", "EXPMAP"),
}
KINDS = {"BinTableHDU": "a table", "TableHDU": "a table", "GroupsHDU": "random groups"}  # by astropy's classes
BITPIX = (8, 16, 32, 64, -32, -64)
PADDING_MAX = 2879  # bytes
LISTED_MAX = 10  # HDUs that an error message names


def choose_picture(hdus: HduList, options: ThumbnailOptions) -> Any:
    """Returns the HDU to show: of those asked for, SCI, else the first one that is no mask and no map of errors.

    The lco look takes the first of two dimensions. Raises `NoSuchPicture` if only the HDU asked for has none, and
    `Undecodable` if no HDU has one.
    """
    first = first_of_light = None
    for hdu in pictures(hdus, options.hdu):
        first = hdu if first is None else first
        if len(hdu.shape) == 2 if options.look == "lco" else is_named(hdu, "SCI"):
            return hdu
        if first_of_light is None and not is_named(hdu, *ABOUT_PIXELS):
            first_of_light = hdu
    if first is None:
        raise _no_picture(hdus, options.hdu)
    return first if first_of_light is None or options.look == "lco" else first_of_light


def _no_picture(hdus: HduList, name: str | None) -> NoSuchPicture | Undecodable:
    """Returns the failure of a frame without a picture in the HDU *name*, None for any."""
    shown = [(number, hdu) for number, hdu in enumerate(hdus) if _is_picture(hdu)]
    if name is None or not shown:
        return Undecodable(f"the frame holds no picture: it has {_contents(hdus)}")
    number, hdu = shown[0]
    other = f" or hdu={hdu.name}" if hdu.name else ""
    return NoSuchPicture(
        f"hdu is {name!r}, where this frame has no picture. It has {_contents(hdus)}. Name one with pixels by its "
        f"number or name, for example hdu={number}{other}"
    )


def is_named(hdu: Any, *names: str) -> bool:
    """Returns True if the EXTNAME of *hdu* is one of *names*, which are in capitals; FITS compares without case."""
    return str(hdu.name).strip().upper() in names


def pictures(hdus: HduList, name: str | None = None) -> Iterator[Any]:
    """Yields the HDUs that are pictures, in their order; with *name*, only those of that number or EXTNAME."""
    return (hdu for hdu in _named(hdus, name) if _is_picture(hdu))


def _named(hdus: HduList, name: str | None) -> Iterable[Any]:
    if name is None:
        return hdus
    if name.isdigit():
        return islice(hdus, int(name), int(name) + 1) if len(name) < 5 else []
    return (hdu for hdu in hdus if is_named(hdu, name) or _is_version(hdu, name))


def _is_version(hdu: Any, name: str) -> bool:
    """Returns True if *name* is the EXTNAME and the EXTVER of *hdu*, as `SCI,2`."""
    extname, comma, version = name.rpartition(",")
    return bool(comma) and version.strip().isdigit() and is_named(hdu, extname.strip()) and hdu.ver == int(version)


def _is_picture(hdu: Any) -> bool:
    shape: tuple[int, ...] = (getattr(hdu, "shape", None) or ()) if hdu.is_image else ()
    return len(shape) >= 2 and all(shape)


def _contents(hdus: HduList) -> str:
    """Returns the numbers, names and kinds of the first HDUs."""
    listed = list(islice(hdus, LISTED_MAX + 1))
    texts = [f"{number} {hdu.name or 'unnamed'} ({_kind(hdu)})" for number, hdu in enumerate(listed[:LISTED_MAX])]
    return ", ".join(texts) + (", and more" if len(listed) > LISTED_MAX else "")


def _kind(hdu: Any) -> str:
    """Returns what *hdu* holds, in words."""
    if not hdu.is_image or isinstance(hdu, fits.GroupsHDU):
        return KINDS.get(type(hdu).__name__, "no FITS data")
    axes = getattr(hdu, "shape", ())
    return f"{' x '.join(map(str, axes[::-1]))} pixels" if axes else "no data"


def check_complete(hdu: Any, file_size: int) -> None:
    """Raise `Undecodable` if the file ends before the data of *hdu*, or if their type is none of FITS.

    Some writers leave the padding out.
    """
    bits = hdu.header["BITPIX"]
    if bits not in BITPIX:
        raise Undecodable(f"the frame's header is broken: BITPIX is {bits}, and may be 8, 16, 32, 64, -32 or -64")
    info = hdu.fileinfo()
    needed = info["datLoc"] + max(0, info["datSpan"] - PADDING_MAX)
    if file_size < needed:
        raise Undecodable(f"the frame is cut off: it ends at byte {file_size:,} and needs at least {needed:,}")


def check_pixels(shape: tuple[int, int], max_pixels: int | None) -> None:
    """Raise `TooLarge` if a plane of this *shape* has more than *max_pixels*."""
    if max_pixels is not None and shape[-1] * shape[-2] > max_pixels:
        raise TooLarge(f"the frame has {shape[-1]:,} x {shape[-2]:,} pixels, more than {max_pixels:,}")
