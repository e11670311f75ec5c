"""An installation that faults damage and that mends itself. Modules with settings, and some tests, have their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.support.environment import QUICK, FaultEnvironment
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
    """Settings in addition to `QUICK`; a test module may define its own fixture of this name."""
    return {}


@pytest.fixture(scope="package")
def shared(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEnvironment]:
    """The installation of all modules without settings of their own: each start takes five seconds of processor."""
    with running_installation(tmp_path_factory.mktemp("shared"), repository.url, **QUICK) as installation:
        environment = FaultEnvironment(installation, repository)
        yield environment
        environment.close()


@pytest.fixture(scope="module")
def damaged(
    request: pytest.FixtureRequest,
    repository: OriginServer,
    tmp_path_factory: pytest.TempPathFactory,
    given: dict[str, str],
) -> Iterator[FaultEnvironment]:
    if not given:
        yield request.getfixturevalue("shared")
        return
    with running_installation(tmp_path_factory.mktemp("faults"), repository.url, **(QUICK | given)) as installation:
        environment = FaultEnvironment(installation, repository)
        yield environment
        environment.close()


@pytest.fixture
def environment(damaged: FaultEnvironment) -> FaultEnvironment:
    """The installation, whole again."""
    return damaged


@pytest.fixture
def install(repository: OriginServer, tmp_path: Path) -> Iterator[Callable[..., FaultEnvironment]]:
    """Makes an installation with the given settings; it is stopped after the test."""
    made: list[FaultEnvironment] = []

    def start(**given: str) -> FaultEnvironment:
        installation = Installation(tmp_path, repository.url, **(QUICK | given))
        installation.start()
        made.append(FaultEnvironment(installation, repository))
        return made[-1]

    yield start
    for environment in made:
        environment.close()
        environment.installation.end()
