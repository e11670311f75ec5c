"""The chips of one exposure that are frames of their own: the same picture as if they were HDUs of one file."""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from mezcal.convert import ConversionContext, ConversionOptions
from mezcal.convert.fits import exposure as fits_exposure
from mezcal.convert.fits.coordinates import FrameCoordinates
from mezcal.convert.fits.exposure import open_frames
from mezcal.convert.fits.read.chip_mosaic import ChipMosaic
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import NoSuchSection, NotAnImage, TooLarge, Undecodable
from mezcal.recipe import ThumbnailOptions
from mezcal.runtime import memory_budget
from tests.unit.convert.fits.cutout.frames import SCALE, SIDE, add_stars, amplifiers, header, sky
from tests.unit.convert.fits.cutout.test_avm import distances, tags
from tests.unit.convert.fits.cutout.test_mosaics import CHIPS, COLUMNS, ROWS, WHOLE, exposure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAMES = ("frame 11", "frame 12", "frame 13")
ACROSS = {"ra": "150.004", "dec": "2.001", "size": "60x40"}  # the gap between the first two chips
FIRST_STAR, SECOND_STAR = (8.0, -6.0), (-20.0, 14.0)


def split(path: Path) -> list[Path]:
    """Returns a file for each chip of the exposure at *path*, with its very bytes."""
    content = path.read_bytes()
    with fits.open(path, disable_image_compression=True) as hdus:
        places = [hdu.fileinfo() for hdu in hdus if hdu.name == "SCI"]
        primary = content[: hdus[0].fileinfo()["datLoc"]]
    parts = [path.with_name(f"chip{number}.fits") for number, _ in enumerate(places)]
    for part, place in zip(parts, places, strict=True):
        part.write_bytes(primary + content[place["hdrLoc"] : place["datLoc"] + place["datSpan"]])
    return parts


def drawn(paths: Sequence[Path], context: ConversionContext | None = None, **query: str) -> Image.Image:
    target = paths[0].with_name("out")
    options = ThumbnailOptions.parse({"mosaic": "true", "format": "png", **query})
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        draw(files, target, options, context or ConversionContext(scratch=target.parent), NAMES[: len(files)])
    with Image.open(target) as image:
        image.load()
        return image


@pytest.mark.parametrize("packed", [{}, {"quantize_level": 32}])
@pytest.mark.parametrize(
    "query",
    [
        WHOLE,
        {"width": "90", "height": "90", "limits": "percentile", "stretch": "asinh"},
        {**WHOLE, "orient": "exact", "compass": "true", "grid": "true", "circle": "150,2,10"},
        {**WHOLE, "vmin": "90", "vmax": "400", "label": "three chips"},
        ACROSS,
        {**ACROSS, "orient": "exact", "scalebar": "true", "crosshair": "center"},
        {"x": "200", "y": "60", "size": "80px", "zoom": "2"},
    ],
)
def test_chips_of_several_files_are_drawn_as_those_of_one(
    tmp_path: Path, packed: dict[str, Any], query: dict[str, str]
) -> None:
    path, _ = exposure(tmp_path, **packed)
    wanted, shown = drawn([path], **query), drawn(split(path), **query)
    assert np.asarray(shown).std() > 5
    assert np.array_equal(np.asarray(shown), np.asarray(wanted))
    assert tags(shown) == tags(wanted) != {}


def test_stars_are_where_the_coordinates_of_their_own_chip_say(tmp_path: Path) -> None:
    path, positions = exposure(tmp_path)
    parts = split(path)
    image = drawn(parts, **WHOLE, vmin="100", vmax="1200")
    for part in parts:
        places = WCS(fits.getheader(part, 1)).all_world2pix(positions, 0)
        seen = positions[((places > 8) & (places < [COLUMNS - 9, ROWS - 9])).all(axis=1)]
        assert len(seen) > 3
        assert max(distances(image, seen)) < 0.5


