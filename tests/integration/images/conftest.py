"""The image, built once; containers and volumes that are removed in the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.engine import Container, built, engine, reason_to_skip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: they run by `make image-test` only."""
    for item in items:
        if "integration/images" in item.nodeid:
            item.add_marker(pytest.mark.images)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def image() -> str:
    if reason := reason_to_skip():
        pytest.skip(reason)
    return built()


@pytest.fixture
def start(image: str) -> Iterator[Callable[..., Container]]:
    """Start a container of the image: its name, the options of `run`, its command, `of` another image."""
    started: list[Container] = []

    def run(name: str, options: Sequence[str], *command: str, of: str = image) -> Container:
        container = Container.start(f"mezcal-test-{os.getpid()}-{name}", options, of, *command)
        started.append(container)
        return container

    yield run
    for container in reversed(started):
        container.remove()


@pytest.fixture
def volume(image: str) -> Iterator[Callable[[str], str]]:
    """Make a volume. Returns its name."""
    made: list[str] = []

    def make(name: str) -> str:
        engine("volume", "create", f"mezcal-test-{os.getpid()}-{name}")
        made.append(f"mezcal-test-{os.getpid()}-{name}")
        return made[-1]

    yield make
    for name in made:
        engine("volume", "rm", "--force", name, check=False)


@pytest.fixture
def network(image: str) -> Iterator[str]:
    name = f"mezcal-test-{os.getpid()}"
    engine("network", "create", name)
    yield name
    engine("network", "rm", "--force", name, check=False)
