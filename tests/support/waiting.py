"""Waiting for a condition, instead of for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
PAUSE, LONGEST_PAUSE = 0.01, 0.1  # seconds between two evaluations of a condition
START = 100  # seconds until a server is ready, on a machine with much else to do


def until(condition: Callable[[], Value], seconds: float = 20, what: str = "the condition") -> Value:
    """Wait until *condition* returns a true value. Returns this value; fails after *seconds*.

    A condition that takes long, a request or a look at all processes, is evaluated less often: what is waited for needs
    the processor.
    """
    deadline = time.monotonic() + seconds
    began = time.monotonic()
    while not (value := condition()):
        ended = time.monotonic()
        assert ended < deadline, f"{what} did not come about in {seconds} s"
        time.sleep(min(max(PAUSE, 2 * (ended - began)), LONGEST_PAUSE))
        began = time.monotonic()
    return value
