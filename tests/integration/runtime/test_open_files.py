"""An API process that may open few files or start no thread: each answer is whole or a 503, and the process goes on."""

from __future__ import annotations

import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from api.server.open_files import FILES_MOST, limits
from tests.support.installation import ONE_WORKER, SAMPLES, Installation
from tests.support.masters import grey_tiff
from tests.support.origin_server import OriginServer
from tests.support.waiting import START, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

FILES = 60
CLIENTS = 64
STACK = 8 * 1024 * 1024  # bytes of address space that a thread takes at least, by default


@pytest.fixture(scope="module")
def origin() -> Iterator[OriginServer]:
    with OriginServer(SAMPLES) as running:
        yield running


@pytest.fixture(scope="module")
def installation(origin: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("files"), origin.url, *ONE_WORKER, "--nginx", "never")
    running.command = ("prlimit", f"--nofile={FILES}:{FILES}", *running.command)
    running.start()
    yield running
    running.end()


def is_clean(answer: requests.Response) -> bool:
    """Returns True for a whole image, and for a 503 that says when to ask again."""
    if answer.status_code == 200:
        return len(answer.content) == int(answer.headers["Content-Length"]) > 0
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0 and answer.json()["status"] == 503


def test_many_clients_get_whole_answers_or_503(installation: Installation, origin: OriginServer) -> None:
    processes = installation.pids("gunicorn")
    origin.script("warm.tif", body=grey_tiff(200, edge=3000))
    until(lambda: installation.ask("warm.tif").status_code == 200, what="the first image")
    cold = [f"cold-{number}.tif" for number in range(20)]
    for path in cold:
        origin.script(path, body=grey_tiff(200))
    paths = [path for number in range(300) for path in (["warm.tif", "warm.tif?x=1", cold[number % 20]][number % 3],)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(installation.ask, paths))
    assert [answer.text for answer in answers if not is_clean(answer)] == []
    assert sum(answer.status_code == 200 for answer in answers) > 100
    assert installation.pids("gunicorn") == processes
    until(lambda: installation.ask("cold-0.tif").status_code == 200, what="an image afterwards")


def test_idle_connections_and_silent_clients_lock_nobody_out(installation: Installation) -> None:
    port = int(installation.url.rpartition(":")[2])
    processes = installation.pids("gunicorn")
    with ExitStack() as clients:
        for number in range(CLIENTS // 2):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            if number % 2:
                client.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert is_clean(installation.ask("warm.tif"))
    assert installation.pids("gunicorn") == processes


@contextmanager
def no_more_threads(pid: int) -> Iterator[int]:
    """Leave *pid* less address space than the stack of a thread. Gives the number of its threads."""
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.prlimit(pid, resource.RLIMIT_AS, (used + STACK // 2, -1))
    try:
        yield len(list(Path(f"/proc/{pid}/task").iterdir()))
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)


def test_requests_wait_for_a_thread_where_none_can_be_started(installation: Installation, origin: OriginServer) -> None:
    processes = installation.pids("gunicorn")
    origin.script("threads.tif", body=grey_tiff(200))
    until(lambda: installation.ask("threads.tif").status_code == 200, START, "an image")
    port = int(installation.url.rpartition(":")[2])
    with no_more_threads(processes[-1]) as threads, ExitStack() as silent:
        for _ in range(threads):
            silent.enter_context(socket.create_connection(("127.0.0.1", port)))
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(installation.ask, ["threads.tif"] * 40))
    assert [answer.text for answer in answers if not is_clean(answer)] == []
    assert installation.pids("gunicorn") == processes


@pytest.mark.parametrize(
    ("hard", "expected"),
    [
        (resource.RLIM_INFINITY, (1000, 528, 512)),
        (524_288, (1000, 528, 512)),
        (1024, (464, 463, 447)),
        (64, (16, 15, 11)),
    ],
)
def test_connections_are_as_many_as_files_allow(
    monkeypatch: pytest.MonkeyPatch, hard: int, expected: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (hard, hard))
    found = limits(512, 16)
    assert (found.connections, found.threads, found.waiters) == expected
    assert found.files == (FILES_MOST if hard in {resource.RLIM_INFINITY, 524_288} else hard)
