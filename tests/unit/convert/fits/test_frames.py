"""Frames of every kind: which data is read, its layout, and why a frame is refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import resource
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from mezcal.convert import ConversionContext, ConversionOptions
from mezcal.convert.fits.read.astropy_planes import AstropyPlane, SpilledPlane
from mezcal.convert.fits.read.frame import open_frame
from mezcal.convert.fits.read.planes import ArrayPlane
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import NoSuchPicture, NotAnImage, StoreDown, TooLarge, Undecodable, is_disk_full
from mezcal.recipe import ThumbnailOptions
from mezcal.runtime import memory_budget
from tests import DATA
from tests.support.forked import forked

if TYPE_CHECKING:
    from collections.abc import Callable

FRAMES = DATA / "fits"
HEADERS = 80_000  # bytes that the headers of a small frame take
NORTH_UP = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 0.0, "CRPIX1": 1.0, "CRPIX2": 1.0}

CD = {"CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4}  # east on the right

SHOWN = {(1, 1): (1, 1), (2, 3): (2, 3), (1, 500): (1, 200), (500, 1): (200, 1), (30, 30): (30, 30)}  # within 200 x 200


def ramp(rows: int = 40, columns: int = 60) -> np.ndarray:
    """Dark below and on the left, bright above and on the right."""
    return np.add.outer(np.arange(rows) * 2.0, np.arange(columns) * 1.0)


def written(folder: Path, *hdus: fits.hdu.base._BaseHDU) -> Path:
    path = folder / "frame.fits"
    first = hdus if isinstance(hdus[0], fits.PrimaryHDU) else (fits.PrimaryHDU(), *hdus)
    fits.HDUList(list(first)).writeto(path, overwrite=True)
    return path


def picture(path: Path, max_pixels: int | None = None, **query: str) -> np.ndarray:
    target = path.with_suffix(".jpg")
    given = {"limits": "minmax", "stretch": "linear", "quality": "95"} if query.get("look") != "lco" else {}
    with path.open("rb") as file:
        context = ConversionContext(ConversionOptions(max_pixels=max_pixels), scratch=path.parent)
        draw([file], target, ThumbnailOptions.parse({**given, **query}), context)
    with Image.open(target) as image:
        return np.asarray(image.convert("L")).astype(float)


def corner(shown: np.ndarray) -> str:
    """Returns the corner in which the picture is brightest."""
    rows, columns = shown.shape
    halves = {
        "top left": shown[: rows // 4, : columns // 4],
        "top right": shown[: rows // 4, -columns // 4 :],
        "bottom left": shown[-rows // 4 :, : columns // 4],
        "bottom right": shown[-rows // 4 :, -columns // 4 :],
    }
    return max(halves, key=lambda name: halves[name].mean())


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_every_bitpix_is_drawn(tmp_path: Path, kind: str) -> None:
    shown = picture(written(tmp_path, fits.PrimaryHDU(ramp().astype(kind))))
    assert shown.shape == (40, 60)
    assert corner(shown) == "top right"


@pytest.mark.parametrize("look", ["lco", "robust"])
def test_nan_and_infinity_are_left_out(tmp_path: Path, look: str) -> None:
    pixels = ramp(100, 100).astype("f4")
    pixels[:50] = np.nan
    pixels[60, 60], pixels[61, 61] = np.inf, -np.inf
    shown = picture(written(tmp_path, fits.PrimaryHDU(pixels)), look=look)
    assert shown[60:].mean() < 3
    assert shown[:30].mean() > 50


def test_blank_integers_are_left_out(tmp_path: Path) -> None:
    pixels = ramp().astype("i2")
    pixels[:, :5] = -32768
    path = tmp_path / "frame.fits"
    hdu = fits.PrimaryHDU(pixels)
    hdu.header["BLANK"] = -32768
    hdu.writeto(path)
    assert picture(path)[5, 55] > 200


@pytest.mark.parametrize("look", ["lco", "robust"])
@pytest.mark.parametrize("shape", SHOWN)
def test_tiny_and_constant_frames_are_drawn(tmp_path: Path, look: str, shape: tuple[int, int]) -> None:
    assert picture(written(tmp_path, fits.PrimaryHDU(np.full(shape, 7.0))), look=look).shape == SHOWN[shape]


@pytest.mark.parametrize("look", ["lco", "robust"])
def test_a_frame_without_any_number_is_drawn_black(tmp_path: Path, look: str) -> None:
    assert picture(written(tmp_path, fits.PrimaryHDU(np.full((50, 50), np.nan))), look=look).max() == 0


def test_the_hdu_named_sci_is_shown(tmp_path: Path) -> None:
    mask, sci = fits.ImageHDU(np.ones((10, 10)), name="BPM"), fits.ImageHDU(ramp(), name="SCI")
    path = written(tmp_path, mask, sci)
    assert picture(path).shape == (40, 60)
    assert picture(path, hdu="bpm").shape == (10, 10)
    assert picture(path, hdu="2").shape == (40, 60)


def test_an_image_named_cat_is_not_read_as_a_catalogue(tmp_path: Path) -> None:
    path = written(tmp_path, fits.ImageHDU(ramp()), fits.ImageHDU(np.ones((10, 10)), name="CAT"))
    with path.open("rb") as file, open_frame(file, ThumbnailOptions.parse({}), ConversionContext()) as frame:
        assert frame.catalogue() is None


class RecordingFile:
    """A file that remembers the last byte that was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.last = file, 0

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self.last = max(self.last, self._file.tell())
        return found

    def readinto(self, buffer: Any) -> int:
        found: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self.last = max(self.last, self._file.tell())
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("look", ["lco", "robust"])
def test_hdus_after_the_picture_are_not_read(tmp_path: Path, look: str) -> None:
    """The headers of masks, errors and catalogues take longer to read than a small frame takes to draw."""
    errors = fits.ImageHDU(np.zeros((300, 300)), name="ERR")
    path = written(tmp_path, fits.CompImageHDU(ramp(), name="SCI"), errors, fits.ImageHDU(ramp(), name="BPM"))
    with path.open("rb") as file:
        touched = RecordingFile(file)
        draw(
            [cast("BinaryIO", touched)],
            tmp_path / "out.jpg",
            ThumbnailOptions.parse({"look": look}),
            ConversionContext(scratch=tmp_path),
        )
    with fits.open(path) as hdus:
        assert touched.last <= hdus[2].fileinfo()["datLoc"]


