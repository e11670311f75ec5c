"""docker-compose.yml with a real engine: secrets, scale, metrics, nginx in front."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.compositions import FRONT, SAMPLE, Composition, ask, started
from tests.support.engine import engine
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def up(image: str) -> Iterator[Composition]:
    yield from started(Composition("docker-compose.yml"))


def test_three_workers_are_there_and_an_image_is_made_once(up: Composition) -> None:
    assert len(up.containers("worker")) == 3
    made, again = ask(up, SAMPLE), ask(up, SAMPLE)
    assert (made.status, again.status) == (200, 200), made.text
    assert again.headers["Cache-Status"] == "mezcal; hit"
    assert made.headers["ETag"] == again.headers["ETag"]
    assert ask(up, f"{FRONT}/readyz").status == 200


def test_tokens_of_the_installation_delete_and_sign_in(up: Composition) -> None:
    target = f"{FRONT}/images/agave.tif"
    assert ask(up, target, "DELETE").status == 401
    bearer = f"Bearer {up.secret('api', 'api/api_tokens')}"
    assert ask(up, target, "DELETE", Authorization=bearer).status == 204
    board = "http://flower:5555/"
    assert ask(up, board).status == 401
    login = base64.b64encode(up.secret("flower", "flower/flower_basic_auth").encode()).decode()
    assert ask(up, board, Authorization=f"Basic {login}").status == 200


def test_prometheus_gets_metrics_with_the_token_and_hits_of_nginx_are_counted(up: Composition) -> None:
    assert ask(up, f"{FRONT}/metrics").status in (401, 403)
    ask(up, SAMPLE)

    def hits() -> float:
        found = up.metrics("http://api:5000/metrics").items()
        return sum(
            value for (name, labels), value in found if name == "mezcal_requests_total" and 'server="nginx"' in labels
        )

    until(lambda: hits() > 0, 30, "a hit of nginx in the metrics")
    for worker in up.containers("worker"):
        address = worker.run("hostname", "-i").stdout.split()[0]
        found = up.metrics(f"http://{address}:9190/metrics")
        assert found["mezcal_broker_up", ""] == 1


SEEN = {
    "api": {"redis", "api", "metrics"},
    "worker": {"redis", "worker", "metrics"},
    "beat": {"redis", "worker", "metrics"},
    "flower": {"redis", "flower"},
}


@pytest.mark.parametrize("service", SEEN)
def test_a_container_sees_only_the_secrets_of_its_role(up: Composition, service: str) -> None:
    container = up.containers(service)[0]
    script = "import json, pathlib; print(json.dumps([str(p) for p in pathlib.Path('/run/secrets').glob('*/*')]))"
    files = json.loads(container.run("python", "-c", script).stdout)
    assert {file.split("/")[3] for file in files} <= SEEN[service]
    names = {"redis": "redis_password", "api": "api_tokens", "flower": "flower_basic_auth", "metrics": "metrics_token"}
    expected = {f"/run/secrets/{reader}/{names[reader]}" for reader in SEEN[service] & set(names)}
    assert expected <= set(files)
    secrets = {container.run("cat", file).stdout.strip() for file in expected}
    shown = container.run("env").stdout + engine("inspect", container.name).stdout
    assert not [secret for secret in secrets if secret in shown]
    assert "Seccomp:\t2" in container.run("cat", "/proc/1/status").stdout
    assert container.run("touch", "/opt/x", check=False).returncode != 0


def test_mezcal_itself_finds_nothing_to_say_of_its_containers(up: Composition) -> None:
    """`mezcal check` warned of secrets that everybody may read."""
    done = up.one("api").run("mezcal", "check", check=False)
    found = [line for line in (done.stdout + done.stderr).splitlines() if re.match(r"(warning|failed)\b", line)]
    assert [line for line in found if "secrets" in line] == []


def test_a_worker_that_is_stopped_ends_by_itself_and_the_others_go_on(up: Composition) -> None:
    first = up.containers("worker")[0]
    assert first.end() == 0, first.log()
    assert ask(up, f"{FRONT}/images/maps/valley.tif").status == 200
