"""Masters to JPEG: pixels in, picture out, and a precise reason where there can be none."""

from mezcal.convert.choices import Choices, Picture
from mezcal.convert.mezzanine import convert

__all__ = ["Choices", "Picture", "convert"]
