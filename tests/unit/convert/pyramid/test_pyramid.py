"""Pyramids through `convert`: read back by three libraries, and compared with the master and with the JPEG of it."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.engines import libvips
from mezcal.convert.pyramid import directories
from mezcal.errors import OriginFailed, TooLarge
from tests.support.pyramids import LOSSLESS, levels, made, master, mean_of_four, photo
from tools.tiny_masters import masters

LOSSLESS_KINDS = ["deflate", "zstd", "lzw"]


def as_jpeg(source, folder, **options):
    with Image.open(made(source, folder, **options)) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


# --- the file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_three_libraries_read_the_same_levels(subsampling, tmp_path):
    path = made(master(photo(700, 500)), tmp_path, format="pyramid", subsampling=subsampling, quality=95)
    sizes = [(700, 500), (350, 250), (175, 125)]
    libvips.start()
    by_tifffile = levels(path)
    with Image.open(path) as image:
        assert image.n_frames == len(sizes)
        for page, size in enumerate(sizes):
            image.seek(page)
            by_libvips = pyvips.Image.tiffload(str(path), page=page).numpy()
            assert (image.mode, image.size, by_libvips.shape) == ("RGB", size, (size[1], size[0], 3))
            assert np.abs(by_libvips.astype(int) - by_tifffile[page]).max() <= 4  # how chroma is enlarged
            assert np.abs(np.asarray(image).astype(int) - by_libvips).max() <= 4


def test_the_lower_levels_are_reduced_copies_in_the_directories_that_follow(tmp_path):
    path = made(master(photo(700, 500)), tmp_path, format="pyramid")
    with tifffile.TiffFile(path) as file:
        assert [page.subfiletype for page in file.pages] == [0, 1, 1]
        assert [level.shape for level in file.series[0].levels] == [(500, 700, 3), (250, 350, 3), (125, 175, 3)]
        for page in file.pages:
            assert (page.tilewidth, page.tilelength, page.photometric.name) == (256, 256, "YCBCR")
            assert 330 not in page.tags


def test_all_directories_come_before_all_tiles(tmp_path):
    path = made(master(photo(1500, 900)), tmp_path, format="pyramid", color="keep")
    with tifffile.TiffFile(path) as file:
        offsets = [offset for page in file.pages for offset in page.dataoffsets]
        ends = [tag.valueoffset + tag.valuebytecount for page in file.pages for tag in page.tags]
        assert max(ends + [page.offset for page in file.pages]) <= min(offsets)
        assert offsets == sorted(offsets)
        last = file.pages[-1]
        assert path.stat().st_size == last.dataoffsets[-1] + last.databytecounts[-1]


def test_tiles_share_the_tables_of_jpeg(tmp_path):
    """They are written once for each level, close to its directory, and in no tile."""
    path = made(master(photo(700, 500)), tmp_path, format="pyramid")
    assert path.read_bytes().count(b"\xff\xc4") == 3 * 4


def test_a_kilobyte_where_a_directory_begins_has_all_its_short_values(tmp_path):
    path = made(master(photo(1500, 900), iccprofile=PROFILE + bytes(1_000)), tmp_path, format="pyramid", color="keep")
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            ends = [tag.valueoffset + tag.valuebytecount for tag in page.tags if tag.valuebytecount <= 600]
            assert max(ends) <= page.offset + 1024


@pytest.mark.parametrize("tile", [64, 128, 512])
def test_tiles_have_the_side_that_is_asked_for(tile, tmp_path):
    pixels = photo(900, 700)
    path = made(master(pixels), tmp_path, **LOSSLESS, tile=tile)
    with tifffile.TiffFile(path) as file:
        assert {(page.tilewidth, page.tilelength) for page in file.pages} == {(tile, tile)}
        assert max(file.pages[-1].shape[:2]) <= tile < max(file.pages[-2].shape[:2])
    assert (levels(path)[0] == pixels).all()


def test_a_file_is_a_bigtiff_only_if_it_must_be(tmp_path, monkeypatch):
    pixels = photo(700, 500)
    small = made(master(pixels), tmp_path, **LOSSLESS)
    assert small.read_bytes()[:4] == b"II\x2a\0"
    monkeypatch.setattr(directories, "CLASSIC_MAX", small.stat().st_size - 1)
    big = made(master(pixels, resolution=(300, 300)), tmp_path, **LOSSLESS, keep_metadata=True)
    assert big.read_bytes()[:4] == b"II\x2b\0"
    libvips.start()
    assert (levels(big)[0] == pixels).all()
    assert (pyvips.Image.tiffload(str(big)).numpy() == pixels).all()
    with Image.open(big) as image:
        assert (np.asarray(image) == pixels).all()


def test_the_same_master_gives_the_same_bytes(tmp_path):
    source = master(photo(1500, 900))
    assert (
        made(source, tmp_path, format="pyramid").read_bytes() == made(source, tmp_path, format="pyramid").read_bytes()
    )


# --- the pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", LOSSLESS_KINDS)
@pytest.mark.parametrize("bands", [1, 3])
def test_a_lossless_pyramid_has_the_masters_pixels_and_their_means(bands, compression, tmp_path):
    pixels = photo(700, 531, bands)
    found = levels(made(master(pixels), tmp_path, format="pyramid", compression=compression))
    assert (found[0] == pixels).all()
    for larger, smaller in pairwise(found):
        assert (smaller == mean_of_four(larger)).all()


@pytest.mark.parametrize(
    "size", [(1, 1), (3, 700), (255, 257), (256, 512), (513, 513), (1025, 40), (1281, 769), (20_000, 3), (5, 3_000)]
)
def test_every_size_is_complete(size, tmp_path):
    pixels = photo(*size)
    found = levels(made(master(pixels), tmp_path, **LOSSLESS, tile=64))
    assert (found[0] == pixels).all()
    for larger, smaller in pairwise(found):
        assert (smaller == mean_of_four(larger)).all()
    assert max(found[-1].shape[:2]) <= 64


@pytest.mark.parametrize("bands", [1, 3])
def test_the_largest_level_has_the_pixels_of_the_jpeg(bands, tmp_path):
    """The same blocks are coded with the same tables."""
    source = master(photo(700, 531, bands))
    assert (levels(made(source, tmp_path, format="pyramid"))[0] == as_jpeg(source, tmp_path)).all()


@pytest.mark.parametrize("name", masters())
def test_masters_of_every_kind_give_the_picture_of_the_jpeg(name, tmp_path):
    source = io.BytesIO(masters()[name])
    found = levels(made(source, tmp_path, format="pyramid", tile=64))
    assert len(found) > 1
    assert (found[0] == as_jpeg(source, tmp_path)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rows_arrive_upright(orientation, tmp_path):
    tag = (274, "H", 1, orientation, True)
    source = master(photo(300, 520), compression="zlib", extratags=[tag])
    found = levels(made(source, tmp_path, format="pyramid"))[0]
    with tifffile.TiffFile(tmp_path / "out") as file:
        assert 274 not in file.pages[0].tags
    assert (found == as_jpeg(source, tmp_path)).all()


def test_a_page_can_be_chosen(tmp_path):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(photo(64, 64), photometric="rgb")
        writer.write(photo(300, 200), photometric="rgb")
    assert (levels(made(file, tmp_path, 2, **LOSSLESS))[0] == photo(300, 200)).all()


def test_a_picture_too_wide_for_jpeg_keeps_its_size(tmp_path):
    pixels = photo(65_600, 3)
    found = levels(made(master(pixels), tmp_path, **LOSSLESS, oversize="refuse"))
    assert (found[0] == pixels).all()


def test_the_longest_side_can_be_limited(tmp_path):
    found = levels(made(master(photo(700, 500)), tmp_path, format="pyramid", max_edge=350))
    assert [level.shape[:2] for level in found] == [(250, 350), (125, 175)]


def test_too_many_pixels_are_refused(tmp_path):
    with pytest.raises(TooLarge, match="MAX_IMAGE_PIXELS"):
        made(master(photo(70, 50)), tmp_path, format="pyramid", max_pixels=1000)


# --- depth and transparency ---------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", LOSSLESS_KINDS)
@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_bits_are_kept_on_request(bands, compression, tmp_path):
    pixels = photo(300, 200, bands, "u2")
    path = made(master(pixels), tmp_path, format="pyramid", compression=compression, depth=16)
    assert (levels(path)[0] == pixels).all()
    assert (levels(path)[1] == mean_of_four(pixels)).all()


@pytest.mark.parametrize("orientation", [3, 6])
def test_sixteen_bits_are_turned_upright(orientation, tmp_path):
    pixels = photo(300, 200, 3, "u2")
    source = master(pixels, extratags=[(274, "H", 1, orientation, True)])
    turned = {3: pixels[::-1, ::-1], 6: pixels[::-1].transpose(1, 0, 2)}
    assert (levels(made(source, tmp_path, **LOSSLESS, depth=16))[0] == turned[orientation]).all()


def test_sixteen_bits_become_eight_by_default(tmp_path):
    pixels = photo(300, 200, 3, "u2")
    assert (levels(made(master(pixels), tmp_path, **LOSSLESS))[0] == pixels >> 8).all()


def test_eight_bits_stay_eight(tmp_path):
    assert levels(made(master(photo(30, 20)), tmp_path, **LOSSLESS, depth=16))[0].dtype == np.uint8


def test_twelve_bits_and_floats_have_sixteen(tmp_path):
    grey = (photo(300, 200, 1)[..., 0] / 255).astype("f4")
    found = levels(made(master(grey), tmp_path, **LOSSLESS, depth=16))[0][..., 0]
    assert found.dtype == np.uint16
    assert np.abs(found - grey * 65535).max() <= 1


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_alpha_is_kept_on_request(colours, dtype, tmp_path):
    pixels = photo(300, 200, colours + 1, dtype)
    path = made(master(pixels, extrasamples=["unassalpha"]), tmp_path, **LOSSLESS, alpha="keep", depth=16)
    with tifffile.TiffFile(path) as file:
        assert [int(kind) for kind in file.pages[0].extrasamples] == [2]
    assert (levels(path)[0] == pixels).all()


def test_associated_alpha_is_stored_as_unassociated(tmp_path):
    pixels = np.zeros((20, 30, 4), "u1")
    pixels[:, :15] = (50, 100, 0, 100)
    path = made(master(pixels, extrasamples=["assocalpha"]), tmp_path, **LOSSLESS, alpha="keep")
    assert levels(path)[0][0, 0].tolist() == [127, 255, 0, 100]


def test_alpha_is_flattened_over_the_background_by_default(tmp_path):
    pixels = np.dstack([np.zeros((20, 30, 3), "u1"), np.zeros((20, 30), "u1")])
    source = master(pixels, extrasamples=["unassalpha"])
    assert (levels(made(source, tmp_path, **LOSSLESS, background=(9, 8, 7)))[0] == [9, 8, 7]).all()


def test_sixteen_bits_are_flattened_over_the_whole_background(tmp_path):
    pixels = np.zeros((20, 30, 4), "u2")
    source = master(pixels, extrasamples=["unassalpha"])
    found = levels(made(source, tmp_path, **LOSSLESS, depth=16, background=(255, 128, 0)))[0]
    assert found[0, 0].tolist() == [65535, 32896, 0]


def test_a_smaller_size_gets_no_colour_from_what_is_transparent(tmp_path):
    pixels = np.zeros((64, 64, 4), "u1")
    pixels[:, :31] = (255, 0, 0, 255)
    pixels[:, 31:] = (0, 255, 0, 0)
    source = master(pixels, extrasamples=["unassalpha"])
    found = levels(made(source, tmp_path, **LOSSLESS, alpha="keep", max_edge=16))[0]
    assert found[..., 1][found[..., 3] > 0].max() <= 2


# --- colour and metadata ------------------------------------------------------------------------------------

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_all_levels_share_the_profile(tmp_path):
    profile = PROFILE + bytes(1_000)
    path = made(master(photo(700, 500), iccprofile=profile), tmp_path, format="pyramid", color="keep")
    with tifffile.TiffFile(path) as file:
        assert {page.tags[34675].value for page in file.pages} == {profile}
        assert len({page.tags[34675].valueoffset for page in file.pages}) == 1


def test_a_level_has_the_resolution_that_keeps_its_size_on_paper(tmp_path):
    source = master(photo(700, 500), resolution=(300, 150), resolutionunit=2, extratags=[(274, "H", 1, 6, True)])
    with tifffile.TiffFile(made(source, tmp_path, format="pyramid")) as file:
        assert [page.get_resolution("INCH") for page in file.pages] == [(150, 300), (75, 150), (37.5, 75)]


@pytest.mark.parametrize("big", [False, True])
def test_metadata_is_kept_on_request_only(big, tmp_path, monkeypatch):
    exif, source = Image.Exif(), io.BytesIO()
    exif[274], exif[0x010F], exif[0x013B] = 6, "Maker", "Somebody"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    Image.fromarray(photo(300, 200)).save(source, "JPEG", exif=exif, xmp=b"<x:xmpmeta/>")
    with tifffile.TiffFile(made(source, tmp_path, format="pyramid")) as file:
        assert not {0x010F, 0x013B, 700, 34665} & set(file.pages[0].tags.keys())
    monkeypatch.setattr(directories, "CLASSIC_MAX", 0 if big else directories.CLASSIC_MAX)
    with tifffile.TiffFile(made(source, tmp_path, format="pyramid", keep_metadata=True)) as file:
        tags = {tag.code: tag.value for tag in file.pages[0].tags}
        assert file.is_bigtiff is big
        assert (tags[0x010F], tags[0x013B], tags[700]) == ("Maker", "Somebody", b"<x:xmpmeta/>")
        assert tags[34665]["DateTimeOriginal"] == "2020:01:02 03:04:05"
        assert (tags[34665]["PixelXDimension"], tags[34665]["PixelYDimension"]) == (200, 300)
        assert not {0x010F, 700, 34665} & set(file.pages[1].tags.keys())


def test_iptc_of_a_jpeg_is_stored_as_image_resources(tmp_path):
    records = b"\x1c\x02\x78\x00\x05title"
    resource = b"8BIM\x04\x04\0\0" + len(records).to_bytes(4) + records
    source = io.BytesIO()
    Image.fromarray(photo(60, 40)).save(source, "JPEG")
    data = source.getvalue()
    segment = b"Photoshop 3.0\0" + resource
    source = io.BytesIO(data[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2) + segment + data[2:])
    path = made(source, tmp_path, format="pyramid", keep_metadata=True)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags[34377]
    assert path.read_bytes()[tag.valueoffset :].startswith(resource)


# --- failures and progress ----------------------------------------------------------------------------------


class BrokenOff(io.BytesIO):
    """A download that ends half way."""

    def read(self, size=-1):
        if self.tell() > len(self.getvalue()) // 2:
            raise OriginFailed("the connection was reset")
        return super().read(size)


def test_a_master_that_breaks_off_leaves_no_file_that_looks_whole(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (900, 900, 3), "u1")
    with pytest.raises(OriginFailed, match="reset"):
        made(BrokenOff(master(noise).getvalue()), tmp_path, format="pyramid")
    assert [path.name for path in tmp_path.iterdir()] in ([], ["out"])
    assert not (tmp_path / "out").exists() or (tmp_path / "out").read_bytes()[:2] in (b"", b"\0\0")


def test_a_full_disk_is_not_reported_as_a_damaged_master(tmp_path):
    with pytest.raises(OSError, match="No space"):
        convert(
            master(photo(500, 500)),
            tmp_path.joinpath("/dev/full"),
            ConversionContext(ConversionOptions(**LOSSLESS), scratch=tmp_path),
        )


def test_progress_goes_from_nothing_to_all(tmp_path):
    seen: list[float] = []
    options = ConversionOptions(format="pyramid")
    convert(master(photo(700, 500)), tmp_path / "out", ConversionContext(options, report_progress=seen.append))
    assert seen == sorted(seen)
    assert len(seen) > 4
    assert seen[-1] == 1
