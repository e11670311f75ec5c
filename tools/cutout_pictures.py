"""Draws docs/images/cutouts.png: a made frame with the parameters of docs/cutouts.md.

.venv/bin/python -m tools.cutout_pictures
"""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image, ImageDraw

from mezcal.convert import ConversionContext
from mezcal.convert.fits.draw.label import load_font
from mezcal.convert.fits.thumbnail import draw
from mezcal.recipe import ThumbnailOptions

TARGET = Path("docs/images/cutouts.png")
SIDE, SCALE, TURN = 600, 0.4, 25  # pixels, arcseconds, degrees
CENTRE = "ra=150&dec=2&size=40x30"
QUERIES = [
    f"{CENTRE}",
    f"{CENTRE}&orient=exact&compass=true",
    f"{CENTRE}&grid=true&scalebar=true",
    f"{CENTRE}&crosshair=center&circle=center,6",
    f"{CENTRE}&colormap=viridis&stretch=asinh",
    "ra=150&dec=2&size=10x7.5&resample=nearest",
]
COLUMNS, WIDTH, HEIGHT, LINE = 2, 400, 300, 22  # pixels of a picture, and of the line below


def frame() -> bytes:
    """Returns a frame with stars and a galaxy, turned by `TURN` degrees."""
    random = np.random.default_rng(4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = random.normal(200, 6, (SIDE, SIDE))
    for x, y, peak in zip(*random.uniform(0, SIDE, (2, 150)), 10 ** random.uniform(1.5, 3.3, 150), strict=True):
        pixels += peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)
    x, y = columns - SIDE / 2, rows - SIDE / 2
    pixels += 600 * np.exp(-np.hypot(x + 0.5 * y, 2 * (y - 0.5 * x)) / 9)
    cos, sin, step = np.cos(np.radians(TURN)), np.sin(np.radians(TURN)), SCALE / 3600
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": SIDE / 2 + 1, "CRPIX2": SIDE / 2 + 1, "CD1_1": -step * cos, "CD1_2": step * sin})
    header.update({"CD2_1": step * sin, "CD2_2": step * cos})
    file = io.BytesIO()
    fits.PrimaryHDU(pixels.astype("f4"), header).writeto(file)
    return file.getvalue()


def drawn(content: bytes, query: str, folder: Path) -> Image.Image:
    """Returns the picture that *query* asks for, as large as a cell."""
    given = dict(part.split("=") for part in query.split("&"))
    limits = {"zoom": "32", "width": str(WIDTH), "height": str(HEIGHT), "format": "png"}
    options = ThumbnailOptions.parse({**given, **limits})
    draw([io.BytesIO(content)], folder / "out.png", options, ConversionContext(scratch=folder))  # type: ignore[list-item]
    return Image.open(folder / "out.png").convert("RGB")


def main() -> None:
    """Write the sheet."""
    rows = -(-len(QUERIES) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (WIDTH + 8) - 8, rows * (HEIGHT + LINE)), "white")
    content, font = frame(), load_font(11)
    with tempfile.TemporaryDirectory() as folder:
        for number, query in enumerate(QUERIES):
            left, top = number % COLUMNS * (WIDTH + 8), number // COLUMNS * (HEIGHT + LINE)
            sheet.paste(drawn(content, query, Path(folder)), (left, top))
            ImageDraw.Draw(sheet).text((left, top + HEIGHT + 3), query, "black", font)
    sheet.quantize(128).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
