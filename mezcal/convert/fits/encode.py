"""Writes the picture of a frame in the format that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from mezcal.recipe import ThumbnailOptions

PNG_LEVEL = 4  # of zlib: 6 takes twice the time for 2 % fewer bytes of a noisy sky
PNG_XMP = "XML:com.adobe.xmp"  # the keyword of the chunk
WEBP_METHOD = 3  # of 6: the time for more than this is not made up for by bytes


def save_picture(image: Image.Image, target: Path, options: ThumbnailOptions, xmp: bytes | None) -> None:
    """Write *image* to *target* in the format of *options*, with the packet *xmp*."""
    tags: dict[str, Any] = {} if xmp is None else {"xmp": xmp}
    if options.format == "png":
        info = PngInfo()
        if xmp is not None:
            info.add_itxt(PNG_XMP, xmp.decode())
        image.save(target, "PNG", compress_level=PNG_LEVEL, pnginfo=info)
    elif options.format == "webp":
        image.save(target, "WEBP", quality=options.quality, method=WEBP_METHOD, **tags)
    else:  # thin coloured lines would fade if colours were shared by four pixels
        sampling = {} if options.overlays is None else {"subsampling": "4:4:4"}
        image.save(target, "JPEG", quality=options.quality, **sampling, **tags)