def test_the_planes_of_a_cube_are_counted_from_one(tmp_path: Path) -> None:
    path = written(tmp_path, fits.PrimaryHDU(np.stack([ramp(), ramp()[:, ::-1]])))
    assert corner(picture(path)) == "top right"
    assert corner(picture(path, plane="2")) == "top left"
    with pytest.raises(NoSuchPicture, match="plane is 3, and this frame's picture has 2 planes: name one from 1 to 2"):
        picture(path, plane="3")


@pytest.mark.parametrize("look", ["lco", "robust"])
def test_a_cube_of_one_plane_is_a_picture(tmp_path: Path, look: str) -> None:
    assert picture(written(tmp_path, fits.PrimaryHDU(ramp()[None])), look=look).shape == (40, 60)


def test_one_plane_of_a_cube_is_decoded_however_tall_its_tiles(tmp_path: Path) -> None:
    cube = np.stack([np.full((300, 300), 100), *4 * [ramp(300, 300)[:, ::-1]]]).astype("i4")
    path = written(tmp_path, fits.CompImageHDU(cube, compression_type="GZIP_1", tile_shape=(1, 300, 300)))
    assert corner(picture(path, plane="3")) == "top left"
    with (
        path.open("rb") as file,
        open_frame(file, ThumbnailOptions.parse({"plane": "3"}), ConversionContext()) as frame,
    ):
        pixels = frame.plane.rows(0, 300)
        assert np.array_equal(pixels, cube[2])
        assert pixels.base is None or pixels.base.size == pixels.size


