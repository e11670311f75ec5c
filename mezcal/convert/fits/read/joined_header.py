"""The sky coordinates of one amplifier, as those of the picture that all amplifiers are joined to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from astropy.io.fits import VerifyError

from mezcal.convert.fits.draw.north_up import sky_matrix

if TYPE_CHECKING:
    from mezcal.convert.fits.read.mosaic import DetectorSection

SIP_TERM = re.compile("([AB])P?_([0-9])_([0-9])")
LINEAR = re.compile("(CDELT|CROTA)[12]|PC[12]_[12]|PC00[12]00[12]")  # what a CD matrix stands for


def joined_header(own: Any, data: DetectorSection, target: DetectorSection) -> Any:
    """Returns the header *own* of an amplifier whose pixels *data* are the pixels *target* of the joined picture.

    Without a CRPIX it is unchanged: then the coordinates are those of the primary header, which describe the whole
    picture. Amplifiers that were read out from the other end are mirrored. Cards that cannot be parsed are left as they
    are: they give no coordinates.
    """
    if "CRPIX1" not in own or "CRPIX2" not in own:
        return own
    try:
        return _moved(own.copy(), data, target)
    except (ValueError, TypeError, VerifyError):
        return own


def lacks_matrix(own: Any, data: DetectorSection, target: DetectorSection) -> bool:
    """Returns True if an amplifier with a CRPIX was read out from the other end and has no matrix of its own.

    That of the primary header may be along the axes of the amplifier, or along those of the joined picture.
    """
    has_place = "CRPIX1" in own and "CRPIX2" in own
    return has_place and _signs(data, target) != (1, 1) and sky_matrix(own) is None


def _signs(data: DetectorSection, target: DetectorSection) -> tuple[int, int]:
    """Returns -1 for each axis, x and y, along which *data* is mirrored in *target*, else 1."""
    return -1 if target.flip_columns != data.flip_columns else 1, -1 if target.flip_rows != data.flip_rows else 1


def _moved(header: Any, data: DetectorSection, target: DetectorSection) -> Any:
    signs = _signs(data, target)
    firsts = (data.left, target.left, data.right), (data.bottom, target.bottom, data.top)
    for axis, (sign, (first, place, end)) in enumerate(zip(signs, firsts, strict=True), 1):
        reference = float(header[f"CRPIX{axis}"])
        header[f"CRPIX{axis}"] = place + (reference - first if sign > 0 else end + 1 - reference)
    if signs != (1, 1):
        _mirror(header, signs)
    return header


def _mirror(header: Any, signs: tuple[int, int]) -> None:
    """Change the sign of the axes of pixels whose *signs* are negative, in the matrix and in the polynomials of SIP."""
    matrix = sky_matrix(header)
    if matrix is None:
        return
    for name in [name for name in header if LINEAR.fullmatch(name)]:
        header.remove(name, remove_all=True)
    for row, column in ((1, 1), (1, 2), (2, 1), (2, 2)):
        header[f"CD{row}_{column}"] = float(matrix[row - 1, column - 1]) * signs[column - 1]
    for name in list(header):
        if term := SIP_TERM.fullmatch(name):
            axis, x, y = term[1], int(term[2]), int(term[3])
            header[name] = float(header[name]) * signs["AB".index(axis)] * signs[0] ** x * signs[1] ** y
