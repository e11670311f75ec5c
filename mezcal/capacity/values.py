"""What a simulation is given: the installation, the work that one image is, and who asks for how many."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Site:
    """An installation of *workers* alike, in front of one repository.

    *cores*, *processes*, *reserve* (INTERACTIVE_RESERVE) and *memory* (WORKER_MEMORY, bytes) are those of one worker.
    *bandwidth* is the repository's, in bytes a second for all workers together; *places* is ORIGIN_CONCURRENCY, 0 for
    no limit. *wait_seconds* is WAIT_SECONDS, *waiters* how many clients may wait at once (WAITERS_MAX of all API
    processes), *share* CLIENT_SHARE.
    """

    workers: int = 1
    cores: float = 2
    processes: int = 2
    reserve: int = 1
    memory: int = 1024 * MIB
    bandwidth: float = 100e6
    places: int = 0
    wait_seconds: float = 25
    waiters: int = 512
    share: float = 1


@dataclass(frozen=True, slots=True)
class Work:
    """What making one derivative takes: means, in seconds and bytes.

    *cpu* is processor time of the conversion; *latency* passes until the repository's first byte; *overhead* is what
    queue, lease and store add. *spread* is the standard deviation of *cpu*, *latency* and *master*, each by its
    mean.
    """

    master: float = 20e6
    derivative: float = 1e6
    cpu: float = 1
    latency: float = 0.05
    overhead: float = 0.05
    memory: int = 96 * MIB
    spread: float = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """Who asks. Rates are per second.

    *asks* are requests of clients for images, of which the fraction *hits* is in the cache before anything begins. The
    others are spread evenly over *images* different ones (0: each is another image). *clients* share the requests.
    *at* are the times of further requests, in seconds from the beginning: those of a log, for example.
    *bulk* are images that lists and events name, *backlog* those that are queued at the beginning.
    """

    asks: float = 0
    hits: float = 0
    images: int = 0
    clients: int = 100
    bulk: float = 0
    backlog: int = 0
    seconds: float = 600
    at: tuple[float, ...] = ()


@dataclass(slots=True)
class Outcome:
    """What a simulation found. Waits are of clients whose image was not in the cache, in seconds."""

    seconds: float = 0
    waits: list[float] = field(default_factory=list)
    expired: int = 0  # clients that were answered 503 after WAIT_SECONDS
    refused: int = 0  # clients that found no waiting place
    hits: int = 0
    joined: int = 0
    made: int = 0
    made_bulk: int = 0
    queued_at_end: int = 0
    unfinished: int = 0  # queued or running at the end
    longest_queue: int = 0
    most_waiting: int = 0
    busy: dict[str, float] = field(default_factory=dict)  # fractions of processes, cores and the origin in use

    def wait(self, quantile: float) -> float:
        """Returns the wait below which this fraction of the clients stayed; 0 if nobody waited."""
        ordered = sorted(self.waits)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)] if ordered else 0.0
