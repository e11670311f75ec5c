"""An API process that may open few files: each answer is whole or a 503, and the process goes on."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from api.server.open_files import FILES_MOST, limits
from tests.support.installation import SAMPLES, Installation
from tests.support.masters import grey_tiff
from tests.support.origin_server import OriginServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

FILES = 60
CLIENTS = 64


@pytest.fixture(scope="module")
def origin() -> Iterator[OriginServer]:
    with OriginServer(SAMPLES) as running:
        yield running


@pytest.fixture(scope="module")
def installation(origin: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    running = Installation(tmp_path_factory.mktemp("files"), origin.url, "--nginx", "never")
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
    asked = [path for number in range(300) for path in (["warm.tif", "warm.tif?x=1", cold[number % 20]][number % 3],)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(installation.ask, asked))
    assert [answer.text for answer in answers if not is_clean(answer)] == []
    assert sum(answer.status_code == 200 for answer in answers) > 100
    assert installation.pids("gunicorn") == processes
    until(lambda: installation.ask("cold-0.tif").status_code == 200, what="an image afterwards")


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