def test_the_quadrants_of_a_raw_frame_are_put_together(tmp_path: Path) -> None:
    """Each amplifier reads from its own corner, has its own zero, and ten columns of overscan."""
    whole, parts = ramp(80, 80), []
    for number, (x, y) in enumerate([(0, 0), (1, 0), (1, 1), (0, 1)]):
        quadrant = whole[40 * y : 40 * y + 40, 40 * x : 40 * x + 40][:: -1 if y else 1, :: -1 if x else 1]
        data = np.hstack([quadrant, np.zeros((40, 10))]) + 1000 * number
        columns, rows = (("80:41" if x else "1:40"), ("80:41" if y else "1:40"))
        header = fits.Header({"DETSEC": f"[{columns},{rows}]", "DATASEC": "[1:40,1:40]", "BIASSEC": "[41:50,1:40]"})
        parts.append(fits.ImageHDU(data.astype("f4"), header, name="SCI", ver=number + 1))
    mask = fits.ImageHDU(np.zeros((80, 80), "u1"), name="BPM")
    together = picture(written(tmp_path, *parts, mask))
    alone = picture(written(tmp_path, fits.PrimaryHDU(whole)))
    assert together.shape == (80, 80)
    assert np.abs(together - alone).max() < 4


def amplifiers(folder: Path, *sections: tuple[str, str], shape: tuple[int, int] = (40, 30)) -> Path:
    """Returns a frame with an amplifier for each DETSEC and DATASEC. Each ramp begins where the last one ends."""
    parts = []
    for number, (detector, data) in enumerate(sections):
        header = fits.Header({"DETSEC": detector, "DATASEC": data, "CCDSUM": "2 2"})
        parts.append(fits.ImageHDU(ramp(*shape) + shape[1] * number, header, name="SCI", ver=number + 1))
    return written(folder, *parts)


def test_a_binned_frame_is_joined_in_its_own_pixels(tmp_path: Path) -> None:
    """DETSEC counts the pixels of the detector, of which four are one pixel of the frame."""
    path = amplifiers(tmp_path, ("[101:160,1:80]", "[1:30,1:40]"), ("[161:220,1:80]", "[1:30,1:40]"))
    assert np.array_equal(picture(path), picture(written(tmp_path, fits.PrimaryHDU(ramp(40, 60)))))


def test_the_last_columns_of_a_detector_may_fill_no_binned_pixel(tmp_path: Path) -> None:
    path = amplifiers(tmp_path, ("[1:61,1:81]", "[1:30,1:40]"), ("[61:121,1:81]", "[1:30,1:40]"))
    assert np.array_equal(picture(path), picture(written(tmp_path, fits.PrimaryHDU(ramp(40, 60)))))


def test_pictures_without_a_place_on_the_detector_are_left_out(tmp_path: Path) -> None:
    parts: list[fits.ImageHDU] = []
    for number, left in enumerate((1, 31)):
        header = fits.Header({"DETSEC": f"[{left}:{left + 29},1:40]"})
        parts.append(fits.ImageHDU(ramp(40, 30) + 30 * number, header, name=f"AMP{number}"))
    extra = fits.ImageHDU(ramp(), name="SKY"), fits.ImageHDU(ramp() * 0, parts[0].header, name="MASK")
    path = written(tmp_path, *parts, *extra)
    assert np.array_equal(picture(path), picture(written(tmp_path, fits.PrimaryHDU(ramp(40, 60)))))


def test_trimsec_stands_in_for_datasec(tmp_path: Path) -> None:
    parts = []
    for number, left in enumerate((1, 31)):
        header = fits.Header({"DETSEC": f"[{left}:{left + 29},1:40]", "TRIMSEC": "[11:40,1:40]"})
        pixels = np.hstack([np.zeros((40, 10)), ramp(40, 30) + 30 * number])
        parts.append(fits.ImageHDU(pixels, header, name="SCI", ver=number + 1))
    path = written(tmp_path, *parts)
    assert np.array_equal(picture(path), picture(written(tmp_path, fits.PrimaryHDU(ramp(40, 60)))))


