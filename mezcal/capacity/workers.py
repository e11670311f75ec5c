"""The workers of a simulation: their processes, their cores and their memory."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from mezcal.capacity.clock import SharedUsage
from mezcal.capacity.sharing import Shared
from mezcal.runtime.up.worker_parts import split

if TYPE_CHECKING:
    from mezcal.capacity.clock import Action, Clock
    from mezcal.capacity.values import Site

RANKS = {"interactive": 0, "bulk": 1}  # the lower one gets memory first


class SimulatedWorker:
    """The cores and the memory of one worker, which its processes share."""

    def __init__(self, clock: Clock, site: Site) -> None:
        self.cpu = SharedUsage(clock, Shared(site.cores, 1.0))
        self._memory = site.memory
        self._waiting: list[tuple[int, int, int, Action]] = []  # rank, order, bytes, what follows
        self._order = 0

    def reserve(self, lane: str, size: int, action: Action) -> None:
        """Run *action* when *size* bytes are free for a job of *lane*. Small jobs do not overtake large ones."""
        self._order += 1
        heapq.heappush(self._waiting, (RANKS[lane], self._order, size, action))
        self._admit()

    def give_back(self, size: int) -> None:
        """Give back *size* bytes."""
        self._memory += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._waiting[0][2] <= self._memory:
            _, _, size, action = heapq.heappop(self._waiting)
            self._memory -= size
            action()


class IdleProcesses:
    """The idle processes of all workers, by the lanes that they serve; the one that is idle longest is taken first."""

    def __init__(self, workers: list[SimulatedWorker], site: Site) -> None:
        shares = {"interactive": 0} | split(site.processes, site.reserve)
        self._idle = {kind: deque(workers * count) for kind, count in shares.items()}

    def for_lane(self, lane: str) -> str | None:
        """Returns a kind of idle process that serves *lane*, a reserved one first; None if there is none."""
        kinds = ("interactive", "all") if lane == "interactive" else ("all",)
        return next((kind for kind in kinds if self._idle[kind]), None)

    def take(self, kind: str) -> SimulatedWorker:
        """Returns the worker of the process of this *kind* that is taken now."""
        return self._idle[kind].popleft()

    def give_back(self, kind: str, worker: SimulatedWorker) -> None:
        """Let a process of *worker* be idle again."""
        self._idle[kind].append(worker)
