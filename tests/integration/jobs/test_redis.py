"""Redis as others run it: shared with a neighbour, behind TLS, kept by sentinels. All processes are real ones."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from redis import Redis, RedisError

from mezcal.errors import Failure
from mezcal.jobs import Jobs
from mezcal.jobs.transport.celery_pipe import celery_app, connect
from mezcal.settings import load
from tests.support.masters import grey_tiff
from tests.support.roles import Installation, free_port, server
from tests.support.tls_front import certificates, tls_front
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow  # each starts servers that have to find each other

PASSWORD = "s/cr:t@1"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server with a password, on TCP."""
    free = free_port()
    with server(tmp_path / "redis", free, "--requirepass", PASSWORD):
        with Redis(port=free, password=PASSWORD) as client:
            until(lambda: answers(client), what="the server")
        yield free


def answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def test_two_installations_on_one_server_see_nothing_of_each_other(port: int, tmp_path: Path) -> None:
    given = {"REDIS_URL": f"redis://127.0.0.1:{port}/0", "REDIS_PASSWORD": PASSWORD}
    one = Installation(tmp_path / "one", KEY_PREFIX="one:", **given)
    two = Installation(tmp_path / "two", KEY_PREFIX="two:", **given)
    with one.role("worker", "--concurrency", "1"), two.role("worker", "--concurrency", "1"):
        one.made("a.tif", grey_tiff(10))
        two.made("b.tif", grey_tiff(20))
        assert not list(two.settings.cache_dir.glob("a.tif*"))
        nodes = [pinged(each) for each in (one, two)]
        assert [len(node) for node in nodes] == [1, 1]
        assert nodes[0] != nodes[1], "broadcasts stay at home, too"
        assert [workers_seen_at(one), workers_seen_at(two)] == [set(node) for node in nodes], "and so do events"
        with Redis(port=port, password=PASSWORD, decode_responses=True) as client:
            keys = set(client.scan_iter(count=1000))
            channels = {str(channel) for channel in client.pubsub_channels()}
        assert {key.split(":")[0] for key in keys} == {"one", "two"}, keys
        assert all(channel.startswith(("one:", "two:")) for channel in channels), channels


def pinged(installation: Installation) -> list[str]:
    """The workers that answer a broadcast."""
    app = celery_app(installation.settings)
    return [name for answer in app.control.ping(timeout=1.5) for name in answer]


def workers_seen_at(installation: Installation, seconds: float = 5) -> set[str]:
    """Returns the workers whose events arrive at *installation*: each sends a heartbeat every two seconds."""
    app = celery_app(installation.settings)
    events: list[dict[str, str]] = []
    end = time.monotonic() + seconds
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": events.append})
        with suppress(TimeoutError):
            for _ in receiver.itercapture(limit=None, timeout=seconds, wakeup=True):
                if time.monotonic() > end:
                    break
    return {event["hostname"] for event in events}


def test_jobs_pass_over_tls_by_certificates_of_both_sides(port: int, tmp_path: Path) -> None:
    made = certificates(tmp_path / "certificates")
    with tls_front(made, port) as secured:
        tls = {"REDIS_TLS_CA": str(made.ca)}
        client = {"REDIS_TLS_CERT": str(made.certificate("client")), "REDIS_TLS_KEY": str(made.key("client"))}
        given = {"REDIS_URL": f"rediss://127.0.0.1:{secured}/0", "REDIS_PASSWORD": PASSWORD}
        here = Installation(tmp_path / "here", **given, **tls, **client)
        with here.role("worker", "--concurrency", "1"):
            here.made("a.tif", grey_tiff(10))
        without_password = Installation(tmp_path / "nobody", **given, **tls)
        with pytest.raises(RedisError):
            connect(without_password.settings).ping()
        strange = Installation(tmp_path / "strange", **given, **client)
        with pytest.raises(RedisError, match=r"(?i)certificate"):
            connect(strange.settings).ping()


def sentinel_of(folder: Path, port: int, master: int) -> Path:
    """Returns the configuration file of a sentinel with its own password that soon replaces a silent master."""
    folder.mkdir()
    file = folder / "sentinel.conf"
    file.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\nrequirepass of-sentinel\n"
        f"sentinel monitor images 127.0.0.1 {master} 1\n"
        f"sentinel auth-pass images {PASSWORD}\n"
        "sentinel down-after-milliseconds images 500\nsentinel failover-timeout images 2000\n"
    )
    return file


def test_work_goes_on_when_sentinels_name_another_master(tmp_path: Path) -> None:
    first, second, watcher = free_port(), free_port(), free_port()
    own = ("--requirepass", PASSWORD, "--primaryauth", PASSWORD)
    given = {"REDIS_PASSWORD": PASSWORD, "REDIS_SENTINEL_PASSWORD": "of-sentinel", "REDIS_MASTER": "images"}
    with ExitStack() as stack:
        master = stack.enter_context(server(tmp_path / "first", first, *own))
        replica = ("--replicaof", f"127.0.0.1 {first}", *own)
        stack.enter_context(server(tmp_path / "second", second, *replica))
        with Redis(port=second, password=PASSWORD, decode_responses=True) as client:
            until(lambda: in_step(client), what="a replica in step")
        file = sentinel_of(tmp_path / "watcher", watcher, first)
        stack.enter_context(server(tmp_path / "watcher", watcher, mode=str(file)))
        here = Installation(tmp_path / "here", REDIS_URL=f"sentinel://127.0.0.1:{watcher}/0", **given)
        with Redis(port=watcher, password="of-sentinel", decode_responses=True) as asking:
            until(lambda: knows_both(asking), what="a sentinel that knows both")
            stack.enter_context(here.role("worker", "--concurrency", "1"))
            here.made("a.tif", grey_tiff(10))
            master.kill()
            until(lambda: asking.sentinel_get_master_addr_by_name("images")[1] == second, 30, "another master")
        here.made("b.tif", grey_tiff(20))


def in_step(replica: Redis) -> bool:
    try:
        return replica.info("replication").get("master_link_status") == "up"
    except RedisError:
        return False


def knows_both(sentinel: Redis) -> bool:
    try:
        return len(sentinel.sentinel_slaves("images")) == 1
    except RedisError:
        return False


def test_a_wrong_password_is_reported_without_waiting(port: int) -> None:
    wrong = load(_env_file=None, redis_url=f"redis://127.0.0.1:{port}/0", redis_password="wrong")
    with pytest.raises(Failure):
        Jobs.of(wrong).failures()
