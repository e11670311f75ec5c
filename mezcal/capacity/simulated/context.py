"""What all parts of one simulation have in common."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from mezcal.capacity.simulated.clock import Clock
from mezcal.capacity.simulated.repository import SimulatedRepository
from mezcal.capacity.simulated.work_queue import SimulatedJobs
from mezcal.capacity.values import Outcome

if TYPE_CHECKING:
    from mezcal.capacity.values import Load, Site, Work


class SimulationContext:
    """The given values, the clock, chance, the jobs, the repository, and the outcome that grows."""

    def __init__(self, site: Site, work: Work, load: Load, seed: int) -> None:
        self.site, self.work, self.load = site, work, load
        self.clock = Clock()
        self.random = random.Random(seed)  # noqa: S311 - the same load for each comparison
        self.jobs = SimulatedJobs(self.clock, self.random, load.backlog, looks=site.workers)
        self.repository = SimulatedRepository(self.clock, site, load, self.random)
        self.outcome = Outcome(seconds=load.seconds)

    @property
    def now(self) -> float:
        """Returns the seconds since the beginning."""
        return self.clock.now

    def drawn(self, mean: float) -> float:
        """Returns a value of a log-normal distribution with this mean and the spread of the work."""
        if self.work.spread == 0 or not mean:
            return mean
        variance = math.log(1 + self.work.spread**2)
        return self.random.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))
