"""The workers of a simulation: their processes, their cores and their memory."""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from mezcal.capacity.simulated.clock import SharedUsage
from mezcal.capacity.simulated.sharing import Shared
from mezcal.runtime.up.worker_parts import split

if TYPE_CHECKING:
    from mezcal.capacity.simulated.clock import Action, Clock
    from mezcal.capacity.values import Site

RANKS = {"interactive": 0, "bulk": 1}  # the lower one gets memory first
PATIENCE = 120.0  # seconds that a job waits for memory, before it gives back its process


class SimulatedWorker:
    """The cores and the memory of one worker, which its processes share."""

    def __init__(self, clock: Clock, site: Site) -> None:
        self.cpu = SharedUsage(clock, Shared(site.cores, 1.0))
        self._clock = clock
        self._memory = self._all_memory = site.memory
        self._byte_seconds = self._changed = 0.0
        self._waiting: list[tuple[int, int, int]] = []  # rank, order, bytes
        self._actions: dict[int, Action] = {}  # what follows, by the order
        self._order = 0

    def reserve(self, lane: str, size: int, action: Action, give_up: Action) -> None:
        """Run *action* when *size* bytes are free for a job of *lane*, or *give_up* if that takes too long.

        Small jobs do not overtake large ones.
        """
        self._order += 1
        order = self._order
        self._actions[order] = action
        heapq.heappush(self._waiting, (RANKS[lane], order, size))
        self._admit()
        if order in self._actions:
            self._clock.later(PATIENCE, lambda: self._drop(order, give_up))

    def give_back(self, size: int) -> None:
        """Give back *size* bytes."""
        self._change(size)
        self._admit()

    def byte_seconds(self) -> float:
        """Returns the bytes that were reserved until now, each times its seconds."""
        self._change(0)
        return self._byte_seconds

    def _change(self, size: int) -> None:
        now = self._clock.now
        self._byte_seconds += (self._all_memory - self._memory) * (now - self._changed)
        self._changed = now
        self._memory += size

    def _drop(self, order: int, give_up: Action) -> None:
        if self._actions.pop(order, None) is not None:
            give_up()
            self._admit()

    def _admit(self) -> None:
        while self._waiting:
            _, order, size = self._waiting[0]
            action = self._actions.get(order)
            if action is not None and size > self._memory:
                return
            heapq.heappop(self._waiting)
            if action is not None:
                del self._actions[order]
                self._change(-size)
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
