"""How many jobs one Redis can begin and end in a second: `python -m benchmarks.redis_jobs` in the root folder.

Clients in processes of their own ask for a job, begin it and finish it, through the job table, without a message and
without any work. Prints the jobs a second, the commands of one job, and the processor time that Redis used. With
`--passed-over`, measures instead what a begin costs while so many earlier jobs have to wait: for a place at another
origin, for their client's share of the processes, or for the process that downloads their master.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from redis import Redis

from mezcal.jobs import Lane, Worker, WorkerRegistry
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy, OriginLimits
from mezcal.jobs.state.table import HeldBack, JobTable
from mezcal.recipe import Mezzanine
from tests.support.broker import running_broker

CLIENTS = (1, 2, 4, 8)
TRANSITIONS = 3  # of a job: queued, running, done
PASSED_OVER = (0, 1000, 10_000, 100_000)
BEGUN = 5  # jobs that are begun while those are passed over
SLOW, FAST = OriginLimits("slow", "slow/", places=1), OriginLimits("fast", "fast/")


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


def measure_passing(folder: Path, reason: str, jobs: int) -> None:
    """Print what a begin costs while so many earlier jobs have to wait for the same *reason*."""
    with running_broker(folder) as broker, broker.client() as redis:
        table = table_with_waiting(redis, reason, jobs)
        costs = [cost_of_begin(table, f"fast/{number}.tif") for number in range(BEGUN + 1)]
        commands, seconds = costs[0]
        later_commands, later_seconds = (sum(values) / BEGUN for values in zip(*costs[1:], strict=True))
        print(
            f"{jobs:7} passed over for {reason:6}: {commands:7.0f} commands, {seconds * 1e3:8.2f} ms of Redis for the "
            f"first begin, {later_commands:7.0f} and {later_seconds * 1e3:8.2f} ms for each of the next {BEGUN}",
            flush=True,
        )


def table_with_waiting(redis: Redis, reason: str, jobs: int) -> JobTable:
    """Return a table in which a job runs, and so many others that wait for the same *reason* come before all else."""
    policies = {
        "origin": JobPolicy(several=(SLOW, FAST)),
        "client": JobPolicy(client_share=0.5),
        "master": JobPolicy(origins={"mezzanine": "repository.example"}),
    }
    table, client = JobTable(redis, Keys("mezcal:"), policies[reason]), "a" if reason == "client" else ""
    WorkerRegistry(redis, table.keys).heartbeat(Worker("w", 2, ("interactive", "bulk")))
    for number in range(jobs + 1):
        slow = Mezzanine.parse("slow/1.tif", number + 1) if reason == "master" else f"slow/{number}.tif"
        table.ensure(slow if isinstance(slow, Mezzanine) else Mezzanine.parse(slow), Lane.INTERACTIVE, client=client)
    assert table.begin_next("w") is not None
    redis.hset(table.keys.round, "turn", jobs)  # the others have asked when that client had its jobs queued
    return table


def cost_of_begin(table: JobTable, expected: str) -> tuple[int, float]:
    """Queue and begin a job, and end it. Returns the commands and the processor seconds of Redis for the begin."""
    redis = table.redis
    table.ensure(Mezzanine.parse(expected), Lane.INTERACTIVE)
    redis.config_resetstat()
    before, claim = used(redis), None
    while claim is None:
        with suppress(HeldBack):  # it is asked again
            claim = table.begin_next("w")
    seconds = used(redis) - before
    commands = sum(stats["calls"] for stats in redis.info("commandstats").values())
    assert claim.recipe["path"] == expected
    table.finish(claim)
    return commands, seconds


def used(redis: Redis) -> float:
    """Returns the processor time of Redis in seconds."""
    found = redis.info("cpu")
    return float(found["used_cpu_user"]) + float(found["used_cpu_sys"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--passed-over", choices=("origin", "client", "master"))
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.0f}, {os.cpu_count()} cores")
    if options.passed_over:
        for jobs in PASSED_OVER:
            with tempfile.TemporaryDirectory() as name:
                measure_passing(Path(name), options.passed_over, jobs)
        return
    for clients in CLIENTS:
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), clients, options.seconds)


if __name__ == "__main__":
    main()
