"""Draws docs/images/cutouts.png and colours.png: made frames with the parameters of docs/cutouts.md.

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

TARGET, COLOURS = Path("docs/images/cutouts.png"), Path("docs/images/colours.png")
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
COMPOSITE = "ra=150&dec=2&size=60x45&color=true"
COLOUR_QUERIES = [
    "",
    "&stretch=asinh",
    "&stretch=60&Q=8&vmin=180",
    "&stretch=asinh&red_weight=2",
    "&stretch=asinh&blue_weight=0.5",
    "&red_vmin=190&red_vmax=600&green_vmin=190&green_vmax=900&blue_vmin=190&blue_vmax=1200",
]
GAINS = {"red": (1.0, 0.2), "green": (0.8, 0.5), "blue": (0.5, 1.0)}  # of the galaxy's old and young stars
COLUMNS, WIDTH, HEIGHT, LINE = 2, 400, 300, 26  # pixels of a picture, and of the lines below
LETTERS = 58  # of a line


def frame() -> bytes:
    """Returns a frame with stars and a galaxy, turned by `TURN` degrees."""
    random = np.random.default_rng(4)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = random.normal(200, 6, (SIDE, SIDE))
    for x, y, peak in zip(*random.uniform(0, SIDE, (2, 150)), 10 ** random.uniform(1.5, 3.3, 150), strict=True):
        pixels += peak * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)
    x, y = columns - SIDE / 2, rows - SIDE / 2
    pixels += 600 * np.exp(-np.hypot(x + 0.5 * y, 2 * (y - 0.5 * x)) / 9)
    return written(pixels)


def band(name: str) -> bytes:
    """Returns a frame of one colour: stars of many temperatures, and a galaxy with a red middle and blue arms."""
    random = np.random.default_rng(9)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    pixels = np.random.default_rng(len(name)).normal(200, 5, (SIDE, SIDE))
    places, peaks, heats = (
        random.uniform(0, SIDE, (2, 120)),
        10 ** random.uniform(1.6, 3.2, 120),
        random.uniform(0, 1, 120),
    )
    old, young = GAINS[name]
    for x, y, peak, heat in zip(*places, peaks, heats, strict=True):
        pixels += peak * (old * (1 - heat) + young * heat) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 6)
    x, y = columns - SIDE / 2, 1.6 * (rows - SIDE / 2)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    pixels += 700 * old * np.exp(-radius / 9)
    pixels += 160 * young * np.exp(-radius / 26) * (1 + np.cos(2 * angle - radius / 8)) * (radius > 6)
    return written(pixels)


def written(pixels: np.ndarray) -> bytes:
    """Returns a FITS file of *pixels*, whose north is turned by `TURN` degrees."""
    cos, sin, step = np.cos(np.radians(TURN)), np.sin(np.radians(TURN)), SCALE / 3600
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": SIDE / 2 + 1, "CRPIX2": SIDE / 2 + 1, "CD1_1": -step * cos, "CD1_2": step * sin})
    header.update({"CD2_1": step * sin, "CD2_2": step * cos})
    file = io.BytesIO()
    fits.PrimaryHDU(pixels.astype("f4"), header).writeto(file)
    return file.getvalue()


def drawn(contents: list[bytes], query: str, folder: Path) -> Image.Image:
    """Returns the picture that *query* asks for, as large as a cell."""
    given = dict(part.split("=") for part in query.split("&"))
    limits = {"zoom": "32", "width": str(WIDTH), "height": str(HEIGHT), "format": "png"}
    options = ThumbnailOptions.parse({**given, **limits})
    files = [io.BytesIO(content) for content in contents]
    draw(files, folder / "out.png", options, ConversionContext(scratch=folder))  # type: ignore[arg-type]
    return Image.open(folder / "out.png").convert("RGB")


def write_sheet(target: Path, contents: list[bytes], queries: dict[str, str], colours: int) -> None:
    """Write one picture for each of *queries*, with the text that belongs to it, in a palette of *colours*."""
    rows = -(-len(queries) // COLUMNS)
    sheet, font = Image.new("RGB", (COLUMNS * (WIDTH + 8) - 8, rows * (HEIGHT + LINE)), "white"), load_font(11)
    with tempfile.TemporaryDirectory() as folder:
        for number, (query, text) in enumerate(queries.items()):
            left, top = number % COLUMNS * (WIDTH + 8), number // COLUMNS * (HEIGHT + LINE)
            sheet.paste(drawn(contents, query, Path(folder)), (left, top))
            for line, start in enumerate(range(0, len(text), LETTERS)):
                ImageDraw.Draw(sheet).text(
                    (left, top + HEIGHT + 11 * line), text[start : start + LETTERS], "black", font
                )
    sheet.quantize(colours).save(target, optimize=True)


def main() -> None:
    """Write both sheets."""
    write_sheet(TARGET, [frame()], {query: query for query in QUERIES}, 128)
    bands = [band(name) for name in GAINS]
    write_sheet(COLOURS, bands, {COMPOSITE + query: query.lstrip("&") or "color=true" for query in COLOUR_QUERIES}, 256)


if __name__ == "__main__":
    main()
