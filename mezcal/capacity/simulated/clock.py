"""The clock of a simulation: what happens next, and when."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.capacity.simulated.sharing import Shared

Action = Callable[[], None]
EVENTS_MOST = 1_000_000  # of one simulation: about five seconds


class TooManyEvents(Exception):
    """The simulation would take too long. *seconds* are those that it has simulated."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{EVENTS_MOST:,} events in {seconds:g} s")
        self.seconds = seconds


class Clock:
    """Runs actions in the order of their times, in seconds from 0."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Action]] = []
        self._order = 0

    def later(self, seconds: float, action: Action) -> None:
        """Run *action* after *seconds*."""
        self._order += 1
        heapq.heappush(self._events, (self.now + seconds, self._order, action))

    def run(self, until: float) -> None:
        """Run all actions up to the time *until*. Raises `TooManyEvents`."""
        while self._events and self._events[0][0] <= until:
            self.now, _, action = heapq.heappop(self._events)
            action()
            if self._order > EVENTS_MOST:
                raise TooManyEvents(self.now)
        self.now = until


class SharedUsage:
    """The users of a `Shared`, each with the action that follows when it has enough."""

    def __init__(self, clock: Clock, shared: Shared) -> None:
        self._clock, self.shared = clock, shared
        self._actions: dict[int, Action] = {}
        self._users = self._version = 0

    def add(self, amount: float, action: Action) -> None:
        """Take *amount* units from now on, then run *action*."""
        self._users += 1
        self._actions[self._users] = action
        self.shared.add(self._clock.now, self._users, amount)
        self._expect()

    def _expect(self) -> None:
        """Come back when the next user has enough, unless users change before that."""
        self._version += 1
        version, end = self._version, self.shared.next_end()
        if end is not None:
            self._clock.later(max(end - self._clock.now, 0.0), lambda: self._end(version))

    def _end(self, version: int) -> None:
        if version != self._version:
            return
        action = self._actions.pop(self.shared.pop(self._clock.now))
        self._expect()
        action()
