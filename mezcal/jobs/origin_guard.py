"""Who may ask an origin now: so many jobs at once over all workers, and none while it is sick."""

from __future__ import annotations

import logging
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, BinaryIO

from redis import RedisError

from mezcal.errors import Failure, OriginFailed, OriginResting, OriginTimeout, Superseded, Unavailable
from mezcal.jobs.state.keys import Lane
from mezcal.jobs.state.outages import persist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mezcal.jobs.state.leases import Lease
    from mezcal.jobs.state.table import JobTable
    from mezcal.origin import Master, MasterStatus, Origin

log = logging.getLogger(__name__)

WINDOW_SECONDS = 300  # failures that are further apart than this do not add up
REST_MOST = 120.0  # seconds: an origin that is back is noticed within this
PROBE_SECONDS = 30.0  # the one that tries a sick origin is given so long, then another may
PLACE_SECONDS = 2.0  # a process waits so long for a place, then it takes another job
LOOK_SECONDS = 0.1
DEFER_SECONDS = (1.0, 3.0)  # from, to: those who found no place shall not come back all at once


class JobDelayed(Exception):
    """The job cannot be worked on now; queue it again in *seconds*."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"put off for {seconds:.1f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Circuit:
    """How one origin is: `closed` (well), `open` (left alone for *seconds* more) or `half-open` (being tried)."""

    state: str
    seconds: float = 0
    places_taken: int = 0


class OriginGuard:
    """Admission to the origins, shared by all workers through Redis."""

    def __init__(self, table: JobTable) -> None:
        self._redis, self._keys, self._terms = table.redis, table.keys, table.terms

    def circuit(self, host: str) -> Circuit:
        """How *host* is; for metrics and for people. Raises `redis.RedisError`."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.hget(self._keys.breaker(host), "until")
        pipe.zcard(self._keys.slots(host))
        (seconds, micros), until, taken = pipe.execute()
        if until is None:
            return Circuit("closed", 0, taken)
        left = int(until) / 1000 - seconds - micros / 1e6
        return Circuit("open", left, taken) if left > 0 else Circuit("half-open", 0, taken)

    @contextmanager
    def passed(self, lease: Lease, kind: str) -> Iterator[None]:
        """Hold a place at the origin of recipes of this *kind*, and note how it served us.

        Raises `JobDelayed`, or `OriginResting` where somebody waits for the job.
        """
        host = self._terms.origins.get(kind, "")
        if not host:  # a folder: nobody to be spared
            yield
            return
        guarded = lease.claim.suspect or bool(self._terms.origin_places)
        if guarded:
            self._enter(host, lease)
        well: bool | None = None  # nothing is known of the origin if the store or the lease was lost
        try:
            yield
            well = True
        except (OriginFailed, OriginTimeout):
            well = False
            raise
        except (Superseded, Unavailable):
            raise
        except Failure:
            well = True
            raise
        finally:
            if guarded or well is False:  # the price of a word to Redis is paid only where it says something
                self._leave(host, lease, well)

    def _enter(self, host: str, lease: Lease) -> None:
        deadline = time.monotonic() + PLACE_SECONDS
        while True:
            verdict = persist(lambda: self._admit(host, lease))
            if verdict[0] == "go":
                lease.beside = lambda: self._keep(host, lease)
                return
            if verdict[0] == "resting":
                raise _rests(int(verdict[1]) / 1000, lease)
            if time.monotonic() > deadline:
                raise JobDelayed(random.uniform(*DEFER_SECONDS))  # noqa: S311 - jitter
            lease.abandon_if_lost()
            time.sleep(LOOK_SECONDS)

    def _admit(self, host: str, lease: Lease) -> list[str]:
        keys = [self._keys.breaker(host), self._keys.slots(host)]
        args = [lease.claim.token, self._lease_ms, self._terms.origin_places, int(PROBE_SECONDS * 1000)]
        answer: list[str] = self._script("admit")(keys=keys, args=args)
        return answer

    def _keep(self, host: str, lease: Lease) -> None:
        """Renew the place: one that is left behind by a killed worker is free again when its lease is over."""
        seconds, micros = self._redis.time()
        ends = seconds * 1000 + micros // 1000 + self._lease_ms
        self._redis.zadd(self._keys.slots(host), {lease.claim.token: ends}, xx=True)

    def _leave(self, host: str, lease: Lease, well: bool | None) -> None:
        lease.beside = None
        keys = [self._keys.breaker(host), self._keys.sick(host), self._keys.slots(host)]
        told = {True: "1", False: "0", None: ""}[well]
        terms = [self._terms.breaker_failures, WINDOW_SECONDS, self._terms.breaker_rest, REST_MOST]
        try:
            if self._script("report")(keys=keys, args=[told, lease.claim.key, lease.claim.token, *terms]):
                log.warning("%s failed job after job: it is left alone for a while", host)
        except RedisError as error:
            log.warning("the place at %s is left to its lease: %s", host, error)

    @property
    def _lease_ms(self) -> int:
        return int(self._terms.lease * 1000)

    def _script(self, name: str) -> Any:
        return self._scripts[name]

    @cached_property
    def _scripts(self) -> dict[str, Any]:
        folder = files("mezcal.jobs.state") / "lua"
        return {name: self._redis.register_script((folder / f"{name}.lua").read_text()) for name in ("admit", "report")}


def _rests(seconds: float, lease: Lease) -> Exception:
    if lease.claim.lane is Lane.INTERACTIVE:
        return origin_paused(seconds)
    return JobDelayed(seconds + random.uniform(0, 5 * DEFER_SECONDS[1]))  # noqa: S311 - jitter


def origin_paused(seconds: float) -> OriginResting:
    """The failure told to whoever asks while the origin is left alone."""
    failure = OriginResting("the repository fails again and again, and is left alone for a moment")
    failure.retry_after = max(1, round(seconds))
    return failure


class GuardedOrigin:
    """*origin* as one running job may use it: through the gate, and for no longer than its lease holds."""

    def __init__(self, origin: Origin, gate: OriginGuard, lease: Lease, kind: str) -> None:
        self.base_url = origin.base_url
        self._origin, self._gate, self._lease, self._kind = origin, gate, lease, kind

    def path_of(self, url: str) -> str | None:
        """As the origin says."""
        return self._origin.path_of(url)

    def listing(self, most: int) -> list[str]:
        """As the origin says."""
        return self._origin.listing(most)

    def changed_since(self, path: str, etag: str | None, last_modified: str | None) -> MasterStatus:
        """As the origin says; no gate: it is one small request."""
        return self._origin.changed_since(path, etag, last_modified)

    @contextmanager
    def open(self, path: str) -> Iterator[Master]:
        """The master at *path*; reading it raises `Superseded` once the lease is lost."""
        with self._gate.passed(self._lease, self._kind), self._origin.open(path) as master:
            heeded = Heeded(master.file, self._lease.abandon_if_lost)
            yield replace(master, file=heeded)  # type: ignore[arg-type]  # what readers use of a file


class Heeded:
    """*file*, each read of which first asks *heed*: work that is in vain ends at its next read."""

    def __init__(self, file: BinaryIO, heed: Callable[[], None]) -> None:
        self._file, self._heed = file, heed
        self.seek, self.tell, self.fileno = file.seek, file.tell, file.fileno
        self.seekable, self.readable = file.seekable, file.readable

    def read(self, size: int = -1, /) -> bytes:
        """At most *size* bytes, all that is left if negative."""
        self._heed()
        return self._file.read(size)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill *buffer* as far as one read goes; how many bytes, 0 at the end."""
        self._heed()
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]  # masters are buffered readers
        return count
