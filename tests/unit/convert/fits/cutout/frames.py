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


def amplifiers(path: Path, pixels: np.ndarray, cards: fits.Header, *, mirrored: bool = False) -> Path:
    """Write a raw frame of four amplifiers with ten columns of overscan, each with the coordinates in *cards*.

    If *mirrored*, the two on the right and the two at the top are read out from the other end.
    """
    half, parts = SIDE // 2, []
    for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
        part, own = pixels[half * y : half * (y + 1), half * x : half * (x + 1)], cards.copy()
        edges = [(half * place + 1, half * (place + 1)) for place in (x, y)]
        for axis, place in enumerate((x, y)):
            if f"CRPIX{axis + 1}" in own:
                own[f"CRPIX{axis + 1}"] -= half * place
            if mirrored and place:
                part = np.flip(part, 1 - axis)
                edges[axis] = edges[axis][::-1]
                _mirror(own, axis, half)
        sections = ",".join("{}:{}".format(*edge) for edge in edges)
        own.update(
            {
                "DETSEC": f"[{sections}]",
                "DATASEC": f"[1:{half},1:{half}]",
                "BIASSEC": f"[{half + 1}:{half + 10},1:{half}]",
            }
        )
        data = np.hstack([part, np.zeros((half, 10))]).astype("f4")
        parts.append(fits.ImageHDU(data, own, name="SCI", ver=len(parts) + 1))
    fits.HDUList([fits.PrimaryHDU(), *parts]).writeto(path, overwrite=True)
    return path


def _mirror(cards: fits.Header, axis: int, side: int) -> None:
    """Describe the same sky with the pixels of *axis* counted from the other end."""
    if f"CRPIX{axis + 1}" in cards:
        cards[f"CRPIX{axis + 1}"] = side + 1 - cards[f"CRPIX{axis + 1}"]
    for name in (f"CD1_{axis + 1}", f"CD2_{axis + 1}"):
        if name in cards:
            cards[name] *= -1
    for name in [name for name in cards if name[:2] in {"A_", "B_"} and name[2].isdigit()]:
        power = int(name[2 + 2 * axis])
        own = name[0] == "AB"[axis]
        cards[name] *= (-1) ** (power + own)
