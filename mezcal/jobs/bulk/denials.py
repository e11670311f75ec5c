"""The copy of the denials in Redis, and whether what they name is still to be removed from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mezcal.jobs.outages import raises_broker_down

if TYPE_CHECKING:
    from redis import Redis

    from mezcal.jobs.state.keys import Keys

COPY_KEPT = 365 * 86_400  # seconds; each worker renews it


class DenialCopy:
    """Every method raises `BrokerDown` if Redis cannot be reached."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis, self._keys = redis, keys

    @raises_broker_down()
    def save_copy(self, content: bytes) -> None:
        """Save the content of the store's file."""
        self._redis.set(self._keys.denials, content.decode(), ex=COPY_KEPT)

    @raises_broker_down()
    def copy(self) -> bytes | None:
        """Return the content that was saved, None if there is none."""
        text = cast("str | None", self._redis.get(self._keys.denials))
        return text.encode() if text is not None else None

    @raises_broker_down()
    def request_removal(self) -> None:
        """Have a worker remove what is denied from the store."""
        self._redis.set(self._keys.denials_removal, "1", ex=COPY_KEPT)

    @raises_broker_down()
    def removal_requested(self) -> bool:
        """Return True if a worker is to remove what is denied."""
        return bool(self._redis.exists(self._keys.denials_removal))

    @raises_broker_down()
    def begin_removal(self) -> None:
        """Record that a removal has begun: one that is requested from now on is another one."""
        self._redis.delete(self._keys.denials_removal)
