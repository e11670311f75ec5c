"""The clients of a simulation: who asks when, who waits, and what each is answered."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mezcal.capacity.simulated.clock import Action
    from mezcal.capacity.simulated.context import SimulationContext
    from mezcal.capacity.simulated.work_queue import SimulatedJob

PRESENT_SECONDS = 5.0  # clients that have asked within this time count as present (common.lua)


class SimulatedClients:
    """Asks for images, and counts the answers in *outcome*."""

    def __init__(self, context: SimulationContext) -> None:
        self._clock, self._site, self._load, self._random = context.clock, context.site, context.load, context.random
        self._jobs, self._repository, self._outcome = context.jobs, context.repository, context.outcome
        load = context.load
        self._misses = load.asks * (1 - load.hits)
        self._waiting = 0
        self._places: Counter[str] = Counter()  # that each client has
        self._last_asked: dict[str, float] = {}
        self.on_asked: Action = lambda: None

    def begin(self) -> None:
        """Let clients ask from now on. Those whose image is in the cache from the beginning are only counted."""
        self._outcome.hits += round(self._load.asks * self._load.hits * self._load.seconds)
        if self._misses:
            self._clock.later(self._random.expovariate(self._misses), self._ask_and_go_on)
        for seconds, latency in zip_longest(self._load.at, self._load.latencies):
            image = self._jobs.new_number()
            if latency is not None:
                self._jobs.latencies[image] = latency
            self._clock.later(seconds, partial(self.ask, image, self._any_client()))

    def present(self, apart_from: str) -> int:
        """Returns how many other clients have asked lately."""
        since = self._clock.now - PRESENT_SECONDS
        for client in [client for client, asked in self._last_asked.items() if asked < since]:
            del self._last_asked[client]
        return len(self._last_asked) - (apart_from in self._last_asked)

    def ask(self, image: int, client: str) -> None:
        """Let *client* ask for *image*: join its job, or start it."""
        self._last_asked[client] = self._clock.now
        job = self._jobs.by_image.get(image)
        if image in self._jobs.stored:
            self._outcome.hits += 1
        elif not self._has_place(client):
            self._outcome.refused += 1
        elif self._jobs.refused_until.get(image, 0.0) > self._clock.now:
            self._outcome.failed += 1
        elif self._repository.circuit.pause(self._clock.now) > 0 and (job is None or job.state != "running"):
            self._outcome.paused += 1
        else:
            self._wait_for(image, job, client)
            self.on_asked()

    def answer(self, job: SimulatedJob) -> None:
        """Send the image of *job* to those who wait for it."""
        self._outcome.waits += [self._clock.now - asked for asked, _ in job.waits]
        self._forget(job)

    def answer_failed(self, job: SimulatedJob) -> None:
        """Answer 502 to those who wait for *job*."""
        self._outcome.failed += len(job.waits)
        self._forget(job)

    def answer_paused(self, job: SimulatedJob) -> None:
        """Answer 503 to those who wait for *job*: the repository gets no requests now."""
        self._outcome.paused += len(job.waits)
        self._forget(job)

    def _ask_and_go_on(self) -> None:
        self._clock.later(self._random.expovariate(self._misses), self._ask_and_go_on)
        self._ask_for_another()

    def _ask_for_another(self) -> None:
        images = self._load.images
        image = self._random.randrange(images) if images else self._jobs.new_number()
        self.ask(image, self._any_client())

    def _any_client(self) -> str:
        return f"client{self._random.randrange(self._load.clients)}"

    def _has_place(self, client: str) -> bool:
        """Returns True unless all places are taken, or *client* has its share of its own and the free ones."""
        free, own = self._site.waiters - self._waiting, self._places[client]
        return free > 0 and (own == 0 or own + 1 <= int(self._site.share * (own + free)))

    def _wait_for(self, image: int, job: SimulatedJob | None, client: str) -> None:
        if job is None:
            job = self._jobs.start(image, client)
        elif job.state == "delayed" or (job.state == "queued" and job.lane == "bulk"):
            self._jobs.move_ahead(job, client)
        else:
            job.lane = "interactive"
            self._outcome.joined += 1
        self._waiting += 1
        self._places[client] += 1
        self._outcome.most_waiting = max(self._outcome.most_waiting, self._waiting)
        joined, wait = job, (self._clock.now, client)
        joined.waits.append(wait)
        self._clock.later(self._site.wait_seconds, lambda: self._expire(joined, wait))

    def _expire(self, job: SimulatedJob, wait: tuple[float, str]) -> None:
        """Answer 503 to a client that still waits."""
        if wait in job.waits:
            job.waits.remove(wait)
            self._free(wait[1])
            self._outcome.expired += 1
            self._outcome.waits.append(self._site.wait_seconds)

    def _forget(self, job: SimulatedJob) -> None:
        for _, client in job.waits:
            self._free(client)
        job.waits = []

    def _free(self, client: str) -> None:
        self._waiting -= 1
        self._places[client] -= 1
        if not self._places[client]:
            del self._places[client]
