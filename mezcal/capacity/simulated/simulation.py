"""One run of a load against an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.capacity.simulated.clients import SimulatedClients
from mezcal.capacity.simulated.clock import EVENTS_MOST, TooManyEvents
from mezcal.capacity.simulated.context import SimulationContext
from mezcal.capacity.simulated.processes import SimulatedProcesses
from mezcal.runtime.up.worker_parts import split

if TYPE_CHECKING:
    from mezcal.capacity.values import Load, Outcome, Site, Work

EVENTS_OF_JOB = 4  # at least, of one that a client asks for


class Simulation:
    """One run of *load* against *site*. `run` returns what happened."""

    def __init__(self, site: Site, work: Work, load: Load, seed: int = 1) -> None:
        self.context = SimulationContext(site, work, load, seed)
        self.clients = SimulatedClients(self.context)
        self.processes = SimulatedProcesses(self.context, self.clients)
        self.clients.on_asked = self.context.jobs.on_queued = self.processes.dispatch

    def run(self) -> Outcome:
        """Simulate the seconds of the load. Returns what happened; jobs that are not over count as queued.

        Raises `TooManyEvents`.
        """
        load = self.context.load
        jobs = (load.asks * (1 - load.hits) + load.bulk) * load.seconds
        if jobs * EVENTS_OF_JOB > EVENTS_MOST:
            raise TooManyEvents(load.seconds * EVENTS_MOST / (jobs * EVENTS_OF_JOB))
        self.clients.begin()
        if load.bulk:
            self._name_later()
        if load.failing or load.outage[1]:
            self.processes.probe()
        self.processes.dispatch()
        self.context.clock.run(load.seconds)
        return self._summary()

    def _name_later(self) -> None:
        self.context.clock.later(self.context.random.expovariate(self.context.load.bulk), self._name)

    def _name(self) -> None:
        """Queue an image that a list or an event names, and go on."""
        self._name_later()
        self.context.jobs.start_bulk()
        self.processes.dispatch()

    def _summary(self) -> Outcome:
        """Returns the outcome, with the fractions of everything that was in use."""
        site, jobs, outcome, now = self.context.site, self.context.jobs, self.context.outcome, self.context.now
        busy, workers = self.processes.busy_seconds(), self.processes.workers
        memory = site.memory // self.context.work.memory * self.context.work.memory  # what conversions can have
        outcome.queued_at_end, outcome.delayed_at_end = jobs.queued, jobs.delayed
        outcome.unfinished = len(jobs.by_number) + jobs.backlog
        outcome.busy = {
            "processes": sum(busy.values()) / (now * site.workers * site.processes),
            "bulk": busy.get("all", 0.0) / (now * site.workers * split(site.processes, site.reserve)["all"]),
            "memory": sum(worker.byte_seconds() for worker in workers) / (now * site.workers * memory),
            "cores": sum(worker.cpu.shared.taken(now) for worker in workers) / (now * site.workers * site.cores),
            "repository": self.context.repository.usage.shared.taken(now) / (now * site.bandwidth),
        }
        return outcome
