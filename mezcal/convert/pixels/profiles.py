"""Profiles of masters: whether they can be used, what they change, and the conversion to sRGB by lcms (in libvips)."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import pyvips

from mezcal.convert.engines import libvips
from mezcal.convert.pixels.matrix_tables import MatrixTables, matrix_tables

SIGNATURES = {"grey": b"GRAY", "rgb": b"RGB ", "cmyk": b"CMYK"}  # colour spaces in a profile's header
BANDS = {"grey": 1, "rgb": 3, "cmyk": 4}
INTERPRETATIONS = {"grey": "b-w", "rgb": "srgb", "cmyk": "cmyk"}
PROBE_STEPS = {"grey": 6, "rgb": 6, "cmyk": 2}  # values of each band that are tried
ROUNDING = 2  # levels
REMEMBERED = 8  # profiles: most masters of a collection have one of a few
REMEMBERED_BYTES = 2**20  # of a profile: larger ones are tested each time


class ProfileTest(NamedTuple):
    """*usable* is False if lcms refuses the profile; *is_srgb* is True if it changes colours by rounding only."""

    usable: bool
    is_srgb: bool


def usable_profile(icc: bytes | None, space: str) -> bytes | None:
    """Returns *icc* if it is a profile for pixels of *space*, else None: a wrong profile is worse than none."""
    if not icc or len(icc) < 132 or icc[36:40] != b"acsp" or icc[16:20] != SIGNATURES[space]:
        return None
    return icc if _test(icc, space).usable else None


def is_srgb(icc: bytes, space: str) -> bool:
    """Returns True if the usable profile *icc* changes colours by rounding only: the pixels can stay as they are."""
    return _test(icc, space).is_srgb


def tables_of(icc: bytes, values: int) -> MatrixTables | None:
    """Returns tables for the RGB profile *icc* and channels of *values* values. None if lcms has to convert.

    They are used only if they agree with lcms.
    """
    return (_remembered_tables if len(icc) <= REMEMBERED_BYTES else _tables)(icc, values)


def by_profile(image: Any, icc: bytes, space: str, depth: int = 8) -> Any:
    """Returns *image* converted to sRGB of *depth* bits, 8 or 16.

    The intent is perceptual for CMYK, relative for all else, with black point compensation.
    """
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", icc)
    intent = "perceptual" if space == "cmyk" else "relative"
    return image.icc_transform("srgb", embedded=True, intent=intent, black_point_compensation=True, depth=depth)


def _test(icc: bytes, space: str) -> ProfileTest:
    return (_remembered_test if len(icc) <= REMEMBERED_BYTES else _test_profile)(icc, space)


def _test_profile(icc: bytes, space: str) -> ProfileTest:
    probe = _probe(space)
    try:
        shown = by_profile(probe, icc, space).numpy()
    except libvips.FAILURES:
        return ProfileTest(usable=False, is_srgb=False)
    finally:
        libvips.forget_errors()  # complaints about the profile say nothing about the pixels, which are read later
    return ProfileTest(usable=True, is_srgb=space != "cmyk" and _differ_little(shown, probe.numpy()))


def _tables(icc: bytes, values: int) -> MatrixTables | None:
    small, tables = matrix_tables(icc, 256), matrix_tables(icc, values)
    if small is None:
        return None
    probe = _probe("rgb")
    return tables if _differ_little(by_profile(probe, icc, "rgb").numpy(), small.convert(probe.numpy())) else None


def _differ_little(first: Any, second: Any) -> bool:
    first = first[..., None] if first.ndim == 2 else first
    second = second[..., None] if second.ndim == 2 else second
    return bool(np.abs(first.astype("i2") - second).max() <= ROUNDING)


def _probe(space: str) -> Any:
    """Returns an image of all combinations of a few values in the bands of *space*, one a pixel."""
    bands, steps = BANDS[space], PROBE_STEPS[space]
    index = pyvips.Image.identity(ushort=True, size=steps**bands)
    levels = [(index // steps**band % steps) * (255 / (steps - 1)) for band in range(bands)]
    joined = levels[0].bandjoin(levels[1:]) if bands > 1 else levels[0]
    return joined.cast("uchar").copy(interpretation=INTERPRETATIONS[space])


_remembered_test = functools.lru_cache(REMEMBERED)(_test_profile)
_remembered_tables = functools.lru_cache(REMEMBERED)(_tables)
