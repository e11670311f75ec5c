"""Private parts of astropy that mezcal uses: the RICE decoder, and the class of its errors.

`mezcal/convert/fits/read/tiles/rice_tiles.py` calls the decoder, `frame.py` knows the errors by name. If this fails
with a new astropy, frames are still read, but slower: astropy's public reader takes over where the decoder is missing.
"""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from mezcal.convert.fits.read.frame import CFITSIO_ERROR
from mezcal.convert.fits.read.tiles.rice_tiles import DECODE_RICE


def encoded(pixels: np.ndarray, block_size: int) -> np.ndarray:
    return np.frombuffer(imagecodecs.rcomp_encode(pixels, nblock=block_size), np.uint8)


def test_the_decoder_is_where_it_was() -> None:
    assert callable(DECODE_RICE)


@pytest.mark.parametrize("block_size", [16, 32])
@pytest.mark.parametrize("kind", ["u1", "i2", "i4"])
def test_a_stream_is_decoded_to_the_bytes_of_its_pixels(kind: str, block_size: int) -> None:
    """The arguments are the stream, the coding block, the bytes of a pixel and the number of pixels."""
    pixels = np.random.default_rng(1).integers(0, 120, 1000).astype(kind)
    decoded = DECODE_RICE(encoded(pixels, block_size), block_size, pixels.itemsize, pixels.size)
    assert np.array_equal(np.frombuffer(decoded, kind), pixels)


@pytest.mark.parametrize("change", [-5, -1, 1, 9])
def test_a_stream_of_the_wrong_length_is_an_error_with_the_name_that_is_expected(change: int) -> None:
    """Most damage shows only in this. imagecodecs' public decoder accepts streams that are too long."""
    stream = encoded(np.random.default_rng(1).integers(0, 120, 1000).astype("i4"), 32)
    wrong = np.append(stream, np.zeros(max(0, change), np.uint8))[: len(stream) + change]
    with pytest.raises(Exception, match="compressed") as raised:
        DECODE_RICE(wrong, 32, 4, 1000)
    assert type(raised.value).__name__ == CFITSIO_ERROR
