"""One installation for the faults of each module, which is damaged and mends itself; some tests make their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.support.scene import QUICK, Scene
from tests.support.installation import SAMPLES, Installation, running_installation
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def repository() -> Iterator[OriginServer]:
    with OriginServer(SAMPLES) as running:
        yield running


@pytest.fixture(scope="module")
def given() -> dict[str, str]:
    """What the tests of a module have set beside `QUICK`; a module may have a fixture of its own by this name."""
    return {}


@pytest.fixture(scope="module")
def damaged(
    repository: OriginServer, tmp_path_factory: pytest.TempPathFactory, given: dict[str, str]
) -> Iterator[Scene]:
    with running_installation(tmp_path_factory.mktemp("faults"), repository.url, **(QUICK | given)) as installation:
        scene = Scene(installation, repository)
        yield scene
        scene.close()


@pytest.fixture
def scene(damaged: Scene) -> Scene:
    """The installation, whole again."""
    return damaged


@pytest.fixture
def install(repository: OriginServer, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Makes an installation with settings of its own, ended after the test."""
    made: list[Scene] = []

    def start(**given: str) -> Scene:
        installation = Installation(tmp_path, repository.url, **(QUICK | given))
        installation.start()
        made.append(Scene(installation, repository))
        return made[-1]

    yield start
    for scene in made:
        scene.close()
        scene.installation.end()
