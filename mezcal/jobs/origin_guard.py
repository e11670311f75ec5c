"""Limits how many jobs read from an origin at once, and pauses an origin that failed several jobs in a row.

A circuit breaker for all workers together: see https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker.
"""

from __future__ import annotations

import logging
import random
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from redis import RedisError

from mezcal.errors import (
    ORIGIN_AWAY,
    Failure,
    OriginFailed,
    OriginKeyRefused,
    OriginPaused,
    OriginTimeout,
    Superseded,
    Unavailable,
    Unforeseen,
)
from mezcal.jobs.outages import persist, raises_broker_down
from mezcal.jobs.state.keys import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mezcal.jobs.state.leases import Lease
    from mezcal.jobs.state.policy import OriginLimits
    from mezcal.jobs.state.scripts import Arguments
    from mezcal.jobs.state.table import JobTable

log = logging.getLogger(__name__)

WINDOW_SECONDS = 300  # failures that are further apart than this do not add up
PAUSE_MAX_SECONDS = 30.0  # unless BREAKER_SECONDS is longer; the recovery of an origin is noticed within this
PROBE_SECONDS = 30.0  # after this another job may probe the origin, if the first one has not reported
PLACE_SECONDS = 2.0  # how long a pool process waits for a place before it takes another job
POLL_SECONDS = 0.1
DELAY_SECONDS = (1.0, 3.0)  # from, to: jobs without a place must not come back all at once


