"""Strips of one picture, worked on by several threads at once and handed on in their order.

The caller's thread decodes, which goes from top to bottom; the others bring the pixels to the colours that are
shown, and encode. libvips, lcms and libjpeg work without Python's lock.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from mezcal.convert.engines.row_stream import Strips

T = TypeVar("T")
THREADS_MAX = 4  # beyond that it is decoding that takes the time
AHEAD = 2  # strips that are decoded before a thread is free for them


def threads() -> int:
    """One for each core that this process may use, within reason; the pool's processes share the cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, THREADS_MAX)


def in_order(work: Callable[[NDArray[Any]], T], strips: Strips) -> Iterator[T]:
    """*work* of each of *strips*, from the first to the last; few of them are in memory at any time."""
    if strips.count == 1:
        yield work(strips.fetch(0))
        return
    count = threads()
    under_way: deque[Future[T]] = deque()
    with ThreadPoolExecutor(count, "strips") as pool:
        try:
            for place in range(strips.count):
                under_way.append(pool.submit(work, strips.fetch(place)))
                if len(under_way) >= count + AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for each in under_way:
                each.cancel()
