"""Waiting for a condition, instead of for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
START = 100  # seconds until a server is ready, on a machine with much else to do


def until(condition: Callable[[], Value], seconds: float = 20, what: str = "the condition") -> Value:
    """Wait until *condition* returns a true value. Returns this value; fails after *seconds*."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come about in {seconds} s"
        time.sleep(0.01)
    return value
