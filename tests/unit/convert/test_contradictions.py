"""Which options of a derivative go together."""

from __future__ import annotations

import io
from itertools import product

import pytest
from pydantic import ValidationError

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.options import contradiction
from mezcal.settings.profiles import ProfileFields

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


def test_options_that_do_not_go_together_write_nothing(tmp_path):
    options = ConversionOptions(format="pyramid", alpha="keep")
    with pytest.raises(ValueError, match="no transparency"):
        convert(io.BytesIO(), tmp_path / "out", ConversionContext(options))
    assert not list(tmp_path.iterdir())


def accepted(options) -> bool:
    try:
        ProfileFields(**options)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("kind", ["jpeg", "pyramid", "webp"])
def test_the_file_of_profiles_accepts_what_can_be_written_and_nothing_else(kind):
    compressions = ["jpeg", "deflate", "zstd", "lzw"] if kind == "pyramid" else ["jpeg"]
    for compression, alpha, depth in product(compressions, ["flatten", "keep"], [8, 16]):
        options = {"format": kind, "compression": compression, "alpha": alpha, "depth": depth}
        assert accepted(options) is (contradiction(ConversionOptions(**options)) is None), options
