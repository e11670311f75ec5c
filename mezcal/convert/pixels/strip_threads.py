"""Works on the strips of one picture in several threads, and returns the results in their order.

The calling thread fetches the strips, from top to bottom. The others convert the colours and encode. libvips, lcms
and libjpeg work without Python's global lock.
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
THREADS_MAX = 4  # with more, decoding is what takes the time
AHEAD = 2  # strips that are fetched before a thread is free for them


def thread_count() -> int:
    """Returns a thread for each core that this process may use, up to `THREADS_MAX`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, THREADS_MAX)


def map_strips(work: Callable[[NDArray[Any]], T], strips: Strips) -> Iterator[T]:
    """Yields *work* of each of *strips*, from the first to the last. Only a few strips are in memory at any time."""
    if strips.count == 1:
        yield work(strips.fetch(0))
        return
    count = thread_count()
    under_way: deque[Future[T]] = deque()
    with ThreadPoolExecutor(count, "strips") as pool:
        try:
            for index in range(strips.count):
                under_way.append(pool.submit(work, strips.fetch(index)))
                if len(under_way) >= count + AHEAD:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
