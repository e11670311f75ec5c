"""A running Celery worker whose private state can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.runtime.processes import LANES
from tests.contracts.celery_actor import make_app
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.broker import Broker


class CeleryWorker:
    """A worker in a separate process, and an app that sends it messages."""

    def __init__(self, broker: Broker, folder: Path) -> None:
        self.folder, self.app, self.broker = folder, make_app(broker.url, folder), broker

    def send(self, name: str, queue: str) -> None:
        self.app.send_task("hold", args=[name], queue=queue)

    def state(self) -> dict[str, Any]:
        file = self.folder / "state"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def log(self) -> list[str]:
        file = self.folder / "log"
        return file.read_text().splitlines() if file.exists() else []

    def queued(self, queue: str) -> int:
        with self.broker.client() as client:
            return int(client.llen(f"{self.folder.name}:{queue}"))

    @contextmanager
    def running(self, processes: int) -> Iterator[CeleryWorker]:
        words = [sys.executable, "-m", "celery", "--quiet", "-A", "tests.contracts.celery_actor", "worker"]
        options = [f"--concurrency={processes}", f"--queues={LANES['all']}", "--loglevel=ERROR"]
        env = os.environ | {"BROKER_URL": self.broker.url, "FOLDER": str(self.folder)}
        process = subprocess.Popen([*words, *options], env=env)
        try:
            until(self.state, 30, "the worker's state")
            yield self
        finally:
            (self.folder / "go").touch()
            process.terminate()
            process.wait(20)


@pytest.fixture
def celery_worker(broker: Broker, tmp_path: Path) -> Callable[[int], AbstractContextManager[CeleryWorker]]:
    """Starts one with so many processes."""
    return CeleryWorker(broker, tmp_path).running
