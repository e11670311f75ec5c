"""Checks of the broker: does it answer, and can mezcal work with it?"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redis import RedisError

from mezcal.errors import BrokerDown
from mezcal.jobs.transport.connection_faults import UNKNOWN_COMMAND, Fault, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

OLDEST_VERSION = (6, 2)  # the oldest broker that was tried
REPLICA = Fault("it is a replica, which takes no writes", "name its master in REDIS_URL, or the sentinels")


class BrokerProbe:
    """Every method raises `BrokerDown` if the broker cannot be reached; the detail names the cause."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def ping(self) -> None:
        """Raise `BrokerDown` unless the broker answers."""
        with _unreachable():
            self._redis.ping()

    def check_usable(self) -> None:
        """Raise `BrokerDown` if mezcal cannot work with this broker."""
        with _unreachable():
            check_usable(self._redis)

    def unusable(self) -> Fault | None:
        """Return why mezcal cannot work with this broker, None if it can."""
        with _unreachable():
            return unusable(self._redis)

    def info(self) -> dict[str, Any]:
        """Return the broker's answer to INFO."""
        with _unreachable():
            info: dict[str, Any] = self._redis.info()
            return info

    def clock(self) -> float:
        """Return the broker's time in seconds since 1970."""
        with _unreachable():
            seconds, microseconds = self._redis.time()
            return float(seconds) + float(microseconds) / 1e6


def check_usable(redis: Redis) -> None:
    """Raise `BrokerDown` if mezcal cannot work with this server. Raises `redis.RedisError`, too."""
    fault = unusable(redis)
    if fault is not None:
        raise BrokerDown(f"the broker cannot be used: {fault.detail}", fault.hint)


def unusable(redis: Redis) -> Fault | None:
    """Return why mezcal cannot work with this server, None if it can. Raises `redis.RedisError`.

    All of this lasts until somebody changes it, but `REPLICA`, which may be a server about to become the master.
    """
    try:
        fault = _unfit(redis.info())
        if fault is None:
            redis.register_script("return 1")()
    except RedisError as error:
        fault = describe(error)
        if fault is not UNKNOWN_COMMAND:
            raise
    return fault


def _unfit(info: dict[str, Any]) -> Fault | None:
    version = str(info.get("redis_version") or "0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST_VERSION:
        return Fault(f"it is Redis {version}, which is too old", "install Redis 6.2 or later, or any Valkey")
    if info.get("cluster_enabled"):
        return Fault("it is a Redis Cluster", "name a single server, or sentinels; a cluster spreads the keys")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        return Fault(f"it may evict jobs (maxmemory-policy is {policy})", "set maxmemory-policy to noeviction")
    return REPLICA if info.get("role") == "slave" and info.get("slave_read_only", 1) else None


@contextmanager
def _unreachable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        fault = describe(error)
        raise BrokerDown(f"the broker cannot be reached: {fault.detail}", fault.hint) from error
