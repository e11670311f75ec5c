"""Keeps a pool process near the memory that its conversion was granted, whatever a decoder does.

The conversions say what they need (`memory_budget`), by rules for each format. Where a rule is wrong, the kernel
refuses further memory: the soft limit RLIMIT_DATA counts all private memory that may be written, used or not.
docs/decisions/memory-wall.md has what was measured.
"""

from __future__ import annotations

import mmap
import resource
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.errors import OutOfMemory, Undecodable
from mezcal.runtime.memory_budget import MIB, STREAMING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNUSED_RATIO = 1.6  # decoders take up to so many bytes for each one that they use: libwebp's are the most
MARGIN = 128 * MIB  # stacks of threads, of which each counts with 8 MB, and what libraries set aside
STATM = Path("/proc/self/statm")
RESIDENT, DATA = 1, 5  # the numbers in STATM that count the pages in memory, and those of data


@contextmanager
def memory_wall(reserve: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """Limit this process while the block runs: to what it has, what it was granted, plus a margin.

    Yields *reserve*, which raises the limit to what it grants; before that, `STREAMING` is granted. A decoder that
    takes more fails. Raises `OutOfMemory` instead of `Undecodable` if the system refuses what was granted.
    """
    limits, idle, granted = resource.getrlimit(resource.RLIMIT_DATA), data_bytes(), STREAMING

    def reserve_within(needed: int) -> None:
        nonlocal granted
        reserve(needed)
        granted = max(needed, STREAMING)
        _limit(idle, granted, limits)

    _limit(idle, granted, limits)
    try:
        yield reserve_within
    except Undecodable as error:
        resource.setrlimit(resource.RLIMIT_DATA, limits)
        if not _is_available(granted):  # some decoders give no reason when they get no memory
            raise OutOfMemory(f"the system has less memory than was granted, and the decoder says: {error}") from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def data_bytes() -> int:
    """Returns the bytes of this process that RLIMIT_DATA counts, 0 if the system does not report it."""
    return _bytes_of(DATA)


def resident_bytes() -> int:
    """Returns the bytes of memory that this process holds, 0 if the system does not report it."""
    return _bytes_of(RESIDENT)


def _bytes_of(number: int) -> int:
    with suppress(OSError):
        return int(STATM.read_bytes().split()[number]) * resource.getpagesize()
    return 0


def _limit(idle: int, granted: int, limits: tuple[int, int]) -> None:
    """Set the soft limit, but not above the one of *limits*. Other systems than Linux keep theirs."""
    soft, hard = limits
    wall = idle + round(granted * UNUSED_RATIO) + MARGIN
    if idle:
        resource.setrlimit(resource.RLIMIT_DATA, (wall if soft == resource.RLIM_INFINITY else min(soft, wall), hard))


def _is_available(size: int) -> bool:
    """Returns True if this process can get so much memory. None of it is used."""
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True
