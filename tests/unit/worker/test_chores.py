"""The periodic work of workers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mezcal.errors import StoreDown
from worker.chores import CHORES, Chore
from worker.tasks import run_chore

if TYPE_CHECKING:
    import pytest


def test_a_chore_that_the_store_prevents_is_one_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise StoreDown("the object store refuses (501)")

    monkeypatch.setitem(CHORES, "empty", Chore("empty", 60, fail, lambda _: True))
    with caplog.at_level(logging.WARNING):
        assert run_chore("empty") == "store-down"
    [record] = caplog.records
    assert record.getMessage() == "the chore empty is not done: the object store refuses (501)"
    assert record.exc_info is None
