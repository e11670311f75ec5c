"""Positions in frames of every projection, as wcslib's own `wcsware` and WCSTools' `sky2xy` find them.

    .venv/bin/python -m tests.unit.convert.fits.cutout.reference_positions

writes the table tests/data/fits/positions.json with the programs that are installed. The one in the repository is by
wcslib 7.12 and WCSTools 3.9.7, of Debian 12.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.coordinates import FK4, FK5, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from tests import DATA
from tests.support.wcs_tools import by_wcslib, by_wcstools
from tests.unit.convert.fits.cutout.frames import SCALE, SIDE, SIP, TPV, header

TABLE = DATA / "fits" / "positions.json"
COUNT = 6  # positions of each frame
INVERTED = {
    f"{name[0]}P{name[1:]}": -value if "_ORDER" not in name else value for name, value in SIP.items() if name[1] == "_"
}
SIP_BOTH_WAYS = {**SIP, **INVERTED}  # WCSTools leaves SIP out where its inverse is not given
ZPN = {"PV2_1": 1.0, "PV2_3": 60.0}
GALACTIC = {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", "CRVAL1": 30.0, "CRVAL2": 40.0}
STEPS = {"CDELT1": -SCALE / 3600, "CDELT2": SCALE / 3600}


def _steps(**cards: float) -> fits.Header:
    """Returns coordinates without a CD matrix."""
    made = header("TAN", 150.0, 2.0)
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del made[name]
    made.update({**STEPS, **cards})
    return made


FRAMES: dict[str, fits.Header] = {
    "TAN": header("TAN", 150.0, 2.0),
    "TAN at right ascension 0": header("TAN", 0.0, 0.0),
    "TAN near the north pole": header("TAN", 45.0, 89.99),
    "TAN around the north pole": header("TAN", 0.0, 90.0, LONPOLE=180.0),
    "TAN near the south pole": header("TAN", 200.0, -89.999),
    "TAN with CROTA2": _steps(CROTA2=25.0),
    "TAN with PC": _steps(PC1_1=0.8, PC1_2=-0.6, PC2_1=0.6, PC2_2=0.8),
    "SIP": header("TAN", 150.0, 2.0, **SIP_BOTH_WAYS),
    "SIP at right ascension 0": header("TAN", 359.999, -30.0, **SIP_BOTH_WAYS),
    "SIP near the south pole": header("TAN", 45.0, -89.999, **SIP_BOTH_WAYS),
    "TPV": header("TPV", 150.0, 2.0, **TPV),
    "TPV at right ascension 0": header("TPV", 0.001, -60.0, **TPV),
    "TPV near the north pole": header("TPV", 300.0, 89.98, **TPV),
    "ZEA": header("ZEA", 10.0, -45.0),
    "ZEA near the north pole": header("ZEA", 0.001, 89.98),
    "ZEA around the south pole": header("ZEA", 0.0, -90.0),
    "CAR": header("CAR", 10.0, 0.0),
    "CAR away from the equator": header("CAR", 200.0, 35.0),
    "CAR at right ascension 0": header("CAR", 0.0, -20.0),
    "CAR near the north pole": header("CAR", 20.0, 89.9),
    "SIN": header("SIN", 80.0, -30.0, RADESYS="FK5", EQUINOX=2000.0),
    "SIN, slanted": header("SIN", 80.0, -30.0, PV2_1=0.1, PV2_2=-0.2),
    "ARC at right ascension 0": header("ARC", 359.99, 70.0),
    "STG near the south pole": header("STG", 180.0, -85.0),
    "ZPN near the north pole": header("ZPN", 270.0, 89.95, **ZPN),
    "ZPN near the south pole": header("ZPN", 0.0, -89.95, **ZPN),
    "galactic": header("TAN", **GALACTIC),
    "FK4": header("TAN", 150.0, 2.0, RADESYS="FK4", EQUINOX=1950.0),
    "FK5 of 2026": header("TAN", 150.0, 2.0, RADESYS="FK5", EQUINOX=2026.0),
}
SYSTEMS = {
    "galactic": "galactic",
    "FK4": FK4(equinox="B1950"),
    "FK5 of 2026": FK5(equinox="J2026"),
}


class ReferencePosition(NamedTuple):
    """A position in J2000, and x and y as FITS counts pixels: by wcslib, and by WCSTools."""

    ra: float
    dec: float
    wcslib: tuple[float, float]
    wcstools: tuple[float, float]


def read() -> dict[str, list[ReferencePosition]]:
    """Returns the positions of each of `FRAMES`."""
    table = json.loads(TABLE.read_text())
    return {name: [ReferencePosition(*line) for line in lines] for name, lines in table.items()}


def ask_tools(name: str, folder: Path) -> list[ReferencePosition]:
    """Returns positions all over a frame, its corners among them, as both programs find them today."""
    cards = FRAMES[name]
    path = folder / "frame.fits"
    fits.PrimaryHDU(np.zeros((SIDE, SIDE), "u1"), cards).writeto(path, overwrite=True)
    places = np.random.default_rng(len(name)).uniform(1, SIDE, (COUNT, 2))
    places[:2] = (1, 1), (SIDE, 1)
    own = np.array(WCS(cards).all_pix2world(places, 1))
    own[:, 0] %= 360
    j2000 = own if name not in SYSTEMS else _in_j2000(own, SYSTEMS[name])
    rounded = np.round(j2000, 7)
    in_frame = rounded if name not in SYSTEMS else own
    pairs = [(float(first), float(second)) for first, second in in_frame]
    positions = [(float(ra), float(dec)) for ra, dec in rounded]
    found = zip(positions, by_wcslib(path, pairs), by_wcstools(path, positions), strict=True)
    return [ReferencePosition(*position, wcslib, wcstools) for position, wcslib, wcstools in found]


def _in_j2000(positions: np.ndarray, system: object) -> np.ndarray:
    modern = SkyCoord(*positions.T, unit="deg", frame=system).icrs
    return np.stack([modern.ra.deg, modern.dec.deg], 1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = {name: ask_tools(name, Path(folder)) for name in FRAMES}
    groups = (
        f" {json.dumps(name)}: [\n" + ",\n".join(f"  {json.dumps(each)}" for each in lines[name]) + "]"
        for name in lines
    )
    TABLE.write_text("{\n" + ",\n".join(groups) + "\n}\n")


if __name__ == "__main__":
    main()
