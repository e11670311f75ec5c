"""Tiny masters in every mode, for the pictures of docs/formats.md and for `tools/fuzz_masters.py`."""

from __future__ import annotations

import functools
import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pillow_heif
import pyvips
import tifffile
from PIL import Image, ImageCms

from mezcal.sample import FOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[Any]

WIDTH, HEIGHT = 144, 96
TILE = (32, 48)
RGB_STRIPS = {"photometric": "rgb", "rowsperstrip": 32}


@functools.cache
def masters() -> dict[str, bytes]:
    """Returns a tiny master in every mode that the page shows, by the picture's name."""
    rgb = scene()
    return {name: write(rgb) for name, write in {**FILES, **TIFFS, **SAMPLES}.items()}


def scene() -> Pixels:
    """Returns the sample repository's agave field in sRGB, height x width x 3."""
    image = pyvips.Image.new_from_file(str(FOLDER / "agave-p3.tif")).icc_transform("srgb")
    return np.asarray(image.thumbnail_image(WIDTH, height=HEIGHT).numpy())


def tiff(pixels: Pixels, **tags: Any) -> bytes:
    """Returns a TIFF written by tifffile."""
    file = io.BytesIO()
    tifffile.imwrite(file, np.ascontiguousarray(pixels), metadata=None, software=False, **tags)
    return file.getvalue()


def bare(data: bytes, photometric: int, bits: list[int], **more: Any) -> bytes:
    """Returns a TIFF that no library writes: one strip *data*, and further tags as *more*'s t<number>."""
    fields: dict[int, tuple[str, list[int]]] = {
        256: ("I", [WIDTH]), 257: ("I", [HEIGHT]), 258: ("H", bits), 259: ("H", [1]), 262: ("H", [photometric]),
        273: ("I", [8]), 277: ("H", [len(bits)]), 278: ("I", [HEIGHT]), 279: ("I", [len(data)]),
    }  # fmt: skip
    fields |= {int(tag[1:]): value for tag, value in more.items()}
    end = 8 + len(data) + len(data) % 2
    tail, entries = b"", b""
    free = end + 2 + 12 * len(fields) + 4
    for tag, (code, values) in sorted(fields.items()):
        raw = struct.pack(f"<{len(values)}{code}", *values)
        inline = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack("<I", free + len(tail))
        tail += b"" if len(raw) <= 4 else raw
        entries += struct.pack("<HHI", tag, {"B": 1, "H": 3, "I": 4}[code], len(values)) + inline
    head = struct.pack("<2sHI", b"II", 42, end) + data.ljust(end - 8, b"\0")
    return head + struct.pack("<H", len(fields)) + entries + bytes(4) + tail


def packed(samples: Pixels, bits: int) -> bytes:
    """Returns samples of *bits* bits without gaps. Each row begins at a byte."""
    rows = samples.reshape(HEIGHT, -1, 1).astype("u4")
    return np.packbits((rows >> np.arange(bits - 1, -1, -1) & 1).reshape(HEIGHT, -1).astype("u1"), axis=1).tobytes()


def grey(rgb: Pixels) -> Pixels:
    """Returns luma, 8 bits."""
    return (rgb @ [0.299, 0.587, 0.114]).round().astype("u1")


def wide(pixels: Pixels) -> Pixels:
    """Returns 8-bit *pixels* with 16 bits."""
    return pixels.astype("u2") * 257


def fading() -> Pixels:
    """Returns alpha from transparent on the left to opaque on the right."""
    return np.broadcast_to(np.linspace(0, 255, WIDTH).round().astype("u1"), (HEIGHT, WIDTH))


def saved(kind: str, **options: Any) -> Callable[[Pixels], bytes]:
    """Returns a function that writes with Pillow, as *kind*."""

    def write(rgb: Pixels) -> bytes:
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, kind, **options)
        return file.getvalue()

    return write


def heif(rgb: Pixels) -> bytes:
    """Returns a HEIC file."""
    pillow_heif.register_heif_opener()
    return saved("HEIF")(rgb)


def psd(rgb: Pixels) -> bytes:
    """Returns a Photoshop file with the composite alone (its specification, "File Header Section")."""
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, HEIGHT, WIDTH, 8, 3)
    return head + bytes(12) + bytes(2) + np.moveaxis(rgb, -1, 0).tobytes()


