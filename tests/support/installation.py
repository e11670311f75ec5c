"""All of mezcal as users start it: `mezcal up` with its real parts, in a new folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from redis import Redis

from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.minutes import MinuteCounts
from mezcal.jobs.state.policy import JobPolicy
from mezcal.jobs.state.table import JobTable
from mezcal.recipe import Mezzanine
from mezcal.sample import FOLDER
from mezcal.settings import Settings, load
from mezcal.store import open_store
from mezcal.telemetry.memory_folder import PREFIX, SHARED_MEMORY
from tests.support.proc import command_line, descendants, parent_of
from tests.support.waiting import START, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Record
    from mezcal.store import Stored

SAMPLES = FOLDER
ONE_WORKER = (
    "--workers",
    "1",
)  # an option: half the processor time of a start, for tests that convert one after the other
MEZCAL = str(Path(sys.executable).with_name("mezcal"))


class Installation:
    """A running installation; *given* are environment variables."""

    def __init__(self, folder: Path, origin: str, *options: str, **given: str) -> None:
        self.folder = folder
        self.options = options
        self.journal = folder / "journal.log"
        archive = given.get("ARCHIVE_API_URL")
        self.settings = load(_env_file=None, data_dir=folder / "data", repo_base_url=origin, archive_api_url=archive)
        self.command: tuple[str, ...] = (MEZCAL, "up")
        bare = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        self.environment = bare | {"DATA_DIR": str(folder / "data"), "REPO_BASE_URL": origin} | given
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        out = self.folder / "out.log"
        command = [*self.command, "--port", "0", "--workers", "2", *self.options]
        with out.open("wb") as stdout, self.journal.open("ab") as journal:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=stdout, stderr=journal
            )
        line = until(lambda: out.read_text() or self.process_ended(), START, "the ready line")
        assert isinstance(line, str), self.journal.read_text()
        self.url = line.removeprefix("mezcal is ready at ").strip().rstrip("/")

    def process_ended(self) -> bool:
        """Returns True if `mezcal up` has ended."""
        return self.process is None or self.process.poll() is not None

    def stop(self) -> int:
        """Stop it as an operator would; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def end(self) -> None:
        """Kill all its processes at once: no test uses it any more."""
        if self.process is not None and not self.process_ended():
            family = descendants(self.process.pid)
            self.process.kill()
            self.process.wait()
            until(lambda: not any(map(command_line, family)), what="the end of every process")

    def ask(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        """Send one request for the mezzanine of *path*."""
        return self.request(f"/images/{path}", method, **options)

    def request(self, target: str, method: str = "GET", **options: Any) -> requests.Response:
        """Send one request on a new connection, without following redirects."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + target, timeout=60, allow_redirects=False, **options)

    def stored(self, path: str) -> Stored | None:
        """Returns the stored derivative of *path*, None if there is none."""
        return open_store(self.settings).find(Mezzanine.parse(path))

    def job(self, path: str) -> Record | None:
        """Returns the job of *path*, None if there is none."""
        return self.table.read(Mezzanine.parse(path).key)

    @property
    def table(self) -> JobTable:
        """The installation's job table."""
        redis = Redis(unix_socket_path=str(self.folder / "data/run/broker.sock"), decode_responses=True)
        return JobTable(redis, Keys(self.settings.redis_prefix), JobPolicy())

    @property
    def minutes(self) -> MinuteCounts:
        """The installation's counts by minute."""
        return MinuteCounts(self.table.redis, self.table.keys)

    def scratch(self) -> list[Path]:
        """Scratch files in the store."""
        return sorted((self.settings.cache_dir / ".mezcal" / "scratch").glob("*"))

    def pids(self, words: str) -> list[int]:
        """Returns the processes of this installation whose command line contains *words*, the oldest first."""
        assert self.process is not None
        return [pid for pid in descendants(self.process.pid) if words in command_line(pid)]

    def workers(self, lanes: str = "") -> list[int]:
        """Returns the main processes of the Celery workers: the one for *lanes* (`all`, `interactive`), or both."""
        found = self.pids(f"--hostname={lanes}")
        return [pid for pid in found if parent_of(pid) not in found]

    def pool(self, lanes: str = "") -> list[int]:
        """Their pool processes."""
        found = self.pids(f"--hostname={lanes}")
        return [pid for pid in found if parent_of(pid) in found]


def memory_folder_of(installation: Installation) -> Path:
    """Returns the folder in memory of a running installation: heartbeats and metrics."""
    assert installation.process is not None
    [folder] = SHARED_MEMORY.glob(f"{PREFIX}-{os.getuid()}-{installation.process.pid}-*")
    return folder


@contextmanager
def running_installation(folder: Path, origin: str, *options: str, **given: str) -> Iterator[Installation]:
    """An installation in *folder* in front of *origin*, started with *options*, ended at once when it was of use."""
    installation = Installation(folder, origin, *options, **given)
    installation.start()
    try:
        yield installation
    finally:
        installation.end()
