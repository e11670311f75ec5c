"""One installation on six hosts for all faults: starting it takes longer than most of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.hosts.support.cluster import FRONT, REDIS_HOSTS, WORKERS, Cluster
from tests.hosts.support.lan import HERE, Lan
from tests.hosts.support.stores import WatchedFolder
from tests.hosts.support.trial import Trial
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = int(os.environ.get("SEED", "1"))


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """An installation whose hosts share a folder of derivatives."""
    folder = tmp_path_factory.mktemp("hosts")
    names = [*REDIS_HOSTS, *WORKERS, FRONT]
    with Lan(folder, names, SEED) as lan, OriginServer(None, lan.address(HERE)) as origin:
        cluster = Cluster(lan, origin, {"STORAGE_DIR": str(folder / "store")})
        cluster.start_all()
        yield Trial(cluster, WatchedFolder(folder / "store"), SEED)
