"""A discrete-event simulation of the queue, the workers and the repository.

A process takes a job, waits for a place at the repository and for memory, then downloads and converts at the same time.
Cores are shared by the conversions of one worker, the repository's bandwidth by all downloads.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.capacity.clock import Clock, SharedUsage
from mezcal.capacity.lanes import Queues
from mezcal.capacity.sharing import Shared
from mezcal.capacity.values import Outcome
from mezcal.capacity.workers import IdleProcesses, SimulatedWorker
from mezcal.jobs.origin_guard import DELAY_SECONDS
from mezcal.runtime.up.worker_parts import split

if TYPE_CHECKING:
    from mezcal.capacity.values import Load, Site, Work


@dataclass(slots=True)
class SimulatedJob:
    """One image that is queued or being made."""

    number: int
    image: int
    lane: str
    client: str = ""
    asked: list[float] = field(default_factory=list)  # when each client that waits for it asked
    running: bool = False
    began: float = 0.0
    parts: int = 0  # download and conversion, while they are not over
    place: tuple[SimulatedWorker, str] | None = None


class Simulation:
    """One run of *load* against *site*. `run` returns what happened."""

    def __init__(self, site: Site, work: Work, load: Load, seed: int = 1) -> None:
        self.site, self.work, self.load = site, work, load
        self._random = random.Random(seed)  # noqa: S311 - the same load for each comparison
        self._clock = Clock()
        self._workers = [SimulatedWorker(self._clock, site) for _ in range(site.workers)]
        self._idle = IdleProcesses(self._workers, site)
        self._origin = SharedUsage(self._clock, Shared(site.bandwidth, site.bandwidth))
        self._queues = Queues()
        self._jobs: dict[int, SimulatedJob] = {}
        self._by_image: dict[int, SimulatedJob] = {}
        self._stored: set[int] = set()
        self._at_origin = self._numbers = self._waiting = 0
        self._running_of: Counter[str] = Counter()
        self._busy: dict[str, float] = defaultdict(float)  # seconds, by the lanes that the processes serve
        self._outcome = Outcome(seconds=load.seconds)

    def run(self) -> Outcome:
        """Simulate the seconds of the load. Returns what happened; jobs that are not over count as queued."""
        for _ in range(self.load.backlog):
            self._add_bulk()
        if self.load.asks:
            self._clock.later(self._random.expovariate(self.load.asks), self._clients_ask)
        for seconds in self.load.at:
            self._clock.later(seconds, self._client_asks)
        if self.load.bulk:
            self._clock.later(self._random.expovariate(self.load.bulk), self._list_names)
        self._dispatch()
        self._clock.run(self.load.seconds)
        return self._summary()

    # --- who asks

    def _clients_ask(self) -> None:
        self._clock.later(self._random.expovariate(self.load.asks), self._clients_ask)
        self._client_asks()

    def _client_asks(self) -> None:
        image = self._random.randrange(self.load.images) if self.load.images else self._new_number()
        if self._random.random() < self.load.hits or image in self._stored:
            self._outcome.hits += 1
        elif self._waiting >= self.site.waiters:
            self._outcome.refused += 1
        else:
            self._wait_for(image, f"client{self._random.randrange(self.load.clients)}")
            self._dispatch()

    def _wait_for(self, image: int, client: str) -> None:
        """Let *client* join the job of *image*, or start it."""
        job = self._by_image.get(image)
        if job is None:
            job = self._add(image, "interactive", client)
            self._queues.add_interactive(job.number, client)
        elif job.lane == "bulk" and not job.running:
            job.lane, job.client = "interactive", client
            self._queues.promote(job.number, client)
        else:
            self._outcome.joined += 1
        asked = self._clock.now
        job.asked.append(asked)
        self._count_waiting(1)
        self._clock.later(self.site.wait_seconds, lambda: self._expire(job, asked))

    def _expire(self, job: SimulatedJob, asked: float) -> None:
        """Answer 503 to a client that still waits."""
        if asked in job.asked:
            job.asked.remove(asked)
            self._count_waiting(-1)
            self._outcome.expired += 1
            self._outcome.waits.append(self.site.wait_seconds)

    def _count_waiting(self, change: int) -> None:
        self._waiting += change
        self._outcome.most_waiting = max(self._outcome.most_waiting, self._waiting)

    def _list_names(self) -> None:
        self._clock.later(self._random.expovariate(self.load.bulk), self._list_names)
        self._add_bulk()
        self._dispatch()

    def _add_bulk(self) -> None:
        self._queues.add_bulk(self._add(-self._new_number(), "bulk").number)

    def _add(self, image: int, lane: str, client: str = "") -> SimulatedJob:
        job = SimulatedJob(self._new_number(), image, lane, client)
        self._jobs[job.number] = self._by_image[image] = job
        return job

    def _new_number(self) -> int:
        self._numbers += 1
        return self._numbers

    # --- what workers do

    def _dispatch(self) -> None:
        """Let idle processes take jobs, as long as there are both."""
        while (lane := self._next_lane()) is not None:
            number = self._queues.take_interactive(self._at_limit()) if lane == "interactive" else None
            if number is None:
                number = self._queues.take_bulk() if self._idle.for_lane("bulk") else None
            if number is None:
                break
            self._begin(self._jobs[number])
        length = self._queues.interactive_length + self._queues.bulk_length
        self._outcome.longest_queue = max(self._outcome.longest_queue, length)

    def _next_lane(self) -> str | None:
        """Returns the lane from which an idle process takes its next job; None if no process can take one."""
        lengths = {"interactive": self._queues.interactive_length, "bulk": self._queues.bulk_length}
        return next((lane for lane, length in lengths.items() if length and self._idle.for_lane(lane)), None)

    def _at_limit(self) -> set[str]:
        """Returns the clients that have their share of all processes already."""
        if self.site.share >= 1 or self._queues.interactive_length == 0:
            return set()
        most = max(1, math.floor(self.site.share * self.site.workers * self.site.processes))
        return {client for client, running in self._running_of.items() if running >= most}

    def _begin(self, job: SimulatedJob) -> None:
        kind = self._idle.for_lane(job.lane)
        assert kind is not None
        worker = self._idle.take(kind)
        job.running, job.place, job.began = True, (worker, kind), self._clock.now
        self._running_of[job.client] += 1
        if self.site.places and self._at_origin >= self.site.places:
            self._clock.later(0, lambda: self._delay(job))
            return
        self._at_origin += 1
        worker.reserve(job.lane, self.work.memory, lambda: self._work_on(job, worker))

    def _delay(self, job: SimulatedJob) -> None:
        """Give back the process: the job comes again when the repository may have a place."""
        self._free_process(job)
        job.running = False
        self._clock.later(self._random.uniform(*DELAY_SECONDS), lambda: self._queue_again(job))
        self._dispatch()

    def _queue_again(self, job: SimulatedJob) -> None:
        if job.lane == "interactive":
            self._queues.add_interactive(job.number, job.client)
        else:
            self._queues.add_bulk(job.number)
        self._dispatch()

    def _work_on(self, job: SimulatedJob, worker: SimulatedWorker) -> None:
        """Download and convert at the same time."""
        job.parts = 2
        size, cpu = self._drawn(self.work.master), self._drawn(self.work.cpu)

        def begin() -> None:
            self._origin.add(size, over)
            worker.cpu.add(cpu, over)

        def over() -> None:
            self._part_over(job)

        self._clock.later(self._drawn(self.work.latency), begin)

    def _drawn(self, mean: float) -> float:
        """Returns a value of a log-normal distribution with this mean and the spread of the work."""
        if self.work.spread == 0:
            return mean
        variance = math.log(1 + self.work.spread**2)
        return self._random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance)) if mean else 0.0

    def _part_over(self, job: SimulatedJob) -> None:
        job.parts -= 1
        if job.parts == 0:
            self._at_origin -= 1
            self._clock.later(self.work.overhead, lambda: self._finish(job))

    def _finish(self, job: SimulatedJob) -> None:
        worker, _ = self._free_process(job)
        worker.give_back(self.work.memory)
        del self._jobs[job.number], self._by_image[job.image]
        self._stored.add(job.image)
        self._outcome.made += 1
        self._outcome.made_bulk += job.lane == "bulk"
        self._outcome.waits += [self._clock.now - asked for asked in job.asked]
        self._count_waiting(-len(job.asked))
        job.asked = []
        self._dispatch()

    def _free_process(self, job: SimulatedJob) -> tuple[SimulatedWorker, str]:
        assert job.place is not None
        worker, kind = job.place
        self._idle.give_back(kind, worker)
        self._running_of[job.client] -= 1
        self._busy[kind] += self._clock.now - job.began
        return worker, kind

    def _summary(self) -> Outcome:
        """Returns the outcome, with the fractions of everything that was in use."""
        now = self._clock.now
        for job in self._jobs.values():
            if job.running and job.place is not None:
                self._busy[job.place[1]] += now - job.began
        cores = sum(worker.cpu.shared.taken(now) for worker in self._workers)
        self._outcome.queued_at_end = self._queues.interactive_length + self._queues.bulk_length
        self._outcome.unfinished = len(self._jobs)
        self._outcome.busy = {
            "processes": sum(self._busy.values()) / (now * self.site.workers * self.site.processes),
            "bulk": self._busy["all"]
            / (now * self.site.workers * split(self.site.processes, self.site.reserve)["all"]),
            "cores": cores / (now * self.site.workers * self.site.cores),
            "repository": self._origin.shared.taken(now) / (now * self.site.bandwidth),
        }
        return self._outcome
