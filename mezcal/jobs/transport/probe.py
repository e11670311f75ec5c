"""Checks of the broker: does it answer, which version is it, may it evict jobs?"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from redis import RedisError

from mezcal.errors import BrokerDown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis


class BrokerProbe:
    """Every method raises `BrokerDown` if the broker cannot be reached; the detail names the cause."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def ping(self) -> None:
        """Raise `BrokerDown` unless the broker answers."""
        with _unreachable():
            self._redis.ping()

    def check_policy(self) -> None:
        """Raise `BrokerDown` if the broker may evict keys when its memory is full: jobs would vanish."""
        with _unreachable():
            check_policy(self._redis)

    def eviction_risk(self) -> str | None:
        """Return why the broker may evict jobs, None if it keeps them."""
        with _unreachable():
            return eviction_risk(self._redis)

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


def check_policy(redis: Redis) -> None:
    """Raise `BrokerDown` if the server may evict keys when its memory is full. Raises `redis.RedisError`, too."""
    if risk := eviction_risk(redis):
        raise BrokerDown(risk)


def eviction_risk(redis: Redis) -> str | None:
    """Return why the server may evict jobs, None if it keeps them. Raises `redis.RedisError`."""
    policy = cast("dict[str, str]", redis.info("memory")).get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return None
    return f"Redis may evict jobs (maxmemory-policy is {policy}): set it to noeviction"


@contextmanager
def _unreachable() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise BrokerDown(f"the broker cannot be reached ({type(error).__name__})") from error