@pytest.mark.parametrize("sections", [
    [("[1:30,1:40]", "[1:30,1:40]"), ("[31:60,1:40]", "[11:40,1:40]")],
    [("[1:45,1:40]", "[1:30,1:40]"), ("[46:90,1:40]", "[1:30,1:40]")],
    [("[1:60,1:80]", "[1:30,1:40]"), ("[61:90,1:40]", "[1:30,1:40]")],
    [("[1:30,1:40]", "[1:30,1:40]"), ("[90001:90030,1:40]", "[1:30,1:40]")],
], ids=["outside", "no whole number", "two binnings", "far apart"])  # fmt: skip
def test_amplifiers_that_do_not_fit_together_are_not_joined(tmp_path: Path, sections: list[tuple[str, str]]) -> None:
    path = amplifiers(tmp_path, *sections)
    assert np.array_equal(picture(path), picture(written(tmp_path, fits.PrimaryHDU(ramp(40, 30)))))


def test_overscan_outside_of_its_amplifier_is_not_used_as_the_zero(tmp_path: Path) -> None:
    """After the amplifier's rows, the file has the next one's header."""
    parts = []
    for number, rows in enumerate(("1:40", "41:80")):
        header = fits.Header({"DETSEC": f"[1:60,{rows}]", "DATASEC": "[1:60,1:40]", "BIASSEC": "[1:60,41:50]"})
        parts.append(fits.ImageHDU(ramp() + 80 * number, header, name="SCI", ver=number + 1))
    together = picture(written(tmp_path, *parts))
    assert np.array_equal(together, picture(written(tmp_path, fits.PrimaryHDU(ramp(80)))))


