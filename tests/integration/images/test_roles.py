"""Each role in a container of its own, as any user, with its broker in another container."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mezcal.runtime.processes import SILENT_SECONDS
from tests.support.engine import CONFINED, engine
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.engine import Container

    Start = Callable[..., Container]

COMMANDS = {
    "api": ["api", "--host", "0.0.0.0"],
    "worker": ["worker", "--concurrency", "2"],
    "interactive": ["worker", "--lanes", "interactive"],
    "beat": ["beat"],
    "listen": ["listen", "stomp://user:password@nowhere.invalid:61613/queue/images"],
    "flower": ["flower", "--host", "0.0.0.0"],
}
VALKEY = "valkey/valkey:8.1-alpine"


@pytest.fixture
def broker(start: Start, network: str) -> Container:
    options = [*CONFINED, "--network", network, "--network-alias", "redis", "--user", "valkey"]
    server = ["valkey-server", "--appendonly", "yes", "--save", "", "--dir", "/data"]
    return start("redis", [*options, "--volume", "/data"], *server, of=VALKEY)


@pytest.fixture
def role(start: Start, network: str, broker: Container) -> Callable[..., Container]:
    """Start a role by its name, as the user that a cluster chose."""

    def run(name: str, *options: str) -> Container:
        env = [
            "--env",
            "REDIS_URL=redis://redis:6379/0",
            "--env",
            "REPO_BASE_URL=file:///opt/mezcal/lib/python3.11/site-packages/mezcal/sample",
        ]
        confined = [*CONFINED, "--user", "12345:0", "--network", network]
        return start(name, [*confined, *env, *options], *COMMANDS[name])

    return run


@contextmanager
def paused(container: Container) -> Iterator[None]:
    engine("pause", container.name)
    try:
        yield
    finally:
        engine("unpause", container.name)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_role_becomes_healthy_and_ends_by_itself(role: Callable[..., Container], name: str) -> None:
    container = role(name).until_healthy()
    started = time.monotonic()
    assert container.end() == 0, container.log()
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_an_outage_of_the_broker_leaves_a_worker_healthy(
    role: Callable[..., Container], broker: Container, name: str
) -> None:
    """A frozen broker answers nothing, as one behind a broken network does: an orchestrator must restart no worker."""
    container = role(name).until_healthy()
    with paused(broker):
        end = time.monotonic() + 2 * SILENT_SECONDS
        until(lambda: time.monotonic() > end or not container.healthy(), 3 * SILENT_SECONDS)
        assert container.healthy(), container.log()
    assert container.run("mezcal", "healthy").returncode == 0


@pytest.mark.parametrize("name", ["api", "worker", "beat", "flower"])
def test_a_role_starts_before_its_broker(start: Start, network: str, name: str) -> None:
    """An orchestrator starts all at once."""
    env = [
        "--env",
        "REDIS_URL=redis://redis:6379/0",
        "--env",
        "REPO_BASE_URL=file:///opt/mezcal/lib/python3.11/site-packages/mezcal/sample",
    ]
    container = start(name, [*CONFINED, "--network", network, *env], *COMMANDS[name])
    if name != "flower":
        container.until_healthy(180)
    start(
        "redis",
        [*CONFINED, "--network", network, "--network-alias", "redis", "--user", "valkey", "--volume", "/data"],
        "valkey-server",
        "--appendonly",
        "yes",
        "--dir",
        "/data",
        of=VALKEY,
    )
    container.until_healthy(180)