class JobDelayed(Exception):
    """The job cannot be made now, and nothing was tried: queue it again in *seconds*."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"delayed for {seconds:.1f} s")
        self.seconds = seconds


class Admission(StrEnum):
    """The answer to a job that wants to read from its origin."""

    ADMITTED = "admitted"
    FULL = "full"  # other jobs have all the places
    PAUSED = "paused"


class OriginHealth(StrEnum):
    """How an origin answered a job, for the circuit breaker."""

    HEALTHY = "healthy"
    FAILING = "failing"
    REFUSING = "refusing"  # it answers, but not with a master that it had: no pause helps
    UNKNOWN = ""  # the store failed, or the lease was lost


@dataclass(frozen=True, slots=True)
class Circuit:
    """An origin's circuit breaker: `closed` (healthy), `open` (paused for *seconds* more) or `half-open` (one job at a
    time probes the origin).
    """

    state: str
    seconds: float = 0
    places_taken: int = 0


class OriginGuard:
    """The limits of all origins, shared by all workers through Redis."""

    def __init__(self, table: JobTable) -> None:
        self._redis, self._keys, self._policy, self._scripts = table.redis, table.keys, table.policy, table.scripts

    def circuit(self, host: str) -> Circuit:
        """Return the state of the origin *host*. Raises `redis.RedisError`."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.time()
        pipe.hmget(self._keys.circuit(host), "paused_at", "paused_until")
        pipe.zcard(self._keys.places(host))
        (seconds, microseconds), (paused_at, paused_until), taken = pipe.execute()
        if paused_until is None:
            return Circuit("closed", 0, taken)
        now = seconds + microseconds / 1e6
        stepped_back = now < int(paused_at or 0) / 1000 - 1  # the clock, since the pause began
        left = 0 if stepped_back else int(paused_until) / 1000 - now
        return Circuit("open", left, taken) if left > 0 else Circuit("half-open", 0, taken)

    def probe_due(self, host: str) -> bool:
        """Return whether the origin *host* failed jobs lately, and gets requests now. Raises `redis.RedisError`."""
        circuit = self.circuit(host)
        return circuit.state == "half-open" or (
            circuit.state == "closed" and bool(self._redis.exists(self._keys.outage(host)))
        )

    def probe(self, host: str, request: Callable[[], object], *, known: bool = True) -> OriginHealth:
        """Report how the origin *host* answers *request*. Returns its health.

        The request is for a master that was read before, if *known*; else any answer will do, except that the key is
        refused.

        When it is healthy again after an outage, the delayed jobs that it failed are tried again at once. Otherwise the
        few that are left would wait for hours, because their pauses have grown, and a master that always fails would
        keep the origin paused for all others. Raises `redis.RedisError`.
        """
        health = OriginHealth.HEALTHY
        try:
            request()
        except Failure as failure:
            health = _health(failure)
            refused = isinstance(failure, ORIGIN_AWAY if known else OriginKeyRefused)  # the key is refused for any path
            if health is OriginHealth.HEALTHY and refused:
                health = OriginHealth.REFUSING
        report = self._report(self._policy.limits_named(host), health, probe="1")
        self._scripts.run("origin/report", self._keys.of_origin(host), report)
        return health

    @contextmanager
    def watch(self, recipe: Mapping[str, Any], key: str) -> Iterator[None]:
        """Report how the origin of *recipe*, whose key is *key*, answers a request that no job makes: a revalidation.

        The origin has to be asked within it: an end without a failure counts as its answer. Raises `OriginPaused` if
        its circuit is not closed, and `BrokerDown`. It holds no place.
        """
        limits = self._policy.limits_of(recipe)
        if limits is None or not limits.name:
            yield
            return
        with raises_broker_down():
            circuit = self.circuit(limits.name)
        if circuit.state != "closed":
            raise origin_paused(circuit.seconds)
        try:
            yield
        except Failure as failure:
            self._note(limits, _health(failure), key)
            raise
        self._note(limits, OriginHealth.HEALTHY, key)

    @raises_broker_down()
    def _note(self, limits: OriginLimits, health: OriginHealth, key: str) -> None:
        if health is OriginHealth.HEALTHY and not self._redis.exists(self._keys.failing(limits.name)):
            return
        self._scripts.run("origin/report", self._keys.of_origin(limits.name), self._report(limits, health, key=key))

    @contextmanager
    def admit(self, lease: Lease) -> Iterator[None]:
        """Hold a place at the origin of the job's masters, and report how it answered.

        Raises `JobDelayed` if there is no place or the origin is paused; `OriginPaused` instead of the latter if a
        client waits for the job.
        """
        limits = self._policy.limits_of(lease.claim.recipe)
        if limits is None or not limits.name:  # a folder has no limits
            yield
            return
        guarded = lease.claim.suspect or bool(limits.places)
        if guarded:
            self._enter(limits, lease)
        health = OriginHealth.UNKNOWN
        try:
            yield
            health = OriginHealth.HEALTHY
        except Failure as failure:
            health = _health(failure)
            raise
        finally:
            if guarded or health is OriginHealth.FAILING:  # a healthy origin without limits costs no round trip
                self._leave(limits, lease, health)

    def _enter(self, limits: OriginLimits, lease: Lease) -> None:
        """Wait for a place for `PLACE_SECONDS`; not at all if the process may make derivatives of another origin."""
        deadline = time.monotonic() + (0 if self._policy.several else PLACE_SECONDS)
        while True:
            admission, pause = persist(lambda: self._ask(limits, lease))
            if admission is Admission.ADMITTED:
                lease.on_renewal = lambda: self._renew_place(limits.name, lease)
                return
            if admission is Admission.PAUSED:
                raise _paused(pause, lease)
            if time.monotonic() > deadline:
                raise JobDelayed(random.uniform(*DELAY_SECONDS))  # noqa: S311 - jitter
            lease.abandon_if_lost()
            time.sleep(POLL_SECONDS)

    def _ask(self, limits: OriginLimits, lease: Lease) -> tuple[Admission, float]:
        args: Arguments = {
            "token": lease.claim.token,
            "lease_ms": self._lease_ms,
            "places": limits.places,
            "probe_ms": int(PROBE_SECONDS * 1000),
        }
        answer = self._scripts.run("origin/admit", self._keys.of_origin(limits.name), args)
        return Admission(answer[0]), int(answer[1]) / 1000 if len(answer) > 1 else 0.0

    def _renew_place(self, host: str, lease: Lease) -> None:
        """Keep the place for another lease: the place of a killed worker is free after that."""
        seconds, microseconds = self._redis.time()
        ends = seconds * 1000 + microseconds // 1000 + self._lease_ms
        self._redis.zadd(self._keys.places(host), {lease.claim.token: ends}, xx=True)

    def _leave(self, limits: OriginLimits, lease: Lease, health: OriginHealth) -> None:
        lease.on_renewal, host = None, limits.name
        args = self._report(limits, health, key=lease.claim.key, token=lease.claim.token)
        try:
            if self._scripts.run("origin/report", self._keys.of_origin(host), args):
                log.warning("%s failed several jobs in a row: it gets no requests for a while", host)
        except RedisError as error:
            log.warning("the place at %s stays taken until its lease ends: %s", host, error)

    def _report(
        self, limits: OriginLimits, health: OriginHealth, *, key: str = "", token: str = "", probe: str = ""
    ) -> Arguments:
        return {
            "outcome": health,
            "key": key,
            "token": token,
            "probe": probe,
            "failures_max": limits.breaker_failures,
            "window_seconds": WINDOW_SECONDS,
            "pause_seconds": limits.breaker_pause,
            "pause_max_seconds": max(PAUSE_MAX_SECONDS, limits.breaker_pause),
        }

    @property
    def _lease_ms(self) -> int:
        return int(self._policy.lease * 1000)


def _health(failure: Failure) -> OriginHealth:
    """Return what *failure* says about the origin. A failure that an odd path can cause is no sign of a failing one."""
    if isinstance(failure, OriginFailed | OriginTimeout):
        return OriginHealth.FAILING
    return OriginHealth.UNKNOWN if isinstance(failure, Superseded | Unavailable | Unforeseen) else OriginHealth.HEALTHY


def _paused(seconds: float, lease: Lease) -> Exception:
    if lease.claim.lane is Lane.INTERACTIVE:
        return origin_paused(seconds)
    return JobDelayed(seconds + random.uniform(0, 5 * DELAY_SECONDS[1]))  # noqa: S311 - jitter


def origin_paused(seconds: float) -> OriginPaused:
    """Return the failure for clients of an origin that is paused for *seconds* more."""
    failure = OriginPaused("the repository failed several times in a row, and gets no requests for a moment")
    failure.retry_after = max(1, round(seconds))
    return failure
