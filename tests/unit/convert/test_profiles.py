"""Profiles, compared with reference colours that no part of mezcal calculated.

They were calculated once by ArgyllCMS' icclu, from the profiles of `benchmarks.profiles` and libvips' CMYK profile, in
floating point. Its XYZ became sRGB by the formula of IEC 61966-2-1. CMYK is perceptual, with XYZ scaled so that four
full inks are black.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image

from benchmarks.convert import profile
from benchmarks.profiles import ADOBE_RGB, gamma, rgb
from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.pixels import profiles
from mezcal.convert.pixels.matrix_tables import matrix_tables

SIDE = 32  # pixels of a patch
RGB = [
    (0, 0, 0), (255, 255, 255), (128, 128, 128), (12, 10, 8), (40, 60, 30), (250, 128, 114), (30, 144, 200),
    (200, 180, 20), (90, 20, 120), (20, 230, 90), (3, 30, 3), (180, 90, 60),
]  # fmt: skip
CMYK = [
    (0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 0, 0), (0, 0, 255, 0), (0, 0, 0, 255), (128, 128, 128, 0), (0, 0, 0, 128),
    (30, 60, 90, 10), (200, 150, 150, 120), (100, 20, 220, 90), (12, 200, 180, 0), (220, 180, 20, 5),
]  # fmt: skip
REFERENCE = {
    "adobe-rgb": [
        (0, 0, 0), (255, 255, 255), (129, 129, 129), (4.5, 2.7, 1.6), (20.5, 57.4, 21.3), (255, 129, 113.9),
        (0, 145.3, 203.3), (208.5, 181.5, 0), (104.6, 12.1, 123.1), (0, 230.7, 75.5), (0, 23.8, 0), (204.9, 89.6, 55.5),
    ],
    "eci-rgb": [
        (0, 0, 0), (255, 255, 255), (119.4, 119.4, 119.4), (17.2, 13.7, 11.2), (28.9, 55.6, 29.7), (255, 113.5, 97.4),
        (0, 139.8, 197.6), (208.3, 168.9, 0), (95.6, 30.3, 113.6), (0, 225.5, 73.9), (0, 30.7, 3.1), (202, 78.4, 46.8),
    ],
    "prophoto": [
        (0, 0, 0), (255, 255, 255), (146.4, 146.4, 146.4), (16.9, 8.8, 5.9), (28.8, 81.2, 30), (255, 102.6, 129.1),
        (0, 175.9, 217.2), (246, 189.2, 0), (130.6, 0, 148), (0, 255, 63.6), (0, 44.8, 0), (249.6, 72.9, 68),
    ],
    "cmyk-profile": [
        (255, 255, 255), (0, 153.5, 227.2), (233.8, 0, 128.2), (255, 239.9, 0), (19.6, 5.5, 0), (131.2, 112.8, 110.2),
        (134.5, 133.5, 132.3), (211.3, 174.8, 146.7), (45.2, 58.4, 60.2), (113, 129.8, 42.7), (225.8, 75.3, 67.4),
        (49.7, 71, 137),
    ],
}  # fmt: skip


def shown(samples: list[Any], icc: bytes, tmp_path: Any, *, depth: int = 8) -> np.ndarray:
    """Returns the colours of a JPEG whose master has a patch of each of *samples*."""
    pixels = np.array(samples, "u1").repeat(SIDE, axis=0)[None].repeat(SIDE, axis=0)
    pixels = pixels.astype("u2") * 257 if depth == 16 else pixels
    master, target = io.BytesIO(), tmp_path / "out.jpg"
    space = "separated" if pixels.shape[2] == 4 else "rgb"
    tifffile.imwrite(master, pixels, photometric=space, extratags=[(34675, 7, len(icc), icc, True)])
    convert(master, target, ConversionContext(ConversionOptions(quality=100)))
    with Image.open(target) as image:
        found = np.asarray(image).reshape(SIDE, len(samples), SIDE, 3)
    return found[8:-8, :, 8:-8].mean(axis=(0, 2))


def ciede2000(first: Any, second: Any) -> np.ndarray:
    """Returns the differences between two lists of sRGB colours."""
    images = []
    for colours in (first, second):
        row = np.ascontiguousarray(np.array(colours, "f4")[None])
        image = pyvips.Image.new_from_memory(row.data, row.shape[1], 1, 3, "float")
        images.append(image.copy(interpretation="srgb").colourspace("lab"))
    return images[0].dE00(images[1]).numpy()


@pytest.mark.parametrize(
    ("case", "depth"),
    [(case, depth) for case in REFERENCE for depth in (8, 16) if (case, depth) != ("cmyk-profile", 16)],
)
def test_colours_are_those_of_the_reference(case, depth, tmp_path):
    found = shown(CMYK if case == "cmyk-profile" else RGB, profile(case), tmp_path, depth=depth)
    differences = ciede2000(found, REFERENCE[case])
    assert differences.mean() < 0.7
    assert differences.max() < 1.5


@pytest.mark.parametrize("values", [256, 65536])
@pytest.mark.parametrize("case", ["adobe-rgb", "eci-rgb", "prophoto"])
def test_tables_are_right_to_half_a_level(case, values):
    samples = np.array([RGB]).astype("u2") * ((values - 1) // 255)
    tables = profiles.tables_of(profile(case), values)
    assert tables is not None
    assert np.abs(tables.convert(samples) - np.array(REFERENCE[case])).max() <= 0.6


def test_tables_convert_every_row_of_a_wide_strip():
    tables = profiles.tables_of(profile("adobe-rgb"), 256)
    rows = np.random.default_rng(3).integers(0, 256, (20, 10_000, 4)).astype("u1")
    assert tables is not None
    found = tables.convert(rows)
    assert np.array_equal(found[17:18, 40:50], tables.convert(rows[17:18, 40:50]))


def parametric(kind: int, *numbers: float) -> bytes:
    return b"para" + bytes(4) + struct.pack(f">H2x{len(numbers)}i", kind, *(round(n * 65536) for n in numbers))


@pytest.mark.parametrize(
    "curve",
    [
        parametric(0, 2.2),
        parametric(1, 2.4, 1.1, -0.1),
        parametric(2, 2.4, 1.1, -0.1, 0.0),
        parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
        parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
        b"curv" + bytes(8),
    ],
    ids=["power", "power-of-part", "power-of-part-and-offset", "linear-start", "all-numbers", "linear"],
)
def test_every_kind_of_curve_is_read_as_by_lcms(curve):
    assert profiles.tables_of(rgb(ADOBE_RGB, curve), 256) is not None  # not used if lcms finds other colours


@pytest.mark.parametrize(
    "icc",
    [
        profile("cmyk-profile"),
        rgb(ADOBE_RGB, b"curv" + bytes(4) + struct.pack(">I3H", 3, 65535, 30000, 0)),
        rgb(ADOBE_RGB, b"curv" + bytes(4) + struct.pack(">I3H", 3, 20000, 30000, 65535)),
        rgb(ADOBE_RGB, parametric(9, 1.0)),
        rgb(ADOBE_RGB, b"curv" + bytes(4) + struct.pack(">I", 2**31)),
        rgb(ADOBE_RGB, gamma(2.2)).replace(b"bTRC", b"A2B0"),
        rgb(ADOBE_RGB, gamma(2.2))[:140],
    ],
    ids=["cmyk", "falling", "grey-black", "unknown-function", "cut-curve", "table", "cut"],
)
def test_other_profiles_are_left_to_lcms(icc):
    assert matrix_tables(icc, 256) is None


def test_a_profile_is_tested_once(monkeypatch):
    calls = []
    icc = rgb(ADOBE_RGB, gamma(2.05))
    real = profiles.by_profile
    monkeypatch.setattr(profiles, "by_profile", lambda *given: calls.append(1) or real(*given))
    for _ in range(3):
        assert profiles.usable_profile(icc, "rgb") == icc
        assert not profiles.is_srgb(icc, "rgb")
    assert len(calls) == 1
