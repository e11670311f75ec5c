"""The queued jobs of both lanes, in the order in which workers take them.

Jobs of the interactive lane are taken by turns of their clients (docs/decisions/fair-shares.md), those of the bulk lane
in the order in which they came.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque


class Queues:
    """Numbers of jobs. A job that a client joins moves from the bulk lane to the interactive one."""

    def __init__(self) -> None:
        self._turns: list[tuple[int, int, int, str]] = []  # turn, order of arrival, job, client
        self._last_turns: dict[str, int] = defaultdict(int)
        self._turn = 0
        self._arrivals = 0
        self._bulk: deque[int] = deque()
        self._moved: set[int] = set()
        self.interactive_length = self.bulk_length = 0

    def add_interactive(self, job: int, client: str) -> None:
        """Queue *job*, for which *client* waits."""
        turn = max(self._turn, self._last_turns[client]) + 1
        self._last_turns[client] = turn
        self._arrivals += 1
        heapq.heappush(self._turns, (turn, self._arrivals, job, client))
        self.interactive_length += 1

    def add_bulk(self, job: int) -> None:
        """Queue *job*, for which nobody waits."""
        self._bulk.append(job)
        self.bulk_length += 1

    def promote(self, job: int, client: str) -> None:
        """Move the bulk *job* to the interactive lane, because *client* waits for it now."""
        self._moved.add(job)
        self.bulk_length -= 1
        self.add_interactive(job, client)

    def take_interactive(self, at_limit: set[str]) -> int | None:
        """Returns the job whose turn it is, without those of clients *at_limit*; None if there is none."""
        passed = []
        found = None
        while self._turns and found is None:
            entry = heapq.heappop(self._turns)
            if entry[3] in at_limit:
                passed.append(entry)
            else:
                found = entry
        for entry in passed:
            heapq.heappush(self._turns, entry)
        if found is None:
            return None
        self._turn = max(self._turn, found[0])
        self.interactive_length -= 1
        return found[2]

    def take_bulk(self) -> int | None:
        """Returns the oldest bulk job, None if there is none."""
        while self._bulk:
            job = self._bulk.popleft()
            if job not in self._moved:
                self.bulk_length -= 1
                return job
            self._moved.discard(job)
        return None