def by_vips(space: str | None = None, **options: Any) -> Callable[[Pixels], bytes]:
    """Returns a function that writes a TIFF with libvips, in its colour *space*."""

    def write(rgb: Pixels) -> bytes:
        image = pyvips.Image.new_from_array(rgb)
        return bytes((image.colourspace(space) if space else image).tiffsave_buffer(**options))

    return write


def old_jpeg(rgb: Pixels) -> bytes:
    """Returns a TIFF of compression 6: the strip is a JPEG stream, and tags 513 and 514 give its place again."""
    data = saved("JPEG", quality=90, subsampling="4:2:0")(rgb)
    return bare(
        data, 6, [8, 8, 8], t259=("H", [6]), t512=("H", [1]), t513=("I", [8]), t514=("I", [len(data)]),
        t530=("H", [2, 2]),
    )  # fmt: skip


def lab8(rgb: Pixels, *, offset: int) -> bytes:
    """Returns 8-bit LAB: a and b are signed in CIELAB, and have 128 added in ICCLAB."""
    lab = pyvips.Image.new_from_array(rgb).colourspace("lab").numpy()
    a_b = np.clip(lab[..., 1:].round(), -128, 127) + offset
    pixels = np.dstack([(lab[..., :1] * 2.55).round(), a_b % 256]).astype("u1")
    return bare(pixels.tobytes(), 9 if offset else 8, [8, 8, 8])


def ycc(rgb: Pixels) -> Pixels:
    """Returns 8-bit YCbCr."""
    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))


