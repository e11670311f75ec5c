"""What an installation needs for a load, and which part gives way first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mezcal.capacity.simulated import Simulation

if TYPE_CHECKING:
    from mezcal.capacity.values import Load, Outcome, Site, Work

DAY = 86_400
# Measured on one core of a server with two (docs/capacity.md).
NGINX_HITS = 20_000  # a second and core
REDIS_JOB_SECONDS = 0.0015  # of Redis' one core, for a job with its messages and its history
REDIS_WORKER_SECONDS = 0.002  # in each second, for the heartbeats and the housekeeping of a worker
FULL = 0.95  # of a part: beyond this, waits grow without end
WORKERS_MOST = 4096


@dataclass(frozen=True, slots=True)
class CapacityEstimate:
    """The outcome of a simulation, and figures that follow from the rates alone."""

    outcome: Outcome
    parts: dict[str, float]  # each part, and the fraction of it that is in use
    images_per_second: float
    disk_per_day: float  # bytes of new derivatives
    redis_cores: float  # of the one that it has

    @property
    def first(self) -> str:
        """The part that gives way first as the load grows: of those that are full, the one that holds up the others."""
        full = (part for part, use in self.parts.items() if use > FULL)
        return next(full, max(self.parts, key=lambda part: self.parts[part]))


def estimate(site: Site, work: Work, load: Load, seed: int = 1) -> CapacityEstimate:
    """Simulate *load* and return what it takes."""
    outcome = Simulation(site, work, load, seed).run()
    made = outcome.made / outcome.seconds
    asked = load.asks * max(outcome.hits, 0) / max(outcome.hits + len(outcome.waits) + outcome.refused, 1)
    redis = made * REDIS_JOB_SECONDS + site.workers * REDIS_WORKER_SECONDS
    parts = {  # those come first that hold up the later ones
        "Redis": redis,
        "one core of nginx": asked / NGINX_HITS,
        "the repository's bandwidth": outcome.busy["repository"],
        "cores of workers": outcome.busy["cores"],
        "memory of workers": outcome.busy["memory"],
        "processes of workers": outcome.busy["processes"],
        "processes that take bulk jobs": outcome.busy["bulk"],
        "waiting places of the API": outcome.most_waiting / site.waiters,
    }
    return CapacityEstimate(outcome, parts, made, made * work.derivative * DAY, redis)


def workers_needed(site: Site, work: Work, load: Load, wait: float) -> int | None:
    """Returns how many workers keep 19 of 20 waits below *wait* seconds; None if no number does.

    None means that another part, most often the repository, holds the jobs up.
    """
    least, most = 0, 1
    while not _suffices(replace(site, workers=most), work, load, wait):
        least, most = most, 2 * most
        if most > WORKERS_MOST:
            return None
    while most - least > 1:
        middle = (least + most) // 2
        if _suffices(replace(site, workers=middle), work, load, wait):
            most = middle
        else:
            least = middle
    return most


def _suffices(site: Site, work: Work, load: Load, wait: float) -> bool:
    outcome = Simulation(site, work, load).run()
    keeps_up = outcome.unfinished <= load.backlog + 2 * (load.asks + load.bulk) * wait + 1
    return keeps_up and outcome.wait(0.95) <= wait and not outcome.refused
