"""A bulk request for a million images: `python -m benchmarks.bulk [--images 1000000]` in the root folder.

The client's side: `Jobs.spread`, as the API calls it, against the bundled broker: how long until it can answer,
and what a waiting image takes in Redis. Then the workers' side, in this process: chunks taken and queued, each
image a job and a message, until the bulk lane is as full as it may get; and, without that bound, the whole of it
as jobs and messages, which is what chunks save.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.jobs import Jobs, QueueRequest
from mezcal.jobs.bulk import chunks
from mezcal.recipe import Mezzanine, from_json
from mezcal.settings import load
from tests.support.broker import running_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis import Redis

    from tests.support.broker import Broker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--jobs", type=int, default=100_000, help="images for which jobs and messages are measured")
    options = parser.parse_args()
    print(f"conditions: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, bundled broker, append-only")
    with tempfile.TemporaryDirectory() as name, running_broker(Path(name)) as broker:
        jobs, redis = jobs_of(broker), broker.client()
        client_side(jobs, redis, options.images)
        workers(jobs, redis)
    with tempfile.TemporaryDirectory() as name, running_broker(Path(name)) as broker:
        everything(jobs_of(broker), broker.client(), options.jobs)


def jobs_of(broker: Broker) -> Jobs:
    return Jobs.of(load(_env_file=None, redis_url=broker.url, repo_base_url="http://repository.example/"))


def recipes(count: int) -> Iterator[Mezzanine]:
    """Yields recipes as an event or a list would name them."""
    return (Mezzanine.parse(f"dc/2026/collection-{n // 997:05}/object-{n:08}.tif") for n in range(count))


def client_side(jobs: Jobs, redis: Redis, count: int) -> None:
    before, began = memory(redis), time.perf_counter()
    jobs.spread(recipes(count))
    took = time.perf_counter() - began
    parsing = time.perf_counter()
    for _ in recipes(count):
        pass
    parsed = time.perf_counter() - parsing
    each, reading = 1e6 * took / count, 1e6 * parsed / count
    print(
        f"{count:,} images asked for in {took:.1f} s: {each:.1f} us each, {reading:.1f} of them for reading the paths;"
    )
    print(f"{(memory(redis) - before) / count:.0f} bytes in Redis for each")


def workers(jobs: Jobs, redis: Redis) -> None:
    before, began, queued = memory(redis), time.perf_counter(), 0
    names = jobs.chunks.names()
    for name in names:
        chunk = jobs.chunks.take(name)
        if chunk is None:
            break
        queued += queue(jobs, [from_json(item[2]) for item in chunk.items])
        jobs.chunks.done(name)
    took = time.perf_counter() - began
    print(f"queued until the lane had {queued:,} of them (bound {chunks.AHEAD:,}) at {queued / took:,.0f} a second;")
    print(f"{(memory(redis) - before) / queued:.0f} bytes more in Redis for each")


def everything(jobs: Jobs, redis: Redis, count: int) -> None:
    before, began = memory(redis), time.perf_counter()
    some: list[Mezzanine] = []
    for recipe in recipes(count):
        some.append(recipe)
        if len(some) == chunks.SIZE:
            queue(jobs, some)
            some = []
    took = time.perf_counter() - began
    print(f"without chunks: {count / took:,.0f} a second, {(memory(redis) - before) / count:.0f} bytes for each")


def queue(jobs: Jobs, wanted: list[Mezzanine]) -> int:
    jobs.queue([QueueRequest(recipe) for recipe in wanted])
    return len(wanted)


def memory(redis: Redis) -> int:
    return int(redis.info("memory")["used_memory"])


if __name__ == "__main__":
    main()