def ycc_420(rgb: Pixels) -> bytes:
    """Returns uncompressed samples, two by two of luma before each pair of chroma."""
    samples = ycc(rgb)
    blocks = samples[..., 0].reshape(HEIGHT // 2, 2, WIDTH // 2, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
    chroma = samples[::2, ::2, 1:].reshape(-1, 2)
    return bare(np.hstack([blocks, chroma]).tobytes(), 6, [8, 8, 8], t530=("H", [2, 2]))


def palette(rgb: Pixels, *, alpha: bool = False) -> bytes:
    """Returns a picture of 64 colours, with or without alpha as a second sample."""
    image = Image.fromarray(rgb).quantize(64)
    index = np.asarray(image)
    colours = np.zeros((256, 3), "u2")
    colours[:64] = np.reshape(image.getpalette() or [], (-1, 3))[:64]
    table = ("H", (colours.T.ravel() * 257).tolist())
    if not alpha:
        return bare(index.tobytes(), 3, [8], t320=table)
    return bare(np.dstack([index, fading()]).tobytes(), 3, [8, 8], t320=table, t338=("H", [2]))


def compressed(scheme: str) -> Callable[[Pixels], bytes]:
    """Returns a function that writes tiles compressed by imagecodecs."""
    return lambda rgb: tiff(rgb, photometric="rgb", compression=scheme, tile=(48, 64))


def stretched(rgb: Pixels) -> bytes:
    """Returns floats far from 0..1."""
    return tiff(grey(rgb).astype("f4") * 40 - 3000, photometric="minisblack")


def pages(rgb: Pixels) -> bytes:
    """Returns a file with a small copy as the first page and the picture as the second."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.ascontiguousarray(rgb[::4, ::4]), photometric="rgb", subfiletype=1, metadata=None)
        writer.write(rgb, photometric="rgb", metadata=None)
    return file.getvalue()


def grey_profile() -> bytes:
    """Returns a profile of three tags for grey with a gamma of 2.2 (ICC.1:2001-04)."""
    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(2.2 * 256))
    white = b"XYZ " + bytes(4) + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    words = b"desc" + bytes(4) + struct.pack(">I9s", 9, b"grey 2.2\0") + bytes(78 + 1)
    parts, table, at = [words, white, curve], b"", 128 + 4 + 12 * 3
    for name, part in zip((b"desc", b"wtpt", b"kTRC"), parts, strict=True):
        table += name + struct.pack(">II", at, len(part))
        at += len(part)
    head = struct.pack(">I4xI4s4s4s", at, 0x02400000, b"mntr", b"GRAY", b"XYZ ").ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)
    return head.ljust(128, b"\0") + struct.pack(">I", 3) + table + b"".join(parts)


FILES: dict[str, Callable[[Pixels], bytes]] = {
    "jpeg": saved("JPEG", quality=92), "png": saved("PNG"), "gif": saved("GIF"), "webp": saved("WEBP", quality=90),
    "avif": saved("AVIF"), "heif": heif, "jp2": saved("JPEG2000"), "bmp": saved("BMP"), "pnm": saved("PPM"),
    "psd": psd, "qoi": saved("QOI"), "sgi": saved("SGI"),
}  # fmt: skip
TIFFS: dict[str, Callable[[Pixels], bytes]] = {
    "old-jpeg": old_jpeg,
    **{scheme: compressed(scheme) for scheme in ("lzma", "zstd", "lerc", "jpeg2000", "jpegxl")},
    "webp-tiles": compressed("webp"),
    "png-tiles": compressed("png"),
    "cielab": lambda rgb: lab8(rgb, offset=0),
    "icclab": lambda rgb: lab8(rgb, offset=128),
    "grey12": lambda rgb: bare(packed(grey(rgb).astype("u4") * 4095 // 255, 12), 1, [12]),
    "rgb10": lambda rgb: bare(packed(rgb.astype("u4") * 1023 // 255, 10), 2, [10] * 3),
    "half": lambda rgb: tiff((rgb / 255).astype("f2"), **RGB_STRIPS),
    "double": lambda rgb: tiff(grey(rgb) / 255.0, photometric="minisblack"),
    "planar-tiles": lambda rgb: tiff(np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate", tile=TILE),
    "jpeg-alpha": lambda rgb: tiff(
        np.dstack([grey(rgb), fading()]),
        photometric="minisblack",
        extrasamples=["unassalpha"],
        compression="jpeg",
        tile=(48, 64),
    ),
    "palette-alpha": lambda rgb: palette(rgb, alpha=True),
    "ycc444": lambda rgb: bare(ycc(rgb).tobytes(), 6, [8, 8, 8], t530=("H", [1, 1])),
    "ycc420": ycc_420,
    "ycc-jpeg": by_vips(compression="jpeg", Q=85, tile=True, tile_width=64, tile_height=64),
    "float": lambda rgb: tiff((rgb / 255).astype("f4"), compression="deflate", predictor=3, **RGB_STRIPS),
    "int16": lambda rgb: tiff((grey(rgb).astype("i2") - 128) * 200, photometric="minisblack"),
    "uint32": lambda rgb: tiff(rgb.astype("u4") << 24, compression="lzw", **RGB_STRIPS),
    "bilevel": lambda rgb: saved("TIFF", compression="group4")(np.asarray(Image.fromarray(rgb).convert("1"))),
    "grey4": lambda rgb: bare(packed(grey(rgb) >> 4, 4), 1, [4]),
    "grey8": lambda rgb: tiff(grey(rgb), photometric="minisblack", compression="packbits"),
    "rgb8": lambda rgb: tiff(rgb, compression="lzw", predictor=True, **RGB_STRIPS),
    "rgb16": lambda rgb: tiff(wide(rgb), photometric="rgb", compression="deflate", tile=TILE, bigtiff=True),
    "palette": palette,
    "cmyk": lambda rgb: tiff(np.asarray(Image.fromarray(rgb).convert("CMYK")), photometric="separated"),
    "lab16": by_vips("labs"),
    "logluv": by_vips("xyz"),
}
SAMPLES: dict[str, Callable[[Pixels], bytes]] = {
    "stretched": stretched,
    "int8": lambda rgb: tiff(grey(rgb).view("i1"), photometric="minisblack"),
    "miniswhite": lambda rgb: tiff(255 - grey(rgb), photometric="miniswhite"),
    "p3": lambda _rgb: (FOLDER / "agave-p3.tif").read_bytes(),
    "grey-profile": lambda rgb: tiff(grey(rgb), photometric="minisblack", iccprofile=grey_profile()),
    "cmyk-plate": lambda _rgb: (FOLDER / "plate-cmyk.tif").read_bytes(),
    "bad-profile": lambda rgb: tiff(rgb, iccprofile=ImageCms.ImageCmsProfile(
        ImageCms.createProfile("sRGB")).tobytes()[:200], **RGB_STRIPS),
    "alpha": lambda rgb: tiff(np.dstack([rgb, fading()]), extrasamples=["unassalpha"], **RGB_STRIPS),
    "associated": lambda rgb: tiff(
        np.dstack([rgb * (fading()[..., None] / 255), fading()]).round().astype("u1"),
        extrasamples=["assocalpha"], **RGB_STRIPS),
    "infrared": lambda rgb: tiff(np.dstack([rgb, fading()]), extrasamples=["unspecified"], **RGB_STRIPS),
    "turned": lambda rgb: tiff(np.rot90(rgb), extratags=[(274, "H", 1, 6, True)], **RGB_STRIPS),
    "pages": pages,
}  # fmt: skip
