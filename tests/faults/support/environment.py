"""An installation that a test damages, and the checks that it has recovered."""

from __future__ import annotations

import os
import shutil
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from PIL import Image
from redis import RedisError

from mezcal.jobs import Jobs, JobState
from mezcal.settings import load
from tests.support.masters import grey_tiff
from tests.support.proc import command_line, parent_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Record
    from mezcal.jobs.state.table import JobTable
    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer, Script

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
QUICK = {  # short leases and pauses, so that a test does not take long; deaths are noticed as in production
    "API_TOKENS": TOKEN,
    "LEASE_SECONDS": "2",
    "ORIGIN_RETRIES": "1",
    "RETRY_SECONDS": "0.5",
    "FAILURE_BRIEF_SECONDS": "1",
    "BREAKER_FAILURES": "1000",
    "DRAIN_SECONDS": "10",
}
STRUCTURE = {  # keys that may have no expiry: lists of queued, running or failed jobs
    *("queued:interactive", "queued:bulk", "running", "delayed", "failed", "chunks"),
    "notices",  # what needs a person now
    *("interactive", "bulk", "chores", "unacked", "unacked_index"),
    *("_kombu.binding.interactive", "_kombu.binding.bulk", "_kombu.binding.chores", "_kombu.binding.celery.pidbox"),
    *("_kombu.binding.celeryev", "_kombu.binding.reply.celery.pidbox"),
}


class FaultEnvironment:
    """One installation in front of one repository, with means to damage it."""

    def __init__(self, installation: Installation, repository: OriginServer) -> None:
        self.installation, self.repository = installation, repository
        self._pool = ThreadPoolExecutor(64)
        self._names = 0

    # --- masters and requests

    def master(self, body: bytes | None = None, **script: Any) -> tuple[str, Script]:
        """Returns a master that no test has asked for, and its script."""
        self._names += 1
        path = f"{os.urandom(4).hex()}-{self._names}.tif"
        return path, self.repository.script(path, body=grey_tiff(200) if body is None else body, **script)

    def slow_master(self, **script: Any) -> tuple[str, Script]:
        """Returns a master whose download stops in the middle until `go` is set."""
        return self.master(hold_at=2000, **script)

    def request_in_background(self, path: str, **options: Any) -> Future[requests.Response]:
        """Request *path* in a thread. Returns the future response."""
        return self._pool.submit(self.installation.ask, path, **options)

    def wait_for_attempt(self, path: str, after: int = 0) -> Record:
        """Wait until attempt *after* + 1 of the job of *path* runs and reads its master. Returns the job."""
        self.repository.wait_for_requests(path, after + 1)

        def runs() -> Record | None:
            job = self.job(path)
            return job if job and job.state is JobState.RUNNING and job.attempts > after else None

        job = until(runs, 20, f"attempt {after + 1}")
        assert job is not None
        return job

    def job(self, path: str) -> Record | None:
        """Returns the job of *path* from the job table, None if there is none or Redis cannot be reached."""
        with suppress(RedisError):
            return self.installation.job(path)
        return None

    @property
    def table(self) -> JobTable:
        return self.installation.table

    def jobs(self) -> Jobs:
        """Returns the queue of the installation, as a client in this process."""
        url = f"redis+socket://{self.installation.folder}/data/run/broker.sock"
        return Jobs.of(load(_env_file=None, redis_url=url, repo_base_url=self.repository.url))

    def shutdowns(self) -> int:
        """Returns how many workers have said that they stop."""
        return self.installation.journal.read_text().count("Warm shutdown")

    # --- damage

    def pool(self) -> list[int]:
        """Returns the pool processes of both workers."""
        return self.installation.pool()

    def workers(self) -> list[int]:
        """Returns the main processes of both workers."""
        return until(lambda: len(found := self.installation.workers()) == 2 and found, what="two workers")

    def worker_of(self, path: str) -> int:
        """Returns the main process of the worker that runs the job of *path*."""
        record = self.wait_for_attempt(path)
        assert record.worker is not None
        return parent_of(int(record.worker.rpartition(":")[2]))

    def broker(self) -> int:
        return until(lambda: self.installation.pids("valkey-server"), what="a broker")[0]

    def kill(self, pid: int) -> None:
        """Kill *pid* and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not command_line(pid), what=f"the end of {pid}")

    def wipe_broker(self) -> None:
        """Kill the broker and remove its state before it is restarted."""
        self.kill(self.broker())
        for state in (self.installation.folder / "data" / "broker").iterdir():
            shutil.rmtree(state) if state.is_dir() else state.unlink()

    # --- recovery

    def assert_recovered(self, path: str, answer: requests.Response, most: int) -> None:
        """Assert that *answer* is the whole image, made with at most *most* downloads, and that nothing is left."""
        assert answer.status_code == 200, answer.text
        assert answer.content == self.installation.ask(path).content
        assert answer.content[:2] == b"\xff\xd8"
        assert answer.content[-2:] == b"\xff\xd9"
        asked = [(seen.method, seen.target) for seen in self.repository.seen(path)]
        downloads = sum(method == "GET" for method, _ in asked)  # the probe of an origin that failed sends HEAD
        assert 1 <= downloads <= most, asked
        self.assert_clean()

    def assert_clean(self) -> None:
        """Assert that there is no scratch file, no unfinished job, and no key without an expiry."""
        until(lambda: self.installation.scratch() == [], what="scratch files to be gone")
        until(lambda: self._idle() is True, what=f"an idle queue, not {self._idle()}")
        redis, prefix = self.table.redis, self.table.keys.prefix
        lasting = {key.removeprefix(prefix) for key in redis.scan_iter(count=1000) if redis.ttl(key) == -1}
        unknown = {name for name in lasting if not name.startswith("_kombu")} - STRUCTURE
        assert not unknown, unknown

    def _idle(self) -> bool | dict[str, int]:
        with suppress(RedisError):
            depths = self.table.depths()
            return True if not any(depths[name] for name in depths if name != "failed") else depths
        return False

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def wait_for_image(installation: Installation, path: str) -> requests.Response:
    """Request *path* until it is served. Returns the response."""

    def ask() -> requests.Response | None:
        with suppress(requests.ConnectionError):
            answer = installation.ask(path)
            return answer if answer.status_code == 200 else None
        return None

    answer = until(ask, 60, f"the image of {path}")
    assert answer is not None
    return answer


def stored_shade(installation: Installation, path: str) -> int | None:
    """Returns the grey value of the stored image of *path*, None if none is stored."""
    found = installation.stored(path)
    if found is None:
        return None
    with Image.open(found.path) as image:
        return int(np.asarray(image.convert("L"))[0, 0])


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Stop *pids* with SIGSTOP during the block; they keep their files, locks and connections."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
