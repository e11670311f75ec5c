"""Compressed frames read by our own reader: every pixel is astropy's, and damage ends with a reason."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from mezcal.convert import ConversionContext
from mezcal.convert.fits.read.tiles.quantization import RANDOMS, ZERO_CODE
from mezcal.convert.fits.read.tiles.tile_table import read_rice
from mezcal.convert.fits.thumbnail import draw
from mezcal.errors import Undecodable
from mezcal.recipe import ThumbnailOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ["u1", "i2", "u2", "i4", "u4", "f4", "f8"]
LCO = ThumbnailOptions.parse({"look": "lco"})


def noise(shape: tuple[int, ...], kind: str, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    top = {"u1": 200, "i2": 3000, "u2": 60_000}.get(kind, 100_000)
    pixels = random.normal(top / 2, top / 40, shape)
    pixels.flat[:: max(1, pixels.size // 7)] = top  # stars
    return pixels.astype(kind)


def written(path: Path, *hdus: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of card formats, when headers are made by hand
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path, overwrite=True)
    return path


def ours(path: Path, number: int = 0) -> np.ndarray | None:
    with path.open("rb") as file, fits.open(file, memmap=False) as hdus:
        plane = read_rice(hdus[1], file, number)
        return None if plane is None else np.array(plane.rows(0, plane.shape[0]))


def astropys(path: Path) -> np.ndarray:
    with fits.open(path, memmap=False) as hdus:
        return np.asarray(hdus[1].data)


def same(path: Path) -> None:
    """Equal bit by bit, NaN too."""
    got, wanted = ours(path), astropys(path)
    assert got is not None
    assert (got.dtype.kind, got.dtype.itemsize, got.shape) == (wanted.dtype.kind, wanted.dtype.itemsize, wanted.shape)
    assert np.array_equal(got, wanted, equal_nan=got.dtype.kind == "f")
    if got.dtype.kind == "f":
        assert np.array_equal(np.signbit(got[got == 0]), np.signbit(wanted[wanted == 0]))


FRAMES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "shape": st.tuples(st.integers(1, 70), st.integers(1, 70)),
        "tile": st.tuples(st.integers(1, 80), st.integers(1, 80)) | st.none(),
        "method": st.sampled_from([-1, 1, 2]),
        "seed": st.integers(1, RANDOMS),
        "level": st.sampled_from([4.0, 16.0, -0.5]),
    }
)


@settings(max_examples=50)
@given(frame=FRAMES)
def test_pixels_are_those_of_astropy(tmp_path_factory: pytest.TempPathFactory, frame: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "frame.fits"
    dither = {"quantize_method": frame["method"], "dither_seed": frame["seed"], "quantize_level": frame["level"]}
    tile = frame["tile"] and tuple(map(min, frame["tile"], frame["shape"]))
    pixels = noise(frame["shape"], frame["kind"], frame["seed"])
    written(path, fits.CompImageHDU(pixels, tile_shape=tile, **(dither if frame["kind"][0] == "f" else {})))
    with fits.open(path, disable_image_compression=True) as hdus:
        rice = all(len(row) for row in hdus[1].data["COMPRESSED_DATA"])
    if rice:
        same(path)
    else:
        assert ours(path) is None


@pytest.mark.parametrize("method", [-1, 1, 2])
def test_nan_and_zero_are_kept(tmp_path: Path, method: int) -> None:
    pixels = noise((50, 60), "f4")
    pixels[3:5, 7:30], pixels[10, 10:40] = np.nan, 0
    hdu = fits.CompImageHDU(pixels, quantize_method=method, quantize_level=16, dither_seed=77)
    path = written(tmp_path / "frame.fits", hdu)
    same(path)
    got = ours(path)
    assert got is not None
    assert np.isnan(got[3:5, 7:30]).all()
    assert method != 2 or not got[10, 10:40].any()


@pytest.mark.parametrize("method", [-1, 1, 2])
def test_tiles_longer_than_the_table_of_noise_take_the_next_seed(tmp_path: Path, method: int) -> None:
    hdu = fits.CompImageHDU(
        noise((3, 31_000), "f4"), quantize_method=method, quantize_level=16, dither_seed=RANDOMS, tile_shape=(3, 31_000)
    )
    same(written(tmp_path / "frame.fits", hdu))


def by_hand(
    codes: list[np.ndarray],
    shape: tuple[int, int],
    tile: tuple[int, int],
    *,
    form: str = "1PB",
    block: int = 32,
    **more: Any,
) -> fits.BinTableHDU:
    """Make a compressed frame with one tile for each of *codes*, as other programs do."""
    streams = [np.frombuffer(imagecodecs.rcomp_encode(tile, nblock=block), np.uint8) for tile in codes]
    data = np.empty(len(streams), object)
    data[:] = streams
    columns = [fits.Column("COMPRESSED_DATA", f"{form}({max(map(len, streams))})", array=data)]
    for name, value in more.pop("columns", {}).items():
        columns.append(fits.Column(name, "1D", array=np.full(len(codes), value)))
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header.update(ZIMAGE=True, ZCMPTYPE="RICE_1", ZNAXIS=2, ZNAXIS1=shape[1], ZNAXIS2=shape[0])
    hdu.header.update(ZTILE1=tile[1], ZTILE2=tile[0], ZNAME1="BLOCKSIZE", ZVAL1=block, ZNAME2="BYTEPIX")
    hdu.header.update(ZVAL2=codes[0].dtype.itemsize, **more)
    return hdu


@pytest.mark.parametrize("form", ["1PB", "1QB", "PB"])
@pytest.mark.parametrize("block", [16, 32])
@pytest.mark.parametrize(("kind", "bitpix"), [("u1", 8), ("i2", 16), ("i4", 32), ("i4", 16), ("u1", 16), ("i2", 32)])
def test_frames_of_other_writers_are_read_alike(tmp_path: Path, kind: str, bitpix: int, block: int, form: str) -> None:
    codes = [noise((40,), kind, seed) for seed in range(7)]
    same(written(tmp_path / "a.fits", by_hand(codes, (7, 40), (1, 40), form=form, block=block, ZBITPIX=bitpix)))
    zero = {"BZERO": 2 ** (bitpix - 1), "BSCALE": 1} if bitpix > 8 else {}
    same(written(tmp_path / "b.fits", by_hand(codes, (7, 40), (1, 40), form=form, block=block, ZBITPIX=bitpix, **zero)))


@pytest.mark.parametrize("kind", ["u1", "i2", "i4"])
@pytest.mark.parametrize("bitpix", [-32, -64])
@pytest.mark.parametrize("dither", ["NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
def test_codes_of_every_width_are_scaled_alike(tmp_path: Path, kind: str, bitpix: int, dither: str) -> None:
    codes = [noise((40,), kind, seed) for seed in range(7)]
    if kind == "i4":
        codes[2][3:9], codes[3][5:8] = ZERO_CODE, -(2**31)
    blank = {"ZBLANK": -(2**31)} if kind == "i4" else {}
    scaled = {"columns": {"ZSCALE": 0.37, "ZZERO": -1e3}, "ZQUANTIZ": dither, "ZDITHER0": 9_998}
    same(written(tmp_path / "a.fits", by_hand(codes, (7, 40), (1, 40), ZBITPIX=bitpix, **scaled, **blank)))


def test_extreme_numbers_are_those_of_astropy(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    for bitpix, kind in ((8, "u1"), (16, "i2"), (32, "i4")):
        within = np.iinfo(kind)
        codes = [random.integers(within.min, within.max, 99, endpoint=True, dtype=kind) for _ in range(5)]
        same(written(tmp_path / "a.fits", by_hand(codes, (5, 99), (1, 99), ZBITPIX=bitpix)))


def test_the_planes_of_a_compressed_cube_are_those_of_astropy(tmp_path: Path) -> None:
    hdu = fits.CompImageHDU(noise((2, 3, 30, 40), "f4"), tile_shape=(1, 1, 7, 40), quantize_level=16, dither_seed=4)
    path = written(tmp_path / "frame.fits", hdu)
    whole = astropys(path)
    for number, at in enumerate(np.ndindex(2, 3)):
        got = ours(path, number)
        assert got is not None
        assert np.array_equal(got, whole[at])


def test_blocks_of_rows_fit_together_for_any_tiles(tmp_path: Path) -> None:
    path = written(tmp_path / "frame.fits", fits.CompImageHDU(noise((101, 50), "u2"), tile_shape=(13, 20)))
    wanted = astropys(path)
    with path.open("rb") as file, fits.open(file, memmap=False) as hdus:
        plane = read_rice(hdus[1], file, 0)
        assert plane is not None
        for start, stop in ((0, 64), (64, 101), (12, 13), (13, 26), (100, 101), (0, 101), (30, 90)):
            assert np.array_equal(plane.rows(start, stop), wanted[start:stop])


@pytest.mark.parametrize(("tile", "kept"), [((1, 400), 400_000), ((100, 40), 80_000)])
def test_released_rows_are_freed_and_decoded_again(tmp_path: Path, tile: tuple[int, int], kept: int) -> None:
    """Each of a composite's three frames may keep 128 MB, and only one is worked on at a time."""
    path = written(tmp_path / "frame.fits", fits.CompImageHDU(noise((500, 400), "u2"), tile_shape=tile))
    with path.open("rb") as file, fits.open(file, memmap=False) as hdus:
        plane = read_rice(hdus[1], file, 0)
        assert plane is not None
        tracemalloc.start()
        plane.pixels_at(np.arange(0, 500 * 400, 100))
        before = tracemalloc.get_traced_memory()[0]
        plane.release()
        assert before - tracemalloc.get_traced_memory()[0] >= kept
        tracemalloc.stop()
        assert np.array_equal(plane.rows(0, 500), astropys(path))


