"""Lists of masters: one path, or one URL of the repository, in each line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from mezcal.recipe import PATH_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

Value = TypeVar("Value")
LINE_MAX = 4 * PATH_MAX  # characters: a URL may quote each byte with three


def read_lines(file: TextIO) -> Iterator[str]:
    """Return the lines of *file* that are not empty. A line that is too long for a path is cut, and still too long."""
    whole = True
    while line := file.readline(LINE_MAX):
        is_start, whole = whole, line.endswith("\n")
        if is_start and (text := line.rstrip("\r\n")):
            yield text


def in_batches(values: Iterable[Value], most: int, seconds: float) -> Iterator[list[Value]]:
    """Return *values* in lists of *most*. A value that comes after *seconds* completes its list, too."""
    batch: list[Value] = []
    began = time.monotonic()
    for value in values:
        batch.append(value)
        if len(batch) == most or time.monotonic() - began >= seconds:
            yield batch
            batch, began = [], time.monotonic()
    if batch:
        yield batch
