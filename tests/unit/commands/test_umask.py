"""What mezcal writes is closed to users outside its group."""

from __future__ import annotations

import os

import pytest

from mezcal.cli import close_to_others


@pytest.mark.parametrize(
    ("given", "umask"),
    [(0o022, 0o027), (0o002, 0o007), (0o077, 0o077), (0o000, 0o007)],
)
def test_others_get_no_permission_and_the_group_what_the_environment_gives_it(given: int, umask: int) -> None:
    before = os.umask(given)
    try:
        close_to_others()
        assert os.umask(given) == umask
    finally:
        os.umask(before)
