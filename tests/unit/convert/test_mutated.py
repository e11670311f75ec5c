"""Damaged masters: they become a whole JPEG of the right size, or are refused with a reason.

`make fuzz` does the same for any time, in processes that may crash.
"""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.damaged import SECONDS_MAX, Case, outcome


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(random=st.randoms(use_true_random=False))
def test_a_damaged_master_makes_a_whole_picture_or_a_reason(random, tmp_path):
    begin = time.monotonic()
    end = outcome(Case.random(random), tmp_path)
    assert time.monotonic() - begin < SECONDS_MAX
    assert not end.startswith("WRONG"), end
