"""Converts a master in a process with little memory. Run as a program; prints the class of the failure, or `made`.

Arguments: the master, and who limits the memory: `wall` leaves the decoder less than was granted, `system` is a
limit of the address space, as `ulimit -v` sets it.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from mezcal.convert import ConversionContext, convert
from mezcal.errors import Failure, OutOfMemory, is_out_of_memory
from mezcal.recipe import ThumbnailOptions
from mezcal.runtime import memory_wall
from mezcal.runtime.memory_budget import MIB

ROOM = 40 * MIB  # less than any master of the test takes, and enough to start


def make(master: Path, context: ConversionContext) -> None:
    target = master.with_suffix(".out")
    with master.open("rb") as file:
        if master.suffix != ".fits":
            convert(file, target, context)
            return
        from mezcal.convert.fits.thumbnail import draw  # noqa: PLC0415 - as in `derive`

        draw([file], target, ThumbnailOptions.parse({}), context)


def limited(by: str) -> None:
    if by == "system":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        size = pages * resource.getpagesize() + ROOM
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    elif by == "wall":
        memory_wall.MARGIN, memory_wall.UNUSED_RATIO = 0, ROOM / memory_wall.STREAMING


def outcome(master: Path, by: str) -> str:
    small = master.with_name("small" + master.suffix)
    make(small, ConversionContext())  # imports, and what libraries take once
    limited(by)
    try:
        with memory_wall.memory_wall(lambda _needed: None) as reserve_memory:
            make(master, ConversionContext(reserve_memory=reserve_memory))
    except Failure as failure:
        return failure.slug
    except Exception as error:
        if is_out_of_memory(error):
            return OutOfMemory.slug
        raise
    return "made"


if __name__ == "__main__":
    print(outcome(Path(sys.argv[1]), sys.argv[2]))