@pytest.mark.parametrize("compression", ["RICE_1", "GZIP_1"])
def test_memory_is_reserved_for_frames_that_are_one_tile(
    tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are decoded whole, however large they are."""
    hdu = fits.CompImageHDU(ramp(300, 300).astype("i4"), compression_type=compression, tile_shape=(300, 300))
    path, reserved = written(tmp_path, hdu), []
    monkeypatch.setattr("mezcal.convert.fits.thumbnail.WHOLE_MAX", 1)
    monkeypatch.setattr("mezcal.runtime.memory_budget.STREAMING", 0)
    with path.open("rb") as file:
        draw(
            [file],
            tmp_path / "out.jpg",
            ThumbnailOptions.parse({}),
            ConversionContext(scratch=tmp_path, reserve_memory=reserved.append),
        )
    assert reserved == [pytest.approx(memory_budget.SMALL + 2 * 4 * 300 * 300, abs=HEADERS)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list: 0 is added to it when a plane is decoded, and a test adds what is reserved."""
    events: list[int] = []
    rows = AstropyPlane.rows
    monkeypatch.setattr(AstropyPlane, "rows", lambda *given: events.append(0) or rows(*given))
    return events


def one_tile(pixels: np.ndarray, **cards: str) -> fits.CompImageHDU:
    tile = (1,) * (pixels.ndim - 2) + pixels.shape[-2:]
    return fits.CompImageHDU(pixels, fits.Header(cards), compression_type="GZIP_1", tile_shape=tile, quantize_level=0)


def test_memory_is_reserved_before_planes_are_searched_for_data(
    tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.runtime.memory_budget.STREAMING", 0)
    cube = np.stack([np.full((1200, 600), np.nan), ramp(1200, 600)]).astype("f4")
    path, context = written(tmp_path, one_tile(cube)), ConversionContext(reserve_memory=decoded.append)
    with path.open("rb") as file, open_frame(file, ThumbnailOptions.parse({}), context):
        needed = pytest.approx(memory_budget.SMALL + 2 * 4 * 1200 * 600, abs=8 * HEADERS)  # and its streams
        assert decoded == [needed, 0, needed, 0]


def test_memory_is_reserved_for_all_amplifiers_before_their_zeros_are_read(
    tmp_path: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mezcal.runtime.memory_budget.STREAMING", 0)
    amplifiers = [
        one_tile(
            ramp(300, 300).astype("f4"),
            DETSEC=f"[{left}:{left + 289},1:300]",
            DATASEC="[1:290,1:300]",
            BIASSEC="[291:300,1:300]",
        )
        for left in (1, 291, 581, 871)
    ]
    path, context = written(tmp_path, *amplifiers), ConversionContext(reserve_memory=decoded.append)
    with path.open("rb") as file, open_frame(file, ThumbnailOptions.parse({}), context) as frame:
        assert frame.plane.shape == (300, 1160)
    needed = memory_budget.SMALL + 4 * 2 * 4 * 300 * 300
    assert decoded == [pytest.approx(needed, abs=8 * HEADERS), 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("query", "pictures"),
    [({"look": "lco"}, 1), ({"look": "robust"}, 1), ({"color": "true"}, 3), ({"color": "true", "look": "lco"}, 1)],
)
def test_memory_is_reserved_for_large_pictures(
    tmp_path: Path, query: dict[str, str], pictures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that are read in blocks are averaged to pictures, which at 4096 pixels may take more than the frames."""
    path, reserved = written(tmp_path, fits.PrimaryHDU(ramp(300, 400))), []
    monkeypatch.setattr("mezcal.convert.fits.thumbnail.WHOLE_MAX", 1)
    monkeypatch.setattr("mezcal.runtime.memory_budget.STREAMING", 0)
    options = ThumbnailOptions.parse({"width": "400", "height": "400", **query})
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for _ in range(3 if options.color else 1)]
        draw(files, tmp_path / "out.jpg", options, ConversionContext(scratch=tmp_path, reserve_memory=reserved.append))
    needed = memory_budget.SMALL + (4 * pictures + 8) * 300 * 400
    assert reserved == [pytest.approx(needed, abs=3 * HEADERS)]


@forked
def test_a_frame_that_does_not_fit_on_the_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full writes a part of the data, and returns how much without an error."""
    monkeypatch.setattr("mezcal.convert.fits.read.astropy_planes.WHOLE_MAX", 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(OSError, match="too large"):
        SpilledPlane(ArrayPlane(ramp(100, 100)), tmp_path)


def test_a_card_that_cannot_be_parsed_is_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, fits.PrimaryHDU(ramp(), fits.Header(NORTH_UP | {"CD1_1": 1e-4, "CD2_2": 1e-4})))
    assert corner(picture(path)) == "top left"
    broken = path.read_bytes().replace(b"CD1_1   =               0.0001", b"CD1_1   =                  nan")
    path.write_bytes(broken)
    assert b"nan" in broken
    assert corner(picture(path)) == "top right"


@pytest.mark.parametrize("axes", ["LINEAR", "WAVE", "PIXEL", "AZ---TAN", "HPLN-TAN", ""])
def test_only_axes_on_the_sky_turn_a_frame(tmp_path: Path, axes: str) -> None:
    """The solar west belongs on the right, as it is in the frame; thumbnail-service turns all of them."""
    cards = NORTH_UP | {
        **CD,
        "CTYPE1": axes,
        "CTYPE2": axes.replace("AZ-", "ALT").replace("LN", "LT"),
    }
    path = written(tmp_path, fits.PrimaryHDU(ramp(), fits.Header(cards)))
    assert corner(picture(path)) == "top right"
    assert corner(picture(path, look="lco")) == "top left"


@pytest.mark.parametrize("most", [1, 65_535])
def test_a_frame_of_mostly_one_value_is_not_black(tmp_path: Path, most: int) -> None:
    """Masks and saturated frames: their pixels lie below the value that most of them have."""
    pixels = np.full((100, 100), most, "u2")
    pixels[:10] = 0
    path = written(tmp_path, fits.PrimaryHDU(pixels))
    with path.open("rb") as file:
        draw([file], path.with_suffix(".jpg"), ThumbnailOptions.parse({}), ConversionContext())
    with Image.open(path.with_suffix(".jpg")) as image:
        shown = np.asarray(image.convert("L"))
    assert shown[:80].min() > 240
    assert shown[-5:].max() < 15


@pytest.mark.parametrize("compressed", [False, True])
def test_the_first_plane_with_data_is_shown(tmp_path: Path, compressed: bool) -> None:
    cube = np.stack([np.full((40, 60), np.nan), np.full((40, 60), np.nan), ramp()]).astype("f4")
    hdu = fits.CompImageHDU(cube) if compressed else fits.ImageHDU(cube)
    path = written(tmp_path, hdu)
    assert corner(picture(path)) == "top right"
    assert picture(path, plane="1").max() == 0


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("look", ["lco", "robust"])
def test_a_packed_frame_gives_the_same_picture(tmp_path: Path, look: str, compress: Callable[[bytes], bytes]) -> None:
    """Its name does not count: bzip2 may be in a file that ends in `.fits`."""
    path = written(tmp_path, fits.PrimaryHDU(ramp()))
    expected, content = picture(path, look=look), path.read_bytes()
    path.write_bytes(compress(content[:3000]) + compress(content[3000:]))
    assert np.array_equal(picture(path, look=look), expected)


def test_a_frame_in_another_packing_is_refused_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, fits.PrimaryHDU(ramp()))
    path.write_bytes(lzma.compress(path.read_bytes()))
    with pytest.raises(NotAnImage, match="packed with xz: only gzip and bzip2"):
        picture(path)


@pytest.mark.parametrize(
    "card",
    [
        b"BZERO   = NaN",
        b"BSCALE  =                  0.0",
        b"BSCALE  = '1.0     '",
        b"BLANK   = N/A",
        b"BLANK   = 'N/A     '",
    ],
)
@pytest.mark.parametrize("kind", ["f4", "i2"])
def test_a_scaling_that_is_no_number_is_left_out(tmp_path: Path, card: bytes, kind: str) -> None:
    path = written(tmp_path, fits.PrimaryHDU(ramp().astype(kind), fits.Header({"OBJECT": "x"})))
    expected, content = picture(path), path.read_bytes()
    path.write_bytes(content.replace(b"OBJECT  = 'x       '".ljust(80), card.ljust(80)))
    assert path.read_bytes() != content
    assert np.array_equal(picture(path), expected)


@pytest.mark.parametrize(
    ("card", "broken", "reason"),
    [
        (b"BITPIX  =                  -64", b"BITPIX  =                   12", "BITPIX is 12, and may be 8"),
        (b"NAXIS1  =                   60", b"NAXIS1  =                  -60", "NAXIS1 is -60, and has to be"),
        (b"NAXIS1  =                   60", b"NAXIS1  =                 60.0", "NAXIS1 is 60.0, and has to be"),
        (b"NAXIS   =                    2", b"NAXIS   =                    9", "NAXIS3 is missing"),
        (b"END" + b" " * 77, b" " * 80, "it has no END card"),
    ],
)
def test_a_broken_header_is_explained(tmp_path: Path, card: bytes, broken: bytes, reason: str) -> None:
    path = written(tmp_path, fits.PrimaryHDU(ramp()))
    path.write_bytes(path.read_bytes().replace(card, broken))
    with pytest.raises(Undecodable, match=f"^the frame's header is broken: {reason}"):
        picture(path)


def test_names_of_hdus_are_compared_without_case(tmp_path: Path) -> None:
    mask, lower = fits.ImageHDU(np.ones((10, 10)), name="BPM"), fits.ImageHDU(ramp())
    lower.header["EXTNAME"] = "sci"
    path = written(tmp_path, mask, lower)
    assert picture(path).shape == (40, 60)
    assert picture(path, hdu="Sci").shape == (40, 60)


@pytest.mark.parametrize("name", ["DQ", "ERR", "WHT", "mask"])
def test_masks_and_errors_are_shown_only_if_there_is_no_other_picture(tmp_path: Path, name: str) -> None:
    mask = fits.ImageHDU(np.ones((10, 10)), name=name)
    assert picture(written(tmp_path, mask, fits.ImageHDU(ramp(), name="DATA"))).shape == (40, 60)
    assert picture(written(tmp_path, mask, fits.ImageHDU(ramp()[0], name="FLUX"))).shape == (10, 10)
    assert picture(written(tmp_path, mask, fits.ImageHDU(ramp(), name="DATA")), look="lco").shape == (10, 10)


def test_what_a_frame_without_a_picture_holds_is_said_in_words(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.ones(3))], name="CAT")
    path = written(tmp_path, fits.ImageHDU(ramp()[0], name="FLUX"), table)
    with pytest.raises(Undecodable) as raised:
        picture(path)
    assert raised.value.detail == (
        "the frame holds no picture: it has 0 PRIMARY (no data), 1 FLUX (60 pixels), 2 CAT (a table)"
    )
    with pytest.raises(Undecodable, match="the frame holds no picture"):
        picture(path, hdu="1")


@pytest.mark.parametrize("look", ["lco", "robust"])
@pytest.mark.parametrize("hdu", ["SCI,9", "9", "CAT", "0", "2"])
def test_an_hdu_that_the_frame_lacks_is_refused_with_those_that_it_has(tmp_path: Path, look: str, hdu: str) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.ones(3))], name="CAT")
    path = written(tmp_path, fits.ImageHDU(ramp(), name="SCI"), table)
    with pytest.raises(NoSuchPicture) as raised:
        picture(path, look=look, hdu=hdu)
    assert raised.value.detail == (
        f"hdu is '{hdu}', where this frame has no picture. It has 0 PRIMARY (no data), 1 SCI (60 x 40 pixels), 2 CAT "
        "(a table). Name one with pixels by its number or name, for example hdu=1 or hdu=SCI"
    )


