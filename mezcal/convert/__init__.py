"""Masters to JPEG, pyramids and WebP: either the right picture, or a failure with a precise reason."""

from mezcal.convert.context import ConversionContext
from mezcal.convert.mezzanine import convert
from mezcal.convert.options import ConversionOptions, ConvertedImage

__all__ = ["ConversionContext", "ConversionOptions", "ConvertedImage", "convert"]
