"""Which options of a derivative go together."""

from __future__ import annotations

import pytest

from mezcal.convert import ConversionOptions
from mezcal.convert.options import contradiction

POSSIBLE = [
    {},
    {"format": "pyramid"},
    {"format": "pyramid", "compression": "deflate", "alpha": "keep", "depth": 16},
    {"format": "webp", "alpha": "keep"},
    {"format": "webp", "alpha": "keep", "lossless": True},
]
IMPOSSIBLE = [
    ({"alpha": "keep"}, "use alpha=flatten, or format=webp or pyramid"),
    ({"depth": 16}, "use depth=8, or format=pyramid with a lossless compression"),
    ({"format": "webp", "depth": 16}, "webp has 8 bits"),
    ({"format": "pyramid", "alpha": "keep"}, "use alpha=flatten, or compression=deflate, zstd or lzw"),
    ({"format": "pyramid", "depth": 16}, "use depth=8, or compression=deflate, zstd or lzw"),
]


@pytest.mark.parametrize("options", POSSIBLE)
def test_options_that_go_together_have_no_contradiction(options):
    assert contradiction(ConversionOptions(**options)) is None


@pytest.mark.parametrize(("options", "reason"), IMPOSSIBLE)
def test_a_contradiction_says_what_can_be_used_instead(options, reason):
    assert reason in (contradiction(ConversionOptions(**options)) or "")
