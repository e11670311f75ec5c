"""Many at once, and many in all: one download, and nothing that grows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.jobs import Lane
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.records import QueueRequest
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine
from tests.support.proc import may_open, open_files
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.support.environment import FaultEnvironment
    from tests.support.broker import Broker

CLIENTS = 1000
FEWER_CLIENTS = 300  # where a process may open 1,024 files and no more


async def many_requests(url: str, path: str, count: int) -> list[int]:
    """Request *path* from *count* clients, each on a separate connection. Returns the statuses."""
    host, _, port = url.removeprefix("http://").partition(":")

    async def ask() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /images/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert body.endswith(b"\xff\xd9") or b" 200 " not in head
        return int(head.split()[1])

    return await asyncio.gather(*(ask() for _ in range(count)))


def test_a_thousand_clients_of_two_api_processes_share_one_download(install: Callable[..., FaultEnvironment]) -> None:
    environment = install(WAITERS_MAX="1000", API_PROCESSES="2", WAIT_SECONDS="60")
    path, script = environment.slow_master()
    environment.request_in_background(path)
    environment.wait_for_attempt(path)
    clients = CLIENTS if may_open(4 * CLIENTS) else FEWER_CLIENTS

    async def all_of_them() -> list[int]:
        responses = asyncio.create_task(many_requests(environment.installation.url, path, clients))
        redis = environment.table.redis
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        listening = lambda: redis.pubsub_numsub(environment.table.keys.ended)[0][1] == 2  # noqa: E731
        await loop.run_in_executor(None, lambda: until(listening, what="both processes to wait"))
        script.go.set()
        return await responses

    statuses = asyncio.run(all_of_them())
    assert statuses == [200] * clients
    assert environment.repository.count(path) == 1
    job = environment.job(path)
    assert job is None or job.attempts == 1
    environment.assert_clean()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_jobs_leave_nothing(broker: Broker) -> None:
    """Asked for, made and forgotten after their minute: as many keys and as much memory as before."""
    table = JobTable(broker.client(), Keys(f"{uuid4().hex}:"), JobPolicy())
    redis = table.redis

    def some(first: int, count: int) -> None:
        recipes = [Mezzanine.parse(f"dc/{number}.tif") for number in range(first, first + count)]
        table.queue([QueueRequest(recipe) for recipe in recipes], Lane.BULK)
        for recipe in recipes:
            claim = table.begin(recipe.key, "w", "m")
            assert claim is not None
            assert table.finish(claim)
            redis.expire(table.keys.job(recipe.key), 0)  # done jobs are kept for a minute

    some(0, 1000)
    keys, memory, clients = redis.dbsize(), redis.info("memory")["used_memory"], len(redis.client_list())
    for start in range(1000, 101_000, 1000):
        some(start, 1000)
    assert redis.dbsize() <= keys
    assert len(redis.client_list()) <= clients
    assert redis.info("memory")["used_memory"] < memory + 1_000_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thousands_of_images_leave_no_connection_no_descriptor_and_no_key(
    install: Callable[..., FaultEnvironment],
) -> None:
    environment = install()
    path, _ = environment.master()
    assert environment.installation.ask(path).status_code == 200

    def descriptors() -> int:
        pids = environment.installation.pids("gunicorn") + environment.installation.pids("-m worker ")
        return sum(len(open_files(pid)) for pid in pids)

    def many(count: int) -> None:
        paths = [environment.master()[0] for _ in range(count)]
        assert {
            asked.result().status_code for asked in [environment.request_in_background(path) for path in paths]
        } == {200}

    def a_generation() -> None:
        """Each pool process is replaced after 1000 jobs; its successors inherit more memory than the first ones."""
        first = set(environment.pool())
        while first & set(environment.pool()):
            many(300)

    a_generation()
    files, clients = descriptors(), len(environment.table.redis.client_list())
    a_generation()
    assert descriptors() <= files + 20
    assert len(environment.table.redis.client_list()) <= clients + 5
    environment.assert_clean()
    prefix = environment.table.keys.prefix
    until(
        lambda: not list(environment.table.redis.scan_iter(f"{prefix}job:*", count=1000)),
        90,
        "the jobs to be forgotten",
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_minute_of_chaos_holds() -> None:
    from tests.faults.support import chaos  # noqa: PLC0415

    assert chaos.run(60, seed=11) == []
