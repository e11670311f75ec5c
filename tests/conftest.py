"""What tests of every kind share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.broker import running_broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.broker import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A real broker for the whole run; a test takes a key prefix of its own."""
    with running_broker(tmp_path_factory.mktemp("broker")) as running:
        yield running
