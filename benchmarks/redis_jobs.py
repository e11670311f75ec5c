"""How many jobs one Redis can begin and end in a second: `python -m benchmarks.redis_jobs` in the root folder.

Clients in processes of their own ask for a job, begin it and finish it, through the job table, without a message and
without any work. Prints the jobs a second, the commands of one job, and the processor time that Redis used.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

from redis import Redis

from mezcal.jobs import Lane
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine
from tests.support.broker import running_broker

CLIENTS = (1, 2, 4, 8)
TRANSITIONS = 3  # of a job: queued, running, done


def work(socket: str, name: str, seconds: float, done: multiprocessing.Queue[int]) -> None:
    """Take jobs through the table until the time is over."""
    client = Redis(unix_socket_path=socket, decode_responses=True)
    table, made = JobTable(client, Keys("mezcal:"), JobPolicy()), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        recipe = Mezzanine.parse(f"{name}/{made}.tif")
        table.ensure(recipe, Lane.BULK)
        claim = table.begin(recipe.key, name)
        assert claim is not None
        table.finish(claim)
        made += 1
    done.put(made)


def measure(folder: Path, clients: int, seconds: float) -> None:
    """Run so many clients, and print what they reached."""
    with running_broker(folder) as broker, broker.client() as redis:
        done: multiprocessing.Queue[int] = multiprocessing.Queue()
        arguments = [(str(broker.socket), f"client{number}", seconds, done) for number in range(clients)]
        before = used(redis)
        started = [multiprocessing.Process(target=work, args=each) for each in arguments]
        for process in started:
            process.start()
        made = sum(done.get() for _ in started)
        for process in started:
            process.join()
        taken = used(redis) - before
        calls = sum(
            stats["calls"] for name, stats in redis.info("commandstats").items() if name.startswith("cmdstat_eval")
        )
        memory = redis.info("memory")["used_memory"]
        print(
            f"{clients:2} clients: {made / seconds:6.0f} jobs/s, {TRANSITIONS * made / seconds:6.0f} transitions/s, "
            f"{calls / made:.1f} scripts a job, {taken / made * 1e6:4.0f} us of Redis a job, {memory / 1e6:.0f} MB",
            flush=True,
        )


def used(redis: Redis) -> float:
    """Returns the processor time of Redis in seconds."""
    found = redis.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.0f}, {os.cpu_count()} cores")
    for clients in CLIENTS:
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), clients, options.seconds)


if __name__ == "__main__":
    main()
