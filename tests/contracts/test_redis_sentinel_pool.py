"""redis-py's two pools work together: connections that sentinels name, in a pool that waits for a free one.

`SentinelPool` (mezcal/jobs/transport/redis_connection.py) inherits from both, which redis-py does not promise.
"""

from __future__ import annotations

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Sentinel
from redis.sentinel import SentinelManagedConnection

from mezcal.jobs.transport.redis_connection import SentinelPool


def test_a_full_pool_waits_and_then_says_that_no_connection_is_free() -> None:
    pool = SentinelPool("mymaster", Sentinel([]), max_connections=2, timeout=0.05)
    assert issubclass(pool.connection_class, SentinelManagedConnection)
    while not pool.pool.empty():
        pool.pool.get_nowait()
    with pytest.raises(RedisConnectionError, match="No connection available"):
        pool.get_connection()
