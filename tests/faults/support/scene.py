"""What tests of faults share: an installation to damage, and what must be true when the damage is over."""

from __future__ import annotations

import io
import os
import shutil
import signal
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
import tifffile
from PIL import Image
from redis import RedisError

from mezcal.jobs import Jobs, JobState
from mezcal.settings import load
from tests.support.installation import Installation, command_line, parent_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Record
    from mezcal.jobs.state.table import JobTable
    from tests.support.origin_server import OriginServer, Script

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
QUICK = {  # leases and pauses short enough for a test; a death is still noticed by nothing but what notices it always
    "API_TOKENS": TOKEN,
    "LEASE_SECONDS": "2",
    "ORIGIN_RETRIES": "1",
    "RETRY_SECONDS": "0.5",
    "FAILURE_BRIEF_SECONDS": "1",
    "BREAKER_FAILURES": "1000",
    "DRAIN_SECONDS": "10",
}
STRUCTURE = {  # keys that may be without an expiry: each holds what is queued, running or listed, and nothing else
    *("queued:interactive", "queued:bulk", "running", "delayed", "failed", "chunks"),
    *("interactive", "bulk", "chores", "unacked", "unacked_index"),
    *("_kombu.binding.interactive", "_kombu.binding.bulk", "_kombu.binding.chores", "_kombu.binding.celery.pidbox"),
    *("_kombu.binding.celeryev", "_kombu.binding.reply.celery.pidbox"),
}


def tiff(shade: int, edge: int = 64) -> bytes:
    """A small master of one *shade* of grey, 0 to 255, uncompressed and so of a size known beforehand."""
    out = io.BytesIO()
    tifffile.imwrite(out, np.full((edge, edge), shade, dtype=np.uint8), photometric="minisblack", rowsperstrip=8)
    return out.getvalue()


class Scene:
    """One installation in front of one repository, and the means to harm it."""

    def __init__(self, installation: Installation, repository: OriginServer) -> None:
        self.installation, self.repository = installation, repository
        self._pool = ThreadPoolExecutor(64)
        self._names = 0

    # --- masters and askers

    def master(self, body: bytes | None = None, **script: Any) -> tuple[str, Script]:
        """A master that nobody has asked for."""
        self._names += 1
        path = f"{os.urandom(4).hex()}-{self._names}.tif"
        return path, self.repository.script(path, body=tiff(200) if body is None else body, **script)

    def held(self, **script: Any) -> tuple[str, Script]:
        """A master whose download stops in its middle until `go` is set."""
        return self.master(hold_at=2000, **script)

    def asked(self, path: str, **options: Any) -> Future[requests.Response]:
        """Somebody who asks for *path* and waits."""
        return self._pool.submit(self.installation.ask, path, **options)

    def running(self, path: str, after: int = 0) -> Record:
        """The job of *path*, once its attempt after the *after*th runs and reads its master."""
        self.repository.wait_for_requests(path, after + 1)

        def runs() -> Record | None:
            job = self.job(path)
            return job if job and job.state is JobState.RUNNING and job.attempts > after else None

        job = until(runs, 20, f"attempt {after + 1}")
        assert job is not None
        return job

    def job(self, path: str) -> Record | None:
        """What the job table has; None while it cannot be asked."""
        with suppress(RedisError):
            return self.installation.job(path)
        return None

    @property
    def table(self) -> JobTable:
        return self.installation.table

    def jobs(self) -> Jobs:
        """An asker of the same installation in this process."""
        url = f"redis+socket://{self.installation.folder}/data/run/broker.sock"
        return Jobs.of(load(_env_file=None, redis_url=url, repo_base_url=self.repository.url))

    # --- harm

    def pool(self) -> list[int]:
        """The pool processes of both workers."""
        return self.installation.pool()

    def workers(self) -> list[int]:
        """The main processes of both workers."""
        return until(lambda: len(found := self.installation.workers()) == 2 and found, what="two workers")

    def worker_of(self, path: str) -> int:
        """The main process of the worker in which the job of *path* runs."""
        record = self.running(path)
        assert record.worker is not None
        return parent_of(int(record.worker.rpartition(":")[2]))

    def broker(self) -> int:
        return until(lambda: self.installation.pids("valkey-server"), what="a broker")[0]

    def kill(self, pid: int) -> None:
        """End *pid* as a power cut would, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not command_line(pid), what=f"the end of {pid}")

    def forget_everything(self) -> None:
        """Kill the broker and remove its state before it comes back."""
        self.kill(self.broker())
        for state in (self.installation.folder / "data" / "broker").iterdir():
            shutil.rmtree(state) if state.is_dir() else state.unlink()

    # --- the end

    def well(self, path: str, answer: requests.Response, most: int) -> None:
        """Served, whole, with at most *most* downloads; and nothing is left of the fault."""
        assert answer.status_code == 200, answer.text
        assert answer.content == self.installation.ask(path).content
        assert answer.content[:2] == b"\xff\xd8"
        assert answer.content[-2:] == b"\xff\xd9"
        assert 1 <= self.repository.count(path) <= most, [seen.target for seen in self.repository.seen(path)]
        self.tidy()

    def tidy(self) -> None:
        """No scratch file, no job queued, running or put off, no key that would stay for ever."""
        until(lambda: self.installation.scratch() == [], what="scratch files to be gone")
        until(lambda: self._idle() is True, what=f"an idle queue, not {self._idle()}")
        redis, prefix = self.table.redis, self.table.keys.prefix
        lasting = {key.removeprefix(prefix) for key in redis.scan_iter(count=1000) if redis.ttl(key) == -1}
        assert {name for name in lasting if not name.startswith("_kombu")} <= STRUCTURE

    def _idle(self) -> bool | dict[str, int]:
        with suppress(RedisError):
            depths = self.table.depths()
            return True if not any(depths[name] for name in depths if name != "failed") else depths
        return False

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def served(installation: Installation, path: str) -> requests.Response:
    """The image, however often it takes to ask."""

    def ask() -> requests.Response | None:
        with suppress(requests.ConnectionError):
            answer = installation.ask(path)
            return answer if answer.status_code == 200 else None
        return None

    answer = until(ask, 60, f"the image of {path}")
    assert answer is not None
    return answer


def stored_shade(installation: Installation, path: str) -> int | None:
    """The grey value that is stored for *path*, None if nothing is."""
    found = installation.stored(path)
    if found is None:
        return None
    with Image.open(found.path) as image:
        return int(np.asarray(image.convert("L"))[0, 0])


@contextmanager
def standing_still(*pids: int) -> Iterator[None]:
    """*pids* do nothing, and hold on to what they have."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
