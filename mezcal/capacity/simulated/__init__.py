"""A discrete-event simulation of the queue, the workers, the repository and those who ask."""

from mezcal.capacity.simulated.clock import TooManyEvents
from mezcal.capacity.simulated.simulation import Simulation

__all__ = ["Simulation", "TooManyEvents"]
