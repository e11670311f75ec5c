"""What to do while Redis cannot be reached: report it to a client, or wait in a worker."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from redis import RedisError

from mezcal.errors import BrokerDown, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

OUTAGE_SECONDS = 120.0  # how long a finished conversion waits for Redis before it is given up


@contextmanager
def raises_broker_down(detail: str = "the queue cannot be reached") -> Iterator[None]:
    """Raise `BrokerDown` with *detail* instead of `redis.RedisError`. A decorator, too."""
    try:
        yield
    except RedisError as error:
        raise BrokerDown(detail) from error


def persist(call: Callable[[], Answer]) -> Answer:
    """Repeat *call* until Redis can be reached. Returns its result.

    Raises `Unavailable` if Redis cannot be reached for two minutes.
    """
    deadline = time.monotonic() + OUTAGE_SECONDS
    pause = 0.05
    while True:
        try:
            return call()
        except (RedisError, BrokerDown) as error:
            if time.monotonic() > deadline:
                raise Unavailable("the queue could not be reached for two minutes") from error
            log.warning("waiting for the queue: %s", error)
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
