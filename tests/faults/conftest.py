"""One installation for the faults of this folder, which is damaged and mends itself; some tests make their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.scene import QUICK, Scene
from tests.house import SAMPLES, running_house
from tests.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Faults are asked to hold many times in a row: `pytest tests/faults --count 20`, see `pytest_addoption`."""


@pytest.fixture(scope="session")
def repository() -> Iterator[OriginServer]:
    with OriginServer(SAMPLES) as running:
        yield running


@pytest.fixture(scope="module")
def damaged(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_house(tmp_path_factory.mktemp("faults"), repository.url, **QUICK) as house:
        scene = Scene(house, repository)
        yield scene
        scene.close()


@pytest.fixture
def scene(damaged: Scene) -> Scene:
    """The installation, whole again."""
    return damaged


@pytest.fixture
def own(repository: OriginServer, tmp_path: Path) -> Iterator[list[Scene]]:
    """Installations that a test makes for itself, stopped at the end."""
    made: list[Scene] = []
    yield made
    for scene in made:
        scene.close()
        scene.house.stop()
