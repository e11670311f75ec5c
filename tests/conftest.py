"""What tests of every kind share."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support.broker import running_broker
from tests.support.s3_server import running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.broker import Broker
    from tests.support.s3_server import S3Server

# no test is about time: machines may be busy
settings.register_profile("mezcal", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mezcal")

FILES = 16_384  # open at once: tests with a thousand clients; an ordinary login has 1,024


def pytest_configure() -> None:
    """Raise the soft limit of open files, as far as the system allows it. Let processes start fast."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds are started, and each would compile all of mezcal
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "1"  # each would search the metadata of all packages for one
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker for the whole run; each test has its own key prefix."""
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real object store for the whole run; each test has its own bucket."""
    with running_s3(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def plain_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One that takes no notice of conditions on writes."""
    with running_s3(tmp_path_factory.mktemp("plain-s3"), "plain") as running:
        yield running
