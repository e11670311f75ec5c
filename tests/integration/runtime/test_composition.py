"""`docker compose up`, but for the engine: every service as its user, on a read-only root."""

from __future__ import annotations

import signal
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import requests
from redis import AuthenticationError, Redis

from mezcal.commands.setup.secrets import TEMPLATES
from tests.support.containers import Composition, possible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not possible(), reason="needs root, and a program that others may read"),
]


@pytest.fixture
def composition(tmp_path: Path) -> Iterator[Composition]:
    tmp_path.chmod(0o755)
    made = Composition(tmp_path)
    with ExitStack() as stack:
        made.done("secrets")
        stack.enter_context(made.running("redis"))
        yield made


def secret(composition: Composition, name: str) -> str:
    reader, file = name.split("/")
    return (composition.folder / "volumes" / f"secrets-{reader}" / file).read_text().strip()


@pytest.mark.timeout(300)
def test_the_composition_makes_and_serves_an_image_with_passwords_of_its_own(composition: Composition) -> None:
    up = composition
    with ExitStack() as stack:
        for name in ("api", "worker", "beat", "flower"):
            stack.enter_context(up.running(name))
        up.done("nginx-config")
        stack.enter_context(up.running("nginx"))
        url = f"http://127.0.0.1:{up.ports['nginx']}"
        made = requests.get(f"{url}/images/agave-p3.tif", timeout=60)
        again = requests.get(f"{url}/images/agave-p3.tif", timeout=60)
        assert (made.status_code, again.status_code) == (200, 200), made.text
        assert again.headers["Cache-Status"] == "mezcal; hit"
        assert again.headers["ETag"] == made.headers["ETag"]
        assert requests.delete(f"{url}/images/agave-p3.tif", timeout=10).status_code == 401
        bearer = {"Authorization": f"Bearer {secret(up, 'api/api_tokens')}"}
        assert requests.delete(f"{url}/images/agave-p3.tif", headers=bearer, timeout=10).status_code == 204
        board = f"http://127.0.0.1:{up.ports['flower']}/"
        assert requests.get(board, timeout=10).status_code == 401
        user, _, word = secret(up, "flower/flower_basic_auth").partition(":")
        assert requests.get(board, auth=(user, word), timeout=10).status_code == 200


def test_redis_is_bounded_keeps_what_it_has_and_asks_for_its_password(composition: Composition) -> None:
    port = composition.ports["redis"]
    with Redis(port=port) as anonymous, pytest.raises(AuthenticationError):
        anonymous.ping()
    with Redis(port=port, password=secret(composition, "redis/redis_password"), decode_responses=True) as client:
        config = client.config_get("appendonly", "maxmemory", "maxmemory-policy", "save")
    assert config == {"appendonly": "yes", "maxmemory": str(2**30), "maxmemory-policy": "noeviction", "save": ""}
    listed = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert secret(composition, "redis/redis_password") not in listed


def test_the_secrets_of_an_installation_stay_as_they_are(composition: Composition) -> None:
    names = tuple(TEMPLATES)
    before = [secret(composition, name) for name in names]
    composition.done("secrets")
    assert [secret(composition, name) for name in names] == before
    assert len(set(before)) == len(names)


@pytest.mark.parametrize("role", ["worker", "beat", "api"])
def test_a_role_that_gets_sigterm_ends_by_itself(composition: Composition, role: str) -> None:
    with composition.running(role) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, composition.log(role)
