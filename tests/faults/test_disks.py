"""A full, read-only or failing disk under any folder that mezcal writes to: hits are served, and nothing ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import ROOT
from tests.faults.support.environment import BEARER, QUICK, FaultEnvironment, wait_for_image
from tests.faults.support.volumes import FOLDERS, VolumeInstallation, can_mount, full
from tests.support.installation import running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

RECOVERY_SECONDS = 30  # on a busy machine
GIVEN = QUICK | {"WAIT_SECONDS": "4"}  # of a request while the broker's disk is full
# Celery's worker ends, and is started again, if a pool process dies before the worker is ready.
READY = re.compile(r"@\S+ ready\.")
JSON = {"Content-Type": "application/json"}
FAULTS = [("full", name) for name in FOLDERS] + [
    ("read-only", name)
    for name in ("data", "data/cache", "masters", "home")  # others have files that are being written
]
OFTEN = {"data", "data/cache", "data/broker", "masters", "/dev/shm"}  # the other folders are for the slow tests
FAULTS_MARKED = [
    pytest.param(*fault, id="-".join(fault), marks=[] if fault[1] in OFTEN else pytest.mark.slow) for fault in FAULTS
]


@pytest.fixture(scope="module")
def installation(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VolumeInstallation]:
    if not can_mount():
        reason = "may not mount file systems in a namespace"
        pytest.skip(f"this user {reason}" if os.geteuid() != 0 else f"root {reason}")
    folder = tmp_path_factory.mktemp("volumes")
    running = VolumeInstallation(folder, repository.url, TMP_DIR=str(folder / "masters"), **GIVEN)
    running.start()
    until(lambda: len(READY.findall(running.journal.read_text())) == 2, 30, "both workers")
    yield running
    running.end()


@pytest.fixture
def environment(installation: VolumeInstallation, repository: OriginServer) -> Iterator[FaultEnvironment]:
    environment = FaultEnvironment(installation, repository)
    yield environment
    environment.close()


def servers(installation: Installation) -> list[int]:
    """Returns the processes of the API, nginx and the broker."""
    return [pid for name in ("gunicorn", "nginx", "valkey-server") for pid in installation.pids(name)]


def assert_serves_what_it_has(environment: FaultEnvironment, warm: str) -> None:
    for _ in range(50):
        assert environment.installation.ask(warm).status_code == 200
    for page in ("/", "/metrics", "/healthz"):
        assert environment.installation.request(page).status_code == 200, page


def assert_refuses_politely(environment: FaultEnvironment, cold: str) -> None:
    list_of_one = json.dumps([cold]) + " " * 50_000  # more than nginx keeps in memory
    for answer in (
        environment.installation.ask(cold),
        environment.installation.request("/jobs", "POST", data=list_of_one, headers=BEARER | JSON),
    ):
        assert answer.status_code in {200, 202, 503}, (answer.status_code, answer.text)
        if answer.status_code == 503:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(("fault", "name"), FAULTS_MARKED)
def test_a_disk_takes_nothing_down(
    environment: FaultEnvironment, installation: VolumeInstallation, fault: str, name: str
) -> None:
    warm, _ = environment.master()
    cold, _ = environment.master()
    wait_for_image(installation, warm)
    before, pool = [*environment.workers(), *servers(installation)], environment.pool()
    with full(installation.volume(name)) if fault == "full" else installation.read_only(name):
        assert_serves_what_it_has(environment, warm)
        environment.kill(pool[0])
        assert_refuses_politely(environment, cold)
        until(lambda: set(environment.pool()) - set(pool), 90, "a new process in the pool")
        assert_serves_what_it_has(environment, warm)
    freed = time.monotonic()
    environment.assert_recovered(cold, wait_for_image(installation, cold), most=9)
    assert time.monotonic() - freed < RECOVERY_SECONDS
    assert [*environment.workers(), *servers(installation)] == before
    assert "SIGBUS" not in installation.journal.read_text()


def test_an_api_process_is_replaced_while_memory_is_full(
    environment: FaultEnvironment, installation: VolumeInstallation
) -> None:
    """Its files of counts have no space then."""
    warm, _ = environment.master()
    wait_for_image(installation, warm)
    with full(installation.volume("/dev/shm")):
        environment.kill(installation.pids("gunicorn")[-1])
        until(lambda: len(installation.pids("gunicorn")) == 2, what="a new API process")
        until(lambda: installation.request(f"/images/{warm}?").status_code == 200, what="an answer")
        assert_serves_what_it_has(environment, warm)
    assert "SIGBUS" not in installation.journal.read_text()


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library for LD_PRELOAD, with which writes to a folder fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("library") / "failing_disk.so"
    source = ROOT / "tests" / "faults" / "support" / "failing_disk.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.parametrize("name", ["data", pytest.param("masters", marks=pytest.mark.slow)])
def test_a_disk_that_fails_takes_nothing_down(
    repository: OriginServer, tmp_path: Path, failing_disk: Path, name: str
) -> None:
    """Each write, sync, rename and removal is an error (EIO) for a while."""
    sign, masters = tmp_path / "sign", tmp_path / "masters"
    given = {"LD_PRELOAD": str(failing_disk), "FAILING_FOLDER": str(tmp_path / name), "FAILING_SIGN": str(sign)}
    with running_installation(tmp_path, repository.url, TMP_DIR=str(masters), **(GIVEN | given)) as installation:
        environment = FaultEnvironment(installation, repository)
        warm, cold = environment.master()[0], environment.master()[0]
        wait_for_image(installation, warm)
        before = all_processes(environment)
        opened = open_files(before, installation.settings.cache_dir, masters)
        sign.touch()
        assert_serves_what_it_has(environment, warm)
        for _ in range(5):
            assert_refuses_politely(environment, cold)
        assert installation.stored(cold) is None
        sign.unlink()
        environment.assert_recovered(cold, wait_for_image(installation, cold), most=20)
        assert all_processes(environment) == before
        until(
            lambda: open_files(before, installation.settings.cache_dir, masters) <= opened,
            what="no more open files than before",
        )
        environment.close()


def all_processes(environment: FaultEnvironment) -> list[int]:
    """Returns the processes of the workers, their pools, the API, nginx and the broker."""
    return [*environment.workers(), *sorted(environment.pool()), *servers(environment.installation)]


def open_files(processes: list[int], *folders: Path) -> Counter[str]:
    """Returns how often *processes* have which files below *folders* open, also those that are removed."""
    found: Counter[str] = Counter()
    for descriptor in (file for pid in processes for file in Path(f"/proc/{pid}/fd").iterdir()):
        with suppress(OSError):  # closed meanwhile
            target = descriptor.readlink()
            found[str(target)] += any(target.is_relative_to(folder) for folder in folders)
    return +found
