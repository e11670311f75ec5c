"""The probes of Redis on Kubernetes, asked of a server that loads its log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.engine import CONFINED, engine
from tests.support.kubernetes import FOLDER, objects, pods
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.engine import Container

VALKEY = "valkey/valkey:8.1-alpine"
SERVER = ["valkey-server", "--requirepass", "secret", "--dir", "/data", "--appendonly", "yes", "--save", ""]
# A thousandth of a second for each of 20,000 keys, and a look at connections after each kilobyte.
SLOW = ["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]
FILL = "for i = 1, 20000 do redis.call('set', i, i) end"


def probe(container: Container, name: str) -> bool:
    """Run a probe of the manifest as the kubelet does. Returns True if it succeeds."""
    (_, pod) = next(found for found in pods(objects((FOLDER / "base/redis.yaml").read_text())))
    (redis,) = pod["spec"]["containers"]
    asked = redis[f"{name}Probe"]
    words = ["timeout", str(asked["timeoutSeconds"]), *asked["exec"]["command"]]
    return container.run(*words, check=False).returncode == 0


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    (tmp_path / "redis_password").write_text("secret")
    tmp_path.chmod(0o755)
    return tmp_path


def test_a_redis_that_loads_lives_is_not_ready_and_is_so_in_the_end(
    start: Callable[..., Container], volume: Callable[[str], str], secrets: Path
) -> None:
    mounts = ["--volume", f"{volume('data')}:/data", "--volume", f"{secrets}:/run/secrets/redis:ro"]
    options = [*CONFINED, "--user", "valkey", *mounts]
    first = start("redis", options, *SERVER, of=VALKEY)
    until(lambda: probe(first, "readiness"), 60, first.log())
    assert probe(first, "startup")
    first.run("sh", "-c", f'REDISCLI_AUTH=secret valkey-cli eval "{FILL}" 0')
    assert first.end() == 0
    again = start("loading", options, *SERVER, *SLOW, of=VALKEY)
    until(lambda: probe(again, "liveness"), 15, again.log())
    assert not probe(again, "readiness"), "it loads for twenty seconds"
    assert not probe(again, "startup")
    assert probe(again, "liveness")
    until(lambda: probe(again, "readiness"), 120, again.log())
    engine("kill", "--signal", "STOP", again.name)
    try:
        assert not probe(again, "liveness"), "it hangs"
    finally:
        engine("kill", "--signal", "CONT", again.name)
