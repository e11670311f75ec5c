"""Masters to JPEG: pixels in, picture out, and a precise reason where there can be none."""

from mezcal.convert.mezzanine import Choices, Picture, convert

__all__ = ["Choices", "Picture", "convert"]
