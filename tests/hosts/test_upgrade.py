"""A former version is replaced host by host under load: both work at the same time, with one Redis and one store."""

from __future__ import annotations

import io
import subprocess
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from mezcal.jobs import FormerQueue
from tests.hosts.conftest import SEED
from tests.hosts.support.cluster import FRONT, NGINX, REDIS_HOSTS, SECOND_FRONT, WORKERS, Cluster
from tests.hosts.support.lan import HERE, Lan, lans_possible
from tests.hosts.support.stores import WatchedFolder
from tests.hosts.support.trial import Trial
from tests.support.origin_server import OriginServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
TOKEN = "a-token-of-the-tests"
BULK = 300
OLD, NEW = "old-worker", "new-worker"

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not lans_possible(), reason="needs root and /dev/net/tun: `make test-hosts`"),
]


def code_of(commit: str, folder: Path) -> Path:
    """Returns a folder with the program as it was at *commit*. Skips the test in a source archive."""
    words = ("git", "-C", str(PROJECT), "archive", commit, "mezcal", "worker", "api", "celeryconfig.py")
    packed = subprocess.run(words, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"git has no commit {commit} here")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[Trial]:
    """Hosts without a program yet, but for Redis."""
    names = [*REDIS_HOSTS, *WORKERS, FRONT, SECOND_FRONT]
    store = tmp_path / "store"
    with Lan(tmp_path, names, SEED) as lan, OriginServer(None, lan.address(HERE)) as origin:
        cluster = Cluster(lan, origin, {"STORAGE_DIR": str(store)}, API_TOKENS=TOKEN)
        cluster.start_redis()
        yield Trial(cluster, WatchedFolder(store), SEED)


def test_from_a_version_with_another_queue(upgraded: Trial, tmp_path: Path) -> None:
    """The first version with `make release`: its keys in Redis have no mark of their origin."""
    cluster = upgraded.cluster
    start_old(cluster, code_of("fd21aaf", tmp_path / "code"))
    bulk = [f"bulk-{number:03}.tif" for number in range(BULK)]
    with upgraded.under_steady_load("another-queue", bulk):
        ask_for(cluster, bulk)
        start_new_workers(cluster)
        replace_fronts(cluster)
        former = FormerQueue.of(cluster.settings)
        until(lambda: former.unfinished() == 0, 300, "the end of the former queue")
        stop_old_workers(cluster)


def test_from_a_version_with_the_same_queue(upgraded: Trial, tmp_path: Path) -> None:
    """The first version whose keys are those of today: old and new workers take jobs from one table."""
    cluster = upgraded.cluster
    start_old(cluster, code_of("d7f56c7", tmp_path / "code"))
    bulk = [f"bulk-{number:03}.tif" for number in range(BULK)]
    with upgraded.under_steady_load("same-queue", bulk):
        ask_for(cluster, bulk)
        start_new_workers(cluster)
        stop_old_workers(cluster)
        replace_fronts(cluster)


def start_old(cluster: Cluster, code: Path) -> None:
    """Start the former version on all hosts."""
    for name in (FRONT, SECOND_FRONT):
        cluster.start_front(name, code)
    for name in WORKERS:
        cluster.start_worker(name, code, OLD)
    for name in WORKERS:
        cluster.wait_for_worker(name, OLD)
    for name in (FRONT, SECOND_FRONT):
        cluster.wait_for_front(name)


def ask_for(cluster: Cluster, paths: list[str]) -> None:
    """Have the images of *paths* made in bulk."""
    url = f"http://{cluster.lan.address(FRONT)}:{NGINX}/jobs"
    answer = requests.post(url, json={"items": paths}, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    assert answer.status_code == 202, answer.text


def start_new_workers(cluster: Cluster) -> None:
    """Start a worker of this version beside each of the former one."""
    for name in WORKERS:
        cluster.start_worker(name, program=NEW)
    for name in WORKERS:
        cluster.wait_for_worker(name, NEW)


def stop_old_workers(cluster: Cluster) -> None:
    for name in WORKERS:
        began = time.monotonic()
        cluster.lan.stop(name, OLD)
        print(f"the former worker on {name} ended after {time.monotonic() - began:.1f} s")


def replace_fronts(cluster: Cluster) -> None:
    """Replace one front after the other. Clients are sent to the other one meanwhile, as a load balancer does."""
    for name in (FRONT, SECOND_FRONT):
        cluster.fronts.remove(name)
        for program in ("api", "nginx"):
            cluster.lan.stop(name, program)
        cluster.start_front(name)
        cluster.wait_for_front(name)
