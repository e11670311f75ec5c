"""Two hosts of workers and one of the API, which share nothing but Redis and a bucket; one dies under load."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import requests

from mezcal.convert import ConversionOptions
from mezcal.derive import derive
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine, from_json
from mezcal.runtime import processes
from mezcal.settings import Layout, Settings
from mezcal.store import LocalStore
from mezcal.store.s3 import S3Store
from tests.support.masters import grey_tiff
from tests.support.origin_server import OriginServer
from tests.support.proc import descendants
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.broker import Broker
    from tests.support.s3_server import S3Server

MASTERS = 24

pytestmark = pytest.mark.slow


class Host:
    """A simulated host: separate folders and processes on this machine."""

    def __init__(self, folder: Path, given: dict[str, str]) -> None:
        folder.mkdir()
        self.folder = folder
        bare = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        own = {"DATA_DIR": str(folder / "data"), "TMP_DIR": str(folder / "tmp"), "HOME": str(folder)}
        self._env = {**bare, **given, **own, "WORKER_HEARTBEAT": str(folder / "alive")}
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, command: tuple[str, ...]) -> None:
        """Start *command* here."""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, env=self._env, cwd=self.folder, stdout=log, stderr=log)

    def work(self) -> None:
        """Be a worker with two processes."""
        self.run(processes.worker(processes.LANES["all"], 2, f"mezcal@{self.folder.name}", "INFO"))
        until((self.folder / "alive").exists, 60, "a worker")

    def die(self) -> None:
        """Lose power."""
        if self.process is None:
            return
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


class Installation:
    """Two hosts of workers, one of the API."""

    def __init__(self, folder: Path, given: dict[str, str]) -> None:
        self.first, self.second, self.api_host = (Host(folder / name, given) for name in ("first", "second", "api"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._at = f"127.0.0.1:{free.getsockname()[1]}"

    def start(self) -> None:
        """Start them all and wait until they answer."""
        self.api_host.run(processes.api(self._at, 1))
        self.first.work()
        self.second.work()
        until(self._answers, 60, "the API")

    def served(self, path: str) -> bytes:
        """Returns the mezzanine of *path*; repeats the request until it is there."""
        found: list[bytes] = []

        def ask() -> bool:
            answer = self._ask(path)
            found.extend([answer.content] if answer.status_code == 200 else [])
            return bool(found)

        until(ask, 90, path)
        return found[0]

    def _ask(self, path: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"http://{self._at}/images/{path}", timeout=60)

    def _answers(self) -> bool:
        try:
            return self._ask("").status_code == 400
        except requests.ConnectionError:
            return False


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[OriginServer]:
    with OriginServer(tmp_path) as running:
        yield running


@pytest.fixture
def settings(s3: S3Server, repository: OriginServer, tmp_path: Path) -> Settings:
    """Those of all hosts, for a look into the bucket from here."""
    return s3.settings(s3.bucket(), tmp_path / "here", aws_prefix="images", repo_base_url=repository.url)


@pytest.fixture
def hosts(broker: Broker, s3: S3Server, settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    given = s3.environment(str(settings.aws_bucket), AWS_PREFIX="images", REPO_BASE_URL=str(settings.repo_base_url))
    given |= {"REDIS_URL": broker.url, "KEY_PREFIX": f"{tmp_path.name}:", "LEASE_SECONDS": "2"}
    (tmp_path / "hosts").mkdir()
    installation = Installation(tmp_path / "hosts", given)
    try:
        installation.start()
        yield installation
    finally:
        for host in (installation.first, installation.second, installation.api_host):
            host.die()


def expected(settings: Settings, path: str, folder: Path) -> bytes:
    """Returns the mezzanine as one process makes it from the same master."""
    store, recipe = LocalStore(folder, Layout.BASIC), Mezzanine.parse(path)
    derive(recipe, open_origin(settings), store, ConversionOptions.of(settings))
    return store.path(recipe).read_bytes()


def test_every_request_gets_its_image_although_a_host_dies_under_load(
    hosts: Installation, repository: OriginServer, settings: Settings, tmp_path: Path
) -> None:
    paths = [f"plates/große-{number}.tif" for number in range(MASTERS)]
    for number, path in enumerate(paths):
        repository.script(path, body=grey_tiff(5 + 10 * number), delay=0.3)
    with ThreadPoolExecutor(MASTERS) as pool:
        asked = [pool.submit(hosts.served, path) for path in paths]
        until(lambda: sum(map(repository.count, paths)) >= MASTERS // 4, 60, "work under way")
        hosts.first.die()
        images = [one.result() for one in asked]
    for number, path in enumerate(paths):
        repository.script(path, body=grey_tiff(5 + 10 * number))
    assert images == [expected(settings, path, tmp_path / "expected") for path in paths]
    store = S3Store(settings)
    sidecars = {from_json(known.recipe): known for entry in store.entries() if (known := entry.sidecar())}
    assert set(sidecars) == {Mezzanine.parse(path) for path in paths}
    digests = [sidecars[Mezzanine.parse(path)].sha256 for path in paths]
    assert digests == [hashlib.sha256(image).hexdigest() for image in images]
    until(lambda: not list((hosts.second.folder / "tmp").rglob("*.jpg")), what="no draft left")
