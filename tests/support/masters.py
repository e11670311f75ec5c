"""Small masters that tests draw."""

from __future__ import annotations

import io

import numpy as np
import tifffile


def grey_tiff(shade: int, edge: int = 64) -> bytes:
    """Returns an uncompressed TIFF of *edge* x *edge* pixels in one *shade* of grey, 0 to 255."""
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((edge, edge), shade, dtype=np.uint8), photometric="minisblack", rowsperstrip=8)
    return out.getvalue()
