"""One installation for all tests of this folder, in front of one scripted repository."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.support.installation import SAMPLES, running_installation
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation

TOKEN = "a-token-of-the-tests"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HEARS = {  # the accepted events, and their credentials
    "WEBHOOK_SECRETS": f"an older one,{SECRET}",
    "WEBHOOK_LOGINS": "fcrepo:secret",
    "WEBHOOK_TOKENS": "secret",
    "WEBHOOK_BASE_URLS": "http://fcrepo.example/rest/,http://drupal.example/_flysystem/fedora",
    "WEBHOOK_BUCKETS": "masters,others/scans/",
    "WEBHOOK_PATHS": "dc/*,2026-11/*,*.tif,*.pdf",
    "WEBHOOK_MAX_BYTES": str(2 << 20),
    "JOBS_MAX_ITEMS": "20000",
}


@pytest.fixture(scope="session")
def repository() -> Iterator[OriginServer]:
    """A real HTTP repository that holds the sample masters."""
    with OriginServer(SAMPLES) as running:
        yield running


@pytest.fixture(scope="session")
def installation(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A running mezcal with two API processes and two pool processes; after all that was asked of it, it stops."""
    folder = tmp_path_factory.mktemp("installation")
    given = {"API_TOKENS": TOKEN, "API_PROCESSES": "2", "ORIGIN_RETRIES": "1", "FAILURE_BRIEF_SECONDS": "1"}
    with running_installation(folder, repository.url, **given, **HEARS) as up:
        yield up
        assert up.stop() == 0


@pytest.fixture(scope="session")
def alone(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One API process without nginx in front, where few misses may wait."""
    given = {"API_PROCESSES": "1", "WAITERS_MAX": "6", "WAIT_SECONDS": "60", "LOG_FORMAT": "json"}
    folder = tmp_path_factory.mktemp("alone")
    given |= {"API_TOKENS": TOKEN, "WEBHOOK_SECRETS": SECRET}
    with running_installation(folder, repository.url, "--nginx", "never", **given) as up:
        yield up
        assert up.stop() == 0


@pytest.fixture
def master(repository: OriginServer) -> str:
    """The path of a master that no other test has asked for."""
    path = f"{uuid4().hex}.tif"
    repository.script(path, body=(SAMPLES / "maps" / "valley.tif").read_bytes())
    return path