@pytest.mark.parametrize(
    ("matrix", "brightest"),
    [
        ({"CD1_1": -1e-4, "CD2_2": 1e-4}, "top right"),  # north up, east left already: only drawn right way up
        ({"CD1_1": 1e-4, "CD2_2": 1e-4}, "top left"),  # mirrored
        ({"CD1_1": 1e-4, "CD2_2": -1e-4}, "bottom left"),  # upside down
        ({"CDELT1": -1e-4, "CDELT2": 1e-4}, "top right"),
        ({"CDELT1": 1e-4, "CDELT2": 1e-4, "PC1_1": -1.0, "PC2_2": 1.0}, "top right"),
        ({"CDELT1": 1e-4, "CDELT2": 1e-4, "PC001001": 1.0, "PC002002": -1.0}, "bottom left"),
        ({"CDELT1": -1e-4, "CDELT2": 1e-4, "CROTA2": 180.0}, "bottom left"),
        ({"CDELT1": 1e-4, "CDELT2": -1e-4, "CROTA2": "no number"}, "top right"),  # only drawn right way up
        ({"CDELT1": 1e-4, "CDELT2": "N/A"}, "top right"),
        ({}, "top right"),
    ],
)
def test_north_is_up_and_east_left(tmp_path: Path, matrix: dict[str, Any], brightest: str) -> None:
    header = fits.Header({**NORTH_UP, **matrix}) if matrix else fits.Header()
    assert corner(picture(written(tmp_path, fits.PrimaryHDU(ramp(60, 60), header)))) == brightest