def test_frames_of_joined_amplifiers_are_chips(tmp_path: Path) -> None:
    paths, stars = [], []
    for number, (place, star) in enumerate(((0, FIRST_STAR), (SIDE + 10, SECOND_STAR))):
        cards, pixels = header(turn=3), sky(noise=1)
        cards["CRPIX1"] -= place
        east = star[0] - place * SCALE  # of CRVAL: the second chip is west of the first one
        add_stars(pixels, cards, [(east, star[1])])
        dec = 2 + star[1] / 3600
        stars.append((150 + east / 3600 / np.cos(np.radians(dec)), dec))
        paths.append(amplifiers(tmp_path / f"{number}.fits", pixels, cards))
    image = drawn(paths, **WHOLE | {"width": "900", "height": "900"}, vmin="90", vmax="1200")
    assert image.width > 2 * SIDE
    assert max(distances(image, np.array(stars))) < 0.5


def test_a_failure_says_which_frame_it_is_about(tmp_path: Path) -> None:
    path, _ = exposure(tmp_path, [*CHIPS[:2], {**CHIPS[2], "WCSERR": 4}])
    with pytest.raises(NoSuchSection, match=r"^frame 13: the frame has no sky coordinates"):
        drawn(split(path))
    path, _ = exposure(tmp_path, [*CHIPS[:2], {"dec": 3.0}])
    with pytest.raises(NoSuchSection, match=r"^the chips of frame 11 and frame 13 are far from each other"):
        drawn(split(path))
    path, _ = exposure(tmp_path, [*CHIPS[:2], {"dec": -88.0}])
    with pytest.raises(NoSuchSection, match=r"^the chips of frame 11 and frame 13 are far from each other"):
        drawn(split(path))
    fine = header(turn=0)
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        fine[name] /= 5
    path, _ = exposure(tmp_path, [CHIPS[0], dict(fine), CHIPS[1]])
    with pytest.raises(NoSuchSection, match="frame 11 and frame 12 have pixels of very different sizes"):
        drawn(split(path))


def test_a_file_that_is_no_frame_or_is_cut_off_is_named(tmp_path: Path) -> None:
    parts = split(exposure(tmp_path)[0])
    whole = parts[1].read_bytes()
    for content, failure in ((b"GIF89a" * 999, NotAnImage), (b"", NotAnImage), (whole[:-9000], Undecodable)):
        parts[1].write_bytes(content)
        with pytest.raises(failure, match=r"^frame 12: the frame is"):
            drawn(parts)


def test_too_many_pixels_are_refused_in_a_chip_and_in_the_mosaic(tmp_path: Path) -> None:
    parts = split(exposure(tmp_path)[0])
    for most, text in ((ROWS * COLUMNS - 1, "^frame 11: the frame has 150 x 120"), (2 * ROWS * COLUMNS, "^the frame")):
        context = ConversionContext(options=ConversionOptions(max_pixels=most))
        with pytest.raises(TooLarge, match=text):
            drawn(parts, context)


