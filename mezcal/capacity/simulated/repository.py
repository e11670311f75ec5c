"""The repository of a simulation: its bandwidth, its places, its failures, and the guard in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.capacity.simulated.circuit import SimulatedCircuit
from mezcal.capacity.simulated.clock import SharedUsage
from mezcal.capacity.simulated.sharing import Shared
from mezcal.jobs.origin_guard import PLACE_SECONDS, POLL_SECONDS
from mezcal.jobs.state.policy import JobPolicy
from mezcal.origin.retries import FIRST_PAUSE

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from mezcal.capacity.simulated.clock import Action, Clock
    from mezcal.capacity.values import Load, Site

RETRIES = 2  # ORIGIN_RETRIES


class SimulatedRepository:
    """What a job meets at the repository."""

    def __init__(self, clock: Clock, site: Site, load: Load, chance: random.Random) -> None:
        self._clock, self._load, self._random = clock, load, chance
        self._places, self._taken = site.places, 0
        self._waiting: list[int] = []  # for a place; each with the number of its wait
        self._turns: dict[int, Action] = {}
        self._waits = 0
        self.usage = SharedUsage(clock, Shared(site.bandwidth, site.bandwidth))
        self.circuit = SimulatedCircuit(JobPolicy())

    def is_guarded(self) -> bool:
        """Returns True if a job that begins now has to ask for a place."""
        return bool(self._places) or self.circuit.is_suspect(self._clock.now)

    def enter(self, admitted: Action, paused: Callable[[float], None], full: Action) -> None:
        """Wait for a place, as long as a job does. *paused* gets the seconds for which there are no requests."""
        self._enter(admitted, paused, full, self._clock.now + PLACE_SECONDS)

    def _enter(self, admitted: Action, paused: Callable[[float], None], full: Action, deadline: float) -> None:
        left = self.circuit.admission_pause(self._clock.now)
        if left > 0:
            paused(left)
        elif not self._places or self._taken < self._places:
            self._taken += 1
            self.circuit.note_admitted(self._clock.now)
            admitted()
        else:
            self._wait(lambda: self._enter(admitted, paused, full, deadline), full, deadline)

    def leave(self) -> None:
        """Free a place. One of those who wait notices it at its next look."""
        self._taken -= 1
        if self._waiting:
            chosen = self._waiting.pop(self._random.randrange(len(self._waiting)))
            action = self._turns.pop(chosen)
            self._clock.later(self._random.uniform(0, POLL_SECONDS), action)

    def request(self, latency: Callable[[], float], answered: Action, failed: Action) -> None:
        """Ask for a master, and ask again as a job does while the repository fails. Each answer takes *latency*."""

        def ask(retries: int, pause: float) -> None:
            self._clock.later(latency(), lambda: answer(retries, pause))

        def answer(retries: int, pause: float) -> None:
            if not self.fails():
                answered()
            elif retries == 0:
                failed()
            else:
                self._clock.later(self._random.uniform(pause / 2, pause), lambda: ask(retries - 1, 2 * pause))

        ask(RETRIES, FIRST_PAUSE)

    def _wait(self, again: Action, full: Action, deadline: float) -> None:
        self._waits += 1
        number = self._waits
        self._waiting.append(number)
        self._turns[number] = again

        def give_up() -> None:
            if number in self._turns:
                del self._turns[number]
                self._waiting.remove(number)
                full()

        self._clock.later(max(deadline - self._clock.now, 0.0), give_up)

    def fails(self) -> bool:
        """Returns True if the repository fails a request that it answers now."""
        begins, ends = self._load.outage
        return begins <= self._clock.now < ends or self._random.random() < self._load.failing