@pytest.mark.parametrize(
    ("matrix", "brightest"),
    [
        (CD, "top left"),
        (CD | {"CD1_1": -1e-4, "CD2_2": -1e-4}, "bottom right"),
        ({name: value for name, value in CD.items() if value}, "top right"),
        ({"CDELT1": 1e-4, "CDELT2": 1e-4}, "top right"),
        ({"CDELT1": 1e-4, "CDELT2": 1e-4, "CROTA2": 180.0}, "top right"),
        ({"CDELT1": 1e-4, "CDELT2": 1e-4, "PC1_1": -1.0, "PC2_2": -1.0}, "top right"),
    ],
)
def test_the_lco_look_turns_frames_by_four_cards_only(tmp_path: Path, matrix: dict[str, Any], brightest: str) -> None:
    path = written(tmp_path, fits.PrimaryHDU(ramp(60, 60), fits.Header({**NORTH_UP, **matrix})))
    assert corner(picture(path, look="lco")) == brightest


def test_a_quarter_turn_swaps_the_sides_and_a_spectrum_is_only_flipped(tmp_path: Path) -> None:
    header = fits.Header({**NORTH_UP, "CD1_1": 0.0, "CD1_2": 1e-4, "CD2_1": 1e-4, "CD2_2": 0.0})
    path = written(tmp_path, fits.PrimaryHDU(ramp(), header))
    assert picture(path).shape == (60, 40)
    header["OBSTYPE"] = "SPECTRUM"
    assert picture(written(tmp_path, fits.PrimaryHDU(ramp(), header))).shape == (40, 60)


