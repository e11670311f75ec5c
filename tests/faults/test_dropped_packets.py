"""The network drops the broker's packets: no connection is closed or refused, and each answer is waited for."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import requests
from redis import Redis

from mezcal.runtime.processes import SILENT_SECONDS
from tests.faults.support.environment import QUICK
from tests.support.masters import grey_tiff
from tests.support.network import network, networks_possible
from tests.support.roles import Installation, free_port, healthy, server
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.origin_server import OriginServer

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", SILENT_SECONDS + 30))
RECOVERY_SECONDS = 10
PORT = 6379
TRYING = ("housekeeping is delayed", "the broker cannot be reached")  # what a worker logs with each attempt

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.timeout(OUTAGE_SECONDS + 180),
    pytest.mark.skipif(not networks_possible(), reason="needs root: `make test-root`"),
]


def test_all_roles_stay_healthy_and_are_well_soon_after_the_heal(tmp_path: Path, repository: OriginServer) -> None:
    with network() as net, server(tmp_path / "redis", PORT, "--protected-mode", "no", inside=net.inside):
        until(lambda: Redis(net.address, PORT).ping(), what="the broker")
        port = free_port()
        given = QUICK | {"REDIS_URL": f"redis://{net.address}:{PORT}/0", "REPO_BASE_URL": repository.url}
        here = Installation(tmp_path / "here", **given)
        url = f"http://127.0.0.1:{port}"
        with ExitStack() as stack:
            roles = {
                "worker": stack.enter_context(here.role("worker", "--concurrency", "2")),
                "beat": stack.enter_context(here.role("beat")),
                "api": stack.enter_context(here.role("api", "--port", str(port))),
            }
            pids = {name: process.pid for name, process in roles.items()}
            assert image(url, repository, "warm.tif") == 200
            with traffic(url, repository), net.packets_dropped():
                watch(here, url, roles)
            healed = time.monotonic()
            until(lambda: image(url, repository, "after.tif") == 200, RECOVERY_SECONDS, "the first miss")
            until(lambda: requests.get(f"{url}/readyz", timeout=5).status_code == 200, RECOVERY_SECONDS, "readiness")
            print(f"well {time.monotonic() - healed:.1f} s after an outage of {OUTAGE_SECONDS:.0f} s")
            assert {name: process.pid for name, process in roles.items() if process.poll() is None} == pids


def watch(here: Installation, url: str, roles: dict[str, object]) -> None:
    """Assert for the time of the outage that each role is healthy, serves hits, and keeps trying."""
    ends, tried = time.monotonic() + OUTAGE_SECONDS, {name: 0 for name in roles if name != "api"}
    while time.monotonic() < ends:
        pause = time.monotonic() + min(SILENT_SECONDS, OUTAGE_SECONDS) / 2
        for name in roles:
            assert healthy(here.env | {"ROLE_SIGN": str(here.folder / f"{name}.role")}), (name, here.log())
        assert requests.get(f"{url}/images/warm.tif", timeout=5).status_code == 200
        assert requests.get(f"{url}/readyz", timeout=10).status_code == 503
        until(lambda pause=pause: time.monotonic() > pause, SILENT_SECONDS)
        for name, before in tried.items():
            tried[name] = sum(map((here.folder / f"{name}.log").read_text().count, TRYING))
            assert tried[name] > before, f"{name} has given up: {here.log()}"


def image(url: str, repository: OriginServer, path: str) -> int:
    """Ask for a master that no one has asked for. Returns the status, 0 without an answer."""
    repository.script(path, body=grey_tiff(90))
    try:
        return requests.get(f"{url}/images/{path}", timeout=30).status_code
    except requests.RequestException:
        return 0


@contextmanager
def traffic(url: str, repository: OriginServer) -> Iterator[None]:
    """Clients that ask for new images; the block begins when the first are made."""
    over, made = threading.Event(), threading.Event()

    def ask(client: int) -> None:
        number = 0
        while not over.wait(0.05):
            number += 1
            if image(url, repository, f"{client}-{number}.tif") == 200:
                made.set()

    with ThreadPoolExecutor(4) as pool:
        for client in range(4):
            pool.submit(ask, client)
        try:
            assert made.wait(30)
            yield
        finally:
            over.set()
