"""Frames with stars at known places of the sky, in every projection that the tests try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

if TYPE_CHECKING:
    from pathlib import Path

SIDE = 300  # pixels
SCALE = 0.4  # arcseconds a pixel
SIP = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2}
SIP |= {"A_2_0": 2e-5, "A_0_2": -1e-5, "B_1_1": 1.5e-5, "B_2_0": 1e-5}
TPV = {"PV1_0": 0.0, "PV1_1": 1.01, "PV1_2": 0.002, "PV1_4": 0.3, "PV2_0": 0.0, "PV2_1": 0.99, "PV2_2": -0.003}


def header(projection: str = "TAN", ra: float = 150.0, dec: float = 2.0, turn: float = 30, **cards: Any) -> fits.Header:
    """Returns coordinates around *ra* and *dec*, turned by *turn* degrees."""
    cos, sin, step = np.cos(np.radians(turn)), np.sin(np.radians(turn)), SCALE / 3600
    made = fits.Header({"CTYPE1": f"RA---{projection}", "CTYPE2": f"DEC--{projection}", "RADESYS": "ICRS"})
    made.update({"CRVAL1": ra, "CRVAL2": dec, "CRPIX1": SIDE / 2 + 3.3, "CRPIX2": SIDE / 2 - 5.1})
    made.update({"CD1_1": -step * cos, "CD1_2": step * sin, "CD2_1": step * sin, "CD2_2": step * cos})
    made.update(cards)
    return made


def sky(level: float = 100, noise: float = 3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(level, noise, (SIDE, SIDE)).astype("f4")


def add_star(pixels: np.ndarray, x: float, y: float, peak: float = 1000) -> None:
    """Add a star at *x*, *y*, counted from 0."""
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    pixels += (peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 4.5)).astype(pixels.dtype)


def add_stars(pixels: np.ndarray, cards: fits.Header, offsets: list[tuple[float, float]]) -> None:
    """Add stars at arcseconds east and north of CRVAL."""
    wcs = WCS(cards)
    for east, north in offsets:
        dec = cards["CRVAL2"] + north / 3600
        add_star(pixels, *wcs.all_world2pix(cards["CRVAL1"] + east / 3600 / np.cos(np.radians(dec)), dec, 0))


def write(path: Path, pixels: np.ndarray, cards: fits.Header, **packed: Any) -> Path:
    """Write a frame; compressed in tiles if options of `CompImageHDU` are given in *packed*."""
    hdu = fits.CompImageHDU(pixels, cards, name="SCI", **packed) if packed else fits.ImageHDU(pixels, cards, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return path
