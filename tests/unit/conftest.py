"""A queue and a store of their own for tests that put them together, on the broker of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mezcal.jobs import Jobs
from mezcal.settings import load
from mezcal.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import Store
    from tests.support.broker import Broker
    from tests.support.s3_server import S3Server


@pytest.fixture
def given() -> dict[str, Any]:
    """Settings that differ from those below; a test module may define its own fixture of this name."""
    return {}


@pytest.fixture
def settings(broker: Broker, tmp_path: Path, given: dict[str, Any]) -> Settings:
    """Settings with keys and folders that no other test has."""
    own = {"redis_url": broker.url, "key_prefix": f"{uuid4().hex}:", "data_dir": tmp_path, "repo_base_url": "file:///"}
    return load(_env_file=None, **own | given)


@pytest.fixture
def jobs(settings: Settings) -> Jobs:
    return Jobs.of(settings)


@pytest.fixture
def store(settings: Settings) -> Store:
    return open_store(settings)


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Callable[[str], S3Server]:
    """An object store by its fixture's name, started only where it is asked for."""
    return request.getfixturevalue