class WatchedFile(io.FileIO):
    """A file that notes from where on it was read, and what it was told will be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.told: list[tuple[int, int]] = []
        self.places: set[int] = set()

    def announce(self, start: int, stop: int) -> None:
        self.told.append((start, stop))

    def readinto(self, buffer: Any) -> int:
        place = self.tell()
        count = super().readinto(buffer) or 0
        self.places |= {place} if count else set()
        return count

    def read(self, size: int = -1, /) -> bytes:
        place = self.tell()
        data = super().read(size) or b""
        self.places |= {place} if data else set()
        return data


def test_there_is_a_most_of_chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chips = split(exposure(tmp_path)[0])
    monkeypatch.setattr(fits_exposure, "CHIPS_MAX", 2)
    assert drawn(chips[:2])
    with pytest.raises(TooLarge, match="the frames have 3 chips: a mosaic may have 2"):
        drawn(chips)


@pytest.mark.parametrize("packed", [{}, {"quantize_level": 32}])
def test_a_cutout_reads_the_pixels_of_the_chips_that_it_shows(tmp_path: Path, packed: dict[str, Any]) -> None:
    path, positions = exposure(tmp_path, **packed)
    parts = split(path)
    with fits.open(parts[1], disable_image_compression=True) as hdus:
        begin, size = hdus[1].fileinfo()["datLoc"], hdus[1].fileinfo()["datSpan"]
    places = WCS(fits.getheader(parts[1], 1)).all_world2pix(positions, 0)
    star = positions[np.hypot(*(places - [COLUMNS / 2, ROWS / 2]).T).argmin()]
    ra, dec = map(repr, star.tolist())
    options = ThumbnailOptions.parse({"mosaic": "true", "ra": ra, "dec": dec, "size": "15px"})
    files = [WatchedFile(part) for part in parts]
    draw(files, tmp_path / "out", options, ConversionContext(scratch=tmp_path))
    first, second, third = files
    assert not first.told
    assert not third.told
    ((start, stop),) = second.told
    assert begin <= start < stop <= begin + size
    assert stop - start < size / 3, "only some rows"
    for file in files:
        read = {place for place in file.places if place >= begin}
        assert bool({place for place in read if start <= place < stop}) == (file is second) or packed
        file.close()


def test_memory_is_reserved_for_all_headers_before_the_last_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = split(exposure(tmp_path)[0])
    monkeypatch.setattr(memory_budget, "SMALL", 1000)
    reserved: list[int] = []
    files = [WatchedFile(part) for part in parts]

    def reserve(needed: int) -> None:
        reserved.append(needed)
        if not reserved[1:]:
            assert files[1].places == files[2].places == set()

    options = ThumbnailOptions.parse({"mosaic": "true"})
    with open_frames(files, NAMES, options, ConversionContext(reserve_memory=reserve)) as (frame,):
        assert reserved == sorted(reserved)
        assert reserved[1] > 1.8 * (reserved[0] - 1000)
        assert frame.header_bytes > 1.4 * (reserved[1] - 1000)


def test_chips_above_each_other_are_not_held_together(tmp_path: Path) -> None:
    above = [{"turn": 0.0, "CRPIX2": 60.0 - 1000 * number} for number in range(3)]
    beside = [{"turn": 0.0, "CRPIX1": 75.0 - 160 * number} for number in range(3)]
    options = ThumbnailOptions.parse({"mosaic": "true"})
    needed = []
    for chips in (above, beside):
        parts = split(exposure(tmp_path, chips)[0])
        files = [part.open("rb") for part in parts]
        with open_frames(files, NAMES, options, ConversionContext()) as (frame,):
            assert isinstance(frame.plane, ChipMosaic)
            needed.append(frame.plane.decoding_bytes)
            window = frame.plane.for_window((0, 40), (0, frame.plane.shape[1]))
            assert isinstance(window, ChipMosaic)
            assert len(window.chips) == (1 if chips is above else 3)
            assert frame.plane.for_window((200, 210), (0, 10)).decoding_bytes == 0
        for file in files:
            file.close()
    one = 4 * ROWS * COLUMNS
    assert one < needed[0] < 2.5 * one
    assert needed[1] > 3 * one


def test_a_chip_whose_coordinates_have_no_inverse_in_the_window_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = exposure(tmp_path, CHIPS[:1])
    options = ThumbnailOptions.parse({"mosaic": "true"})
    with path.open("rb") as file, open_frames([file], NAMES[:1], options, ConversionContext()) as (frame,):
        monkeypatch.setattr(FrameCoordinates, "to_pixels", lambda _, places: np.full(places.shape, np.nan))
        window = frame.plane.for_window((0, 40), (0, 40))
        assert isinstance(window, ChipMosaic)
        assert len(window.chips) == 1
