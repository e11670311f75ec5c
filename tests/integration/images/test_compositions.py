"""docker-compose.yml and docker-compose.s3.yml with a real engine: secrets, scale, metrics, nginx in front."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import Container, compose, engine, has_image, program
from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import Answer

MOTO = "motoserver/moto:5.1.0"
FRONT = "http://nginx:8080"
SAMPLE = f"{FRONT}/images/agave-p3.tif"
UNITS = re.compile(r"^(mezcal_\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


class Composition:
    """The services of *files* under a project name of their own."""

    def __init__(self, *files: str) -> None:
        self.files = files
        self.project = f"mezcaltest{os.getpid()}"
        ports = {"MEZCAL_PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
        self.env = {"COMPOSE_PROJECT_NAME": self.project, "MEZCAL_VERSION": "dev", **ports}

    def compose(self, *words: str, check: bool = True) -> str:
        return compose("-p", self.project, *words, files=self.files, env=self.env, check=check)

    @contextmanager
    def health_checked(self) -> Iterator[None]:
        """Run the health checks again and again: podman leaves that to systemd, which may be missing."""
        over = threading.Event()

        def check() -> None:
            while not over.wait(1):
                for name in self.names():
                    engine("healthcheck", "run", name, check=False)

        thread = threading.Thread(target=check, daemon=True)
        thread.start()
        yield
        over.set()
        thread.join()

    def names(self, *filters: str) -> list[str]:
        """Returns the names of the running containers."""
        labels = [f"label=com.docker.compose.project={self.project}", *filters]
        words = [word for label in labels for word in ("--filter", label)]
        return engine("ps", *words, "--format", "{{.Names}}").stdout.split()

    def containers(self, service: str) -> list[Container]:
        """Returns the running containers of a service."""
        return [Container(name) for name in self.names(f"label=com.docker.compose.service={service}")]

    def one(self, service: str) -> Container:
        (container,) = self.containers(service)
        return container

    def secret(self, service: str, path: str) -> str:
        return self.one(service).run("cat", f"/run/secrets/{path}").stdout.strip()

    def metrics(self, url: str) -> dict[tuple[str, str], float]:
        """Returns what *url* says, by name and labels."""
        answer = self.one("api").ask(url, Authorization=f"Bearer {self.secret('api', 'metrics/metrics_token')}")
        assert answer.status == 200, answer.text
        return {(name, labels): float(value) for name, labels, value in UNITS.findall(answer.text)}


@pytest.fixture(scope="module")
def up(image: str) -> Iterator[Composition]:
    yield from started(Composition("docker-compose.yml"))


@pytest.fixture(scope="module")
def on_s3(image: str) -> Iterator[Composition]:
    if not has_image(MOTO):
        pytest.skip(f"needs the image {MOTO}")
    yield from started(Composition("docker-compose.yml", "docker-compose.s3.yml"))


def started(composition: Composition) -> Iterator[Composition]:
    """Start everything with three workers, wait until it answers, and remove it in the end."""
    if program("ENGINE_COMPOSE", "podman-compose", "docker compose", "docker-compose") is None:
        pytest.skip("needs podman-compose or docker compose, or ENGINE_COMPOSE")
    try:
        with composition.health_checked():
            composition.compose("up", "--detach", "--no-build", "--scale", "worker=3")
        until(lambda: len(composition.containers("nginx")) == 1, 180, "nginx")
        for service in ("api", "worker", "beat", "flower"):
            for container in composition.containers(service):
                container.until_healthy(180)
        until(lambda: answered(composition), 60, "an answer through nginx")
        yield composition
    finally:
        composition.compose("down", "--volumes", check=False)


def answered(composition: Composition) -> bool:
    done = composition.one("nginx").run("wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz", check=False)
    return done.returncode == 0


def ask(up: Composition, url: str, method: str = "GET", **headers: str) -> Answer:
    return up.one("api").ask(url, method, **headers)


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


def test_with_a_bucket_images_come_from_it(on_s3: Composition) -> None:
    made, again = ask(on_s3, SAMPLE), ask(on_s3, SAMPLE)
    assert (made.status, again.status) == (200, 200), made.text
    assert made.headers["ETag"] == again.headers["ETag"]
    script = "import urllib.request as u; print(u.urlopen('http://s3:9000/mezcal?list-type=2').read().decode())"
    listed = on_s3.one("api").run("python", "-c", script).stdout
    assert "agave-p3.tif/image.jpg" in listed
    assert not on_s3.one("api").run("ls", "/var/cache/mezcal").stdout.split()
