"""Masters to JPEG: pixels in, picture out, and a precise reason where there can be none."""

from mezcal.convert.mezzanine import convert
from mezcal.convert.options import ConversionOptions, ConvertedImage

__all__ = ["ConversionOptions", "ConvertedImage", "convert"]
