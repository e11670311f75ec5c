"""Real masters with bytes changed or cut off: a whole JPEG of the size that was promised, or a reason."""

from __future__ import annotations

import io
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mezcal.convert import Choices, Picture, convert
from mezcal.errors import Failure

MASTERS = Path(__file__).parent.parent / "data" / "masters"
WHOLE = sorted(path for path in MASTERS.iterdir() if path.suffix in (".tif", ".tiff", ".png", ".jpg", ".jp2"))
SECONDS_MAX = 20


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A master with up to eight bytes changed, half of them where the claims are, and perhaps cut."""
    data = bytearray(draw(st.sampled_from(WHOLE)).read_bytes())
    for _ in range(draw(st.integers(0, 8))):
        reach = len(data) if draw(st.booleans()) else min(len(data), 300)
        data[draw(st.integers(0, reach - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 3)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=mutated())
def test_a_damaged_master_makes_a_whole_picture_or_a_reason(data, tmp_path):
    target = tmp_path / "out.jpg"
    begin = time.monotonic()
    end = outcome(data, target)
    assert time.monotonic() - begin < SECONDS_MAX
    if isinstance(end, Failure):
        assert 400 <= end.status < 500
        assert end.detail
    else:
        with Image.open(target) as image:
            assert image.size == (end.width, end.height)
            image.load()


def outcome(data: bytes, target: Path) -> Picture | Failure:
    try:
        return convert(io.BytesIO(data), target, Choices(max_pixels=50_000_000))
    except Failure as failure:
        return failure
