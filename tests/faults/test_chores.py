"""Periodic work: once per installation, however many workers run, and without the one that died."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import Broker


@contextmanager
def worker(broker: Broker, folder: Path, prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    """A separate worker with a chore that is due every second."""
    words = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "tests.faults.support.chore_app",
        "worker",
        "--concurrency=1",
    ]
    given = {
        "REDIS_URL": broker.url,
        "KEY_PREFIX": prefix,
        "REPO_BASE_URL": folder.as_uri(),
        "DATA_DIR": str(folder),
        "CHORES_DONE": str(folder / "done"),
        "LOG_LEVEL": "ERROR",
    }
    process = subprocess.Popen(
        [*words, "--queues=interactive,chores,bulk", f"-n{os.urandom(3).hex()}@%h"], env=os.environ | given
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_two_workers_do_a_chore_once_and_one_goes_on_without_the_other(broker: Broker, tmp_path: Path) -> None:
    done = tmp_path / "done"
    done.touch()

    def workers() -> list[str]:
        return done.read_text().split()

    with worker(broker, tmp_path, "chores:") as first, worker(broker, tmp_path, "chores:"):
        until(lambda: len(workers()) >= 2, what="the chore")
        before, began = len(workers()), time.monotonic()
        until(lambda: len(workers()) >= before + 3, what="three turns")
        assert len(workers()) - before <= time.monotonic() - began + 1.5, "not once for each worker"
        first.kill()
        first.wait()
        after = len(workers())
        until(lambda: len(workers()) >= after + 2, what="the chore without the other")
