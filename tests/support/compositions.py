"""The compositions of the checkout, run by a container engine."""

from __future__ import annotations

import os
import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import Container, compose, engine, program
from tests.support.roles import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.engine import Answer

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
