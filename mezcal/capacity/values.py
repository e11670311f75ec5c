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
    share: float = 0.75


@dataclass(frozen=True, slots=True)
class Work:
    """What making one derivative takes: means, in seconds and bytes.

    *cpu* is processor time of the conversion; *latency* passes until the repository's first byte; *overhead* is what
    queue, lease and store add; *memory* is what the conversion needs. *spread* is the standard deviation of *cpu*,
    *latency* and *master*, each by its mean.
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
    """Who asks, and how the repository fails. Rates are per second.

    *asks* are requests of clients for images, of which the fraction *hits* is in the cache before anything begins. The
    others are spread evenly over *images* different ones (0: each is another image). *clients* share the requests.
    *at* are the times of further requests, each for another image, in seconds from the beginning: those of a log, for
    example. *latencies* are those of the repository for these, where they are known. *bulk* are images that lists and
    events name, *backlog* those that are queued at the beginning.
    The repository fails the fraction *failing* of its requests, and all of them between the two times of *outage*.
    """

    asks: float = 0
    hits: float = 0
    images: int = 0
    clients: int = 100
    bulk: float = 0
    backlog: int = 0
    seconds: float = 600
    at: tuple[float, ...] = ()
    latencies: tuple[float, ...] = ()
    failing: float = 0
    outage: tuple[float, float] = (0, 0)


@dataclass(slots=True)
class Outcome:
    """What a simulation found. Waits are of clients whose image was not in the cache, in seconds."""

    seconds: float = 0
    waits: list[float] = field(default_factory=list)
    expired: int = 0  # clients that were answered 503 after WAIT_SECONDS
    refused: int = 0  # clients that found no waiting place: 503, or 429 if it was their share
    failed: int = 0  # clients that were answered 502: the repository failed
    paused: int = 0  # clients that were answered 503: the repository gets no requests for a while
    hits: int = 0
    joined: int = 0
    made: int = 0
    made_bulk: int = 0
    failed_bulk: int = 0  # jobs that ended without a derivative, and nobody waited
    delayed_at_end: int = 0
    queued_at_end: int = 0
    unfinished: int = 0  # queued, running or delayed at the end
    longest_queue: int = 0
    most_waiting: int = 0
    made_again: float | None = None  # seconds from the end of the outage until the first derivative; None: none was
    busy: dict[str, float] = field(default_factory=dict)  # fractions of processes, cores and the origin in use

    def wait(self, quantile: float) -> float:
        """Returns the wait below which this fraction of the clients stayed; 0 if nobody waited."""
        ordered = sorted(self.waits)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)] if ordered else 0.0