def test_the_picture_is_rotated_by_the_exact_angle_on_request(tmp_path: Path) -> None:
    cos, sin = np.cos(np.radians(30)) * 1e-4, np.sin(np.radians(30)) * 1e-4
    header = fits.Header({**NORTH_UP, "CD1_1": -cos, "CD1_2": sin, "CD2_1": sin, "CD2_2": cos})
    path = written(tmp_path, fits.PrimaryHDU(np.ones((100, 100)) + np.eye(100), header))
    assert picture(path).shape == (100, 100)
    exact = picture(path, orient="exact")
    assert 136 <= exact.shape[0] == exact.shape[1] <= 138
    assert exact[:10, :10].max() == 0


def _table(folder: Path) -> Path:
    return written(folder, fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.ones(3))], name="CAT"))


def _cut(folder: Path) -> Path:
    path = written(folder, fits.PrimaryHDU(ramp(200, 200)))
    path.write_bytes(path.read_bytes()[:50_000])
    return path


def _cut_tiles(folder: Path) -> Path:
    path = folder / "frame.fits.fz"
    path.write_bytes((FRAMES / "mono_f32_rice.fits.fz").read_bytes()[:300_000])
    return path


def _cut_gzip(folder: Path) -> Path:
    path = folder / "frame.fits.gz"
    path.write_bytes(gzip.compress((FRAMES / "small50x60.fits").read_bytes())[:4000])
    return path


def _cut_header(folder: Path) -> Path:
    path = folder / "frame.fits"
    path.write_bytes((FRAMES / "small50x60.fits").read_bytes()[:1000])
    return path


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (lambda folder: written(folder, fits.PrimaryHDU()), "holds no picture"),
        (_table, "holds no picture: it has 0 PRIMARY .*, [0-9] CAT"),
        (_cut, "cut off: it ends at byte 50,000"),
        (_cut_tiles, "cut off"),
        (_cut_gzip, "cannot be read"),
        (_cut_header, "header is broken: it has no END card, or the file ends"),
    ],
)
@pytest.mark.parametrize("look", ["lco", "robust"])
def test_a_frame_without_a_complete_picture_is_refused_with_the_reason(
    tmp_path: Path, look: str, frame: Callable[[Path], Path], reason: str
) -> None:
    with pytest.raises(Undecodable, match=reason):
        picture(frame(tmp_path), look=look)


def test_a_full_disk_is_not_reported_as_a_damaged_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged frame is remembered for days. After a full disk, space is freed and the frame is drawn again."""
    packed = tmp_path / "frame.fits.gz"
    packed.write_bytes(gzip.compress((FRAMES / "small50x60.fits").read_bytes()))
    full = Path("/dev/full")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full.open("w+b", buffering=0))
    with pytest.raises(StoreDown) as raised:
        picture(packed)
    assert is_disk_full(raised.value)


def test_a_file_that_is_no_fits_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    path.write_text("<html>please log in</html>")
    with pytest.raises(NotAnImage, match="SIMPLE"):
        picture(path)


def test_too_many_pixels_are_refused_before_any_is_read(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="60 x 40 pixels, more than 1,000"):
        picture(written(tmp_path, fits.PrimaryHDU(ramp())), max_pixels=1000)
