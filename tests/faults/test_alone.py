"""A worker whose broker is away: it lives, shows it, and comes back by itself."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mezcal.jobs import Jobs, Lane
from mezcal.recipe import Mezzanine
from mezcal.runtime import processes
from mezcal.settings import load
from mezcal.store import open_store
from tests.support.broker import running_broker
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import Broker


@contextmanager
def worker(broker: Broker, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker as a container runs it, with a heartbeat file."""
    given = {"REDIS_URL": broker.url, "REPO_BASE_URL": (folder / "masters").as_uri(), "DATA_DIR": str(folder)}
    beat = {"WORKER_HEARTBEAT": str(folder / "alive")}
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            processes.worker(processes.LANES["all"], 1, "all@%h", "INFO"), env=os.environ | given | beat, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_worker_shows_that_it_lives_while_the_broker_is_away_and_comes_back(tmp_path: Path) -> None:
    (tmp_path / "masters").mkdir()
    (tmp_path / "masters" / "a.tif").write_bytes(grey_tiff(10))
    beat = tmp_path / "alive"
    with running_broker(tmp_path) as broker, worker(broker, tmp_path) as process:
        until(beat.exists, 30, "the first sign of life")
        broker.stop()
        for _ in range(4):
            last = beat.stat().st_mtime_ns
            until(lambda last=last: beat.stat().st_mtime_ns > last, 5, "another sign of life")
        assert process.poll() is None
        broker.start()
        settings = load(
            _env_file=None, redis_url=broker.url, data_dir=tmp_path, repo_base_url=(tmp_path / "masters").as_uri()
        )
        recipe = Mezzanine.parse("a.tif")
        Jobs.of(settings).ask(recipe, Lane.BULK)
        until(lambda: open_store(settings).find(recipe), 20, "an image")


def test_a_worker_does_not_start_on_a_broker_that_evicts(tmp_path: Path) -> None:
    (tmp_path / "masters").mkdir()
    with running_broker(tmp_path) as broker:
        with broker.client() as client:
            client.config_set("maxmemory-policy", "allkeys-lfu")
        with worker(broker, tmp_path) as process:
            until(lambda: process.poll() is not None, 30, "its end")
            assert process.returncode != 0
        assert "allkeys-lfu" in (tmp_path / "worker.log").read_text()