@pytest.mark.parametrize(
    "hdu",
    [
        lambda: fits.CompImageHDU(noise((40, 40), "f4"), compression_type="GZIP_1"),
        lambda: fits.CompImageHDU(noise((40, 40), "f4"), compression_type="GZIP_2"),
        lambda: fits.CompImageHDU(noise((40, 40), "i4"), compression_type="HCOMPRESS_1"),
        lambda: fits.CompImageHDU(noise((40, 40), "i4") // 500, compression_type="PLIO_1"),
        lambda: fits.CompImageHDU(np.vstack([noise((39, 40), "f4"), np.full((1, 40), 1.5, "f4")])),  # a tile is GZIP
        lambda: by_hand([noise((40,), "i2")], (1, 40), (1, 40), ZBITPIX=16, BSCALE=0.5, BZERO=3),
        lambda: by_hand([noise((40,), "i2")], (1, 40), (1, 40), ZBITPIX=16, BLANK=-5, ZBLANK=-5),
        lambda: by_hand([noise((40,), "u1")], (1, 40), (1, 40), ZBITPIX=8, BZERO=-128),
    ],
)
def test_other_layouts_are_read_by_astropy_and_drawn(tmp_path: Path, hdu: Any) -> None:
    path = written(tmp_path / "frame.fits", hdu())
    assert ours(path) is None
    with path.open("rb") as file:
        assert draw([file], tmp_path / "out.jpg", LCO, ConversionContext(scratch=tmp_path)).width == 40


def drawn(path: Path) -> bool:
    """Returns True if a picture is drawn, False for `Undecodable`; nothing else may be raised."""
    try:
        with path.open("rb") as file:
            draw([file], path.with_suffix(".jpg"), LCO, ConversionContext(scratch=path.parent))
    except Undecodable:
        return False
    return True


def sound(path: Path, kind: str = "f4") -> tuple[bytearray, int, int]:
    """Returns a frame of 60 rows, each a tile; where its table begins, and the bytes of the table's rows."""
    hdu = fits.CompImageHDU(noise((60, 90), kind), **({"quantize_level": 16} if kind == "f4" else {}))
    with fits.open(written(path, hdu), disable_image_compression=True) as hdus:
        return bytearray(path.read_bytes()), hdus[1].fileinfo()["datLoc"], hdus[1].header["NAXIS1"]


def ended(read: Callable[[Path], np.ndarray | None], path: Path) -> str | np.ndarray | None:
    """Returns the pixels that *read* returns, or the name of the exception that it raises."""
    try:
        return read(path)
    except Exception as error:  # noqa: BLE001 - astropy's C code may raise anything
        return type(error).__name__


@pytest.mark.parametrize("kind", ["f4", "u2", "u1"])
def test_damaged_tiles_end_as_they_do_for_astropy(tmp_path: Path, kind: str) -> None:
    """One bit, 64 bytes of zeros, or 200 of anything: the same pixels, or an error where astropy has one."""
    path = tmp_path / "frame.fits"
    whole, start, width = sound(path, kind)
    heap = start + 60 * width
    random, errors = np.random.default_rng(3), 0
    for number in range(45):
        damaged = bytearray(whole)
        place = int(random.integers(heap, heap + 2000))
        bit = bytes([whole[place] ^ 1 << number % 8])
        wrong = (bit, bytes(64), random.bytes(200))[number % 3]
        damaged[place : place + len(wrong)] = wrong
        path.write_bytes(damaged)
        got, wanted = ended(ours, path), ended(astropys, path)
        errors += isinstance(wanted, str)
        assert np.array_equal(got, wanted, equal_nan=kind == "f4") if isinstance(wanted, np.ndarray) else got == wanted
        assert drawn(path) == isinstance(wanted, np.ndarray)
    assert 7 < errors < 45


@pytest.mark.parametrize("kind", ["f4", "u2", "u1"])
def test_damage_anywhere_ends_in_a_picture_or_with_a_reason(tmp_path: Path, kind: str) -> None:
    """Bytes changed in the header of the table, in it, and in what it points to: no crash, no hang, no other error."""
    path = tmp_path / "frame.fits"
    whole, start, width = sound(path, kind)
    random, ends = np.random.default_rng(11), set()
    for number in range(60):
        damaged = bytearray(whole)
        reach = (start, start + 60 * width) if number % 3 == 0 else (start - 2880 * (number % 2), len(whole))
        for place in random.integers(*reach, 1 + number % 4):
            damaged[place] = random.integers(256) if number % 5 else 0
        path.write_bytes(damaged)
        ends.add(drawn(path))
    assert ends == {True, False}


@pytest.mark.parametrize("kind", ["f4", "u2", "u1"])
def test_a_stream_of_the_wrong_length_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "frame.fits"
    whole, start, width = sound(path, kind)
    size, place = np.frombuffer(whole, ">i4", 2, start + 59 * width).tolist()
    for less in (1, 2, 5, size - 1):
        short = bytearray(whole)
        short[start + 59 * width : start + 59 * width + 4] = (size - less).to_bytes(4, "big")  # the last tile's
        path.write_bytes(short)
        assert ended(ours, path) == "CfitsioException"
        assert not drawn(path)
    zeros = bytearray(whole)
    zeros[start + 60 * width + place + 5 :] = bytes(len(whole) - start - 60 * width - place - 5)
    path.write_bytes(zeros)
    assert ended(ours, path) == "CfitsioException"
    flat = bytearray(whole)
    flat[start + 60 * width + place + 5 : start + 60 * width + place + 9] = bytes(4)  # blocks without any difference
    path.write_bytes(flat)
    assert ended(ours, path) == ended(astropys, path)


@pytest.mark.parametrize("value", [(2**31 - 1, 0), (100, 2**31 - 1), (100, -1), (-5, 0)])
def test_tiles_outside_of_the_file_are_refused(tmp_path: Path, value: tuple[int, int]) -> None:
    path = tmp_path / "frame.fits"
    whole, start, width = sound(path)
    whole[start + 7 * width : start + 7 * width + 8] = np.array(value, ">i4").tobytes()
    path.write_bytes(whole)
    with pytest.raises(Undecodable, match="outside of the file"):
        ours(path)
    assert not drawn(path)
