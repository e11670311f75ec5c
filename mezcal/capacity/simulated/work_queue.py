"""The jobs of a simulation that are not over, and what is known of images that were made or failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.capacity.simulated.lanes import Queues

if TYPE_CHECKING:
    import random

    from mezcal.capacity.simulated.clock import Action, Clock
    from mezcal.capacity.simulated.workers import SimulatedWorker

HOUSEKEEPING_SECONDS = 2.0  # from one look of a worker at the jobs that are due to the next
RELEASED_EACH = 0.05  # seconds: jobs that are tried again after an outage come one after the other


@dataclass(slots=True)
class SimulatedJob:
    """One image that is queued, running or delayed."""

    number: int
    image: int
    lane: str
    client: str = ""
    state: str = "queued"
    waits: list[tuple[float, str]] = field(default_factory=list)  # when each client asked that waits for it, and which
    attempts: int = 0
    due: float = 0.0  # when a delayed job is queued again
    began: float = 0.0
    guarded: bool = False
    parts: int = 0  # download and conversion, while they are not over
    place: tuple[SimulatedWorker, str] | None = None


class SimulatedJobs:
    """The job table of a simulation. *looks* are how many times in 2 s a worker looks for jobs that are due."""

    def __init__(self, clock: Clock, chance: random.Random, backlog: int, looks: int) -> None:
        self._clock, self._random, self._looks = clock, chance, looks
        self.queues = Queues()
        self.backlog = backlog  # bulk jobs of the beginning that no process has taken: they need no object each
        self.by_number: dict[int, SimulatedJob] = {}
        self.by_image: dict[int, SimulatedJob] = {}
        self.stored: set[int] = set()
        self.latencies: dict[int, float] = {}  # of the repository, where they are given, by the image
        self.refused_until: dict[int, float] = {}  # by the image
        self.on_queued: Action = lambda: None
        self._stalled: set[int] = set()  # delayed because the repository failed them
        self._numbers = 0

    @property
    def queued(self) -> int:
        """Returns how many jobs are queued in both lanes."""
        return self.queues.interactive_length + self.queued_bulk

    @property
    def queued_bulk(self) -> int:
        """Returns how many jobs of the bulk lane are queued."""
        return self.queues.bulk_length + self.backlog

    @property
    def delayed(self) -> int:
        """Returns how many jobs wait for their next attempt."""
        return sum(job.state == "delayed" for job in self.by_number.values())

    def new_number(self) -> int:
        """Returns a number that no other job and no other image has."""
        self._numbers += 1
        return self._numbers

    def start(self, image: int, client: str) -> SimulatedJob:
        """Queue a job of *image*, for which *client* waits."""
        job = self._add(image, "interactive", client)
        self.queues.add_interactive(job.number, client)
        return job

    def start_bulk(self) -> None:
        """Queue a job of an image that a list or an event names."""
        self.queues.add_bulk(self._add(-self.new_number(), "bulk").number)

    def move_ahead(self, job: SimulatedJob, client: str) -> None:
        """Queue *job* in the interactive lane, because *client* waits for it."""
        was_queued, job.lane, job.client, job.state = job.state == "queued", "interactive", client, "queued"
        if was_queued:
            self.queues.promote(job.number, client)
        else:
            self.queues.add_interactive(job.number, client)

    def take(self, lane: str, at_limit: set[str]) -> SimulatedJob | None:
        """Returns the job of *lane* that is next, without those of clients *at_limit*; None if there is none."""
        if lane == "interactive":
            number = self.queues.take_interactive(at_limit)
        elif self.backlog:
            self.backlog -= 1
            return self._add(-self.new_number(), "bulk")
        else:
            number = self.queues.take_bulk()
        return None if number is None else self.by_number[number]

    def delay(self, job: SimulatedJob, seconds: float, *, stalled: bool = False) -> None:
        """Queue *job* again after *seconds*. It is *stalled* if the repository failed it."""
        job.state, job.due = "delayed", self._clock.now + seconds
        if stalled:
            self._stalled.add(job.number)
        look = self._random.uniform(0, HOUSEKEEPING_SECONDS / self._looks)
        self._clock.later(seconds + look, lambda: self._queue_if_due(job))

    def release(self) -> None:
        """Have the jobs that the repository failed tried again soon: it is back."""
        seconds = 0.0
        for number in sorted(self._stalled):
            job = self.by_number.get(number)
            if job is not None and job.state == "delayed":
                seconds += RELEASED_EACH
                self.delay(job, min(seconds, job.due - self._clock.now))
        self._stalled.clear()

    def end(self, job: SimulatedJob) -> None:
        """Remove *job*: it is over."""
        del self.by_number[job.number]
        del self.by_image[job.image]
        self._stalled.discard(job.number)

    def _add(self, image: int, lane: str, client: str = "") -> SimulatedJob:
        job = SimulatedJob(self.new_number(), image, lane, client)
        self.by_number[job.number] = self.by_image[image] = job
        return job

    def _queue_if_due(self, job: SimulatedJob) -> None:
        if job.state != "delayed" or job.due > self._clock.now:
            return
        job.state = "queued"
        if job.lane == "interactive":
            self.queues.add_interactive(job.number, job.client)
        else:
            self.queues.add_bulk(job.number)
        self.on_queued()
