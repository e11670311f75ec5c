"""A process that takes memory of a budget as a pool process does, for the tests: it ends on request.

    python -m tests.unit.runtime.memory_actor DESCRIPTOR TOTAL LOG NAME RANK BYTES..

For each of BYTES it writes `NAME asks BYTES`, then `NAME has BYTES held-by-all`, and gives it back on a line of its
standard input, which it also awaits at the end.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mezcal.errors import TooLarge
from mezcal.runtime.memory_budget import MemoryBudget


def most_held(budget: MemoryBudget) -> int:
    """Returns the most memory that all held at the same time."""
    return max(budget.held() for _ in range(20))


def main(descriptor: str, total: str, log: str, name: str, rank: str, *sizes: str) -> None:
    budget = MemoryBudget(int(total), int(descriptor))

    def say(what: str) -> None:
        with Path(log).open("a") as file:
            file.write(f"{name} {what}\n")

    for size in map(int, sizes):
        say(f"asks {size}")
        with budget.share(int(rank), lambda _seconds: None) as take:
            try:
                take(size)
            except TooLarge:
                say(f"refused {size}")
                continue
            say(f"has {size} {most_held(budget)}")
            if not sys.stdin.readline():
                return
        say(f"back {size}")


if __name__ == "__main__":
    main(*sys.argv[1:])
