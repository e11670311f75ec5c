"""The store fills up, turns read-only, or the master breaks off: no file is left, and the image is served later."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

from tests.faults.support.environment import QUICK, FaultEnvironment, wait_for_image
from tests.support.installation import running_installation
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.origin_server import OriginServer


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path_factory.mktemp("volume")
    with small_volume(folder, "1m"):
        yield folder


@pytest.fixture
def volume(mounted: Path) -> Path:
    """It, without the images of other tests."""
    for image in mounted.iterdir():
        if image.name != ".mezcal":
            shutil.rmtree(image) if image.is_dir() else image.unlink()
    return mounted


@pytest.fixture(scope="module")
def cramped(
    repository: OriginServer, mounted: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultEnvironment]:
    """Start an installation with its images there, and its masters on a disk with space."""
    folder = tmp_path_factory.mktemp("cramped")
    given = {"STORAGE_DIR": str(mounted), "TMP_DIR": str(folder / "masters")}
    with running_installation(folder, repository.url, **(QUICK | given)) as installation:
        environment = FaultEnvironment(installation, repository)
        yield environment
        environment.close()


@contextmanager
def small_volume(folder: Path, size: str) -> Iterator[None]:
    """Mount a file system of *size* at *folder*; only root may do so."""
    options = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(options, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a small file system takes root to mount")
    try:
        yield
    finally:
        until(
            lambda: subprocess.run(["umount", str(folder)], check=False).returncode == 0, what="the volume to be free"
        )


@contextmanager
def read_only(volume: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(volume)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(volume)], check=True)


def test_a_full_disk_is_a_503_without_leftovers_until_there_is_space(cramped: FaultEnvironment, volume: Path) -> None:
    environment = cramped
    warm, _ = environment.master()
    assert environment.installation.ask(warm).status_code == 200
    ballast = volume / "ballast"
    ballast.write_bytes(bytes(1024 * 1024 - used(volume) - 8192))
    cold, _ = environment.master(grey_tiff(99, edge=4000))
    full = environment.installation.ask(cold)
    assert (full.status_code, full.json()["type"]) == (503, "/problems/store-down")
    assert "it is full" in full.json()["detail"]
    assert environment.installation.ask(warm).status_code == 200
    ballast.unlink()
    environment.assert_recovered(cold, wait_for_image(environment.installation, cold), most=3)
    assert list((volume / ".mezcal" / "scratch").iterdir()) == []


def filled_with_old_images(volume: Path, free: int) -> list[Path]:
    """Fill the store until only *free* bytes are left. Images with higher numbers were used more recently."""
    images = []
    while (left := 1024 * 1024 - used(volume) - free) > 12_288:
        image = volume / "old" / str(len(images)) / "image.jpg"
        image.parent.mkdir(parents=True)
        image.write_bytes(bytes(min(65_536, left - 8192)))
        os.utime(image, (time.time() - (100 - len(images)) * 86_400,) * 2)
        images.append(image)
    return images


def test_on_a_full_disk_the_least_recently_used_images_are_evicted_and_the_job_continues(
    cramped: FaultEnvironment, volume: Path
) -> None:
    """The master is not fetched again: it has arrived when the disk becomes full."""
    cold, _ = cramped.master(grain(700))
    images = filled_with_old_images(volume, free=32_768)
    cramped.assert_recovered(cold, cramped.installation.ask(cold), most=1)
    assert not images[0].exists()
    assert images[-1].exists(), "no more than was needed"


def test_old_images_are_evicted_if_the_master_fills_the_disk(
    install: Callable[..., FaultEnvironment], volume: Path
) -> None:
    """The master is not fetched again here either: its download continues."""
    environment = install(STORAGE_DIR=str(volume))
    cold, _ = environment.master(grain(700))
    images = filled_with_old_images(volume, free=32_768)
    environment.assert_recovered(cold, environment.installation.ask(cold), most=1)
    assert not images[0].exists()


def grain(edge: int) -> bytes:
    """Returns a master of noise, whose JPEG is not small."""
    out = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (edge, edge), dtype=np.uint8)
    tifffile.imwrite(out, pixels, photometric="minisblack", rowsperstrip=8)
    return out.getvalue()


def used(volume: Path) -> int:
    status = os.statvfs(volume)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def test_a_read_only_store_serves_what_it_has_and_the_rest_when_it_can(cramped: FaultEnvironment, volume: Path) -> None:
    environment = cramped
    warm, _ = environment.master()
    cold, _ = environment.master()
    assert environment.installation.ask(warm).status_code == 200
    with read_only(volume):
        assert environment.installation.ask(warm).status_code == 200
        answer = environment.installation.ask(cold)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-down")
        until(lambda: environment.installation.request("/readyz").status_code == 503, what="red readiness")
    environment.assert_recovered(cold, wait_for_image(environment.installation, cold), most=3)


def test_a_master_cut_on_its_way_is_gone_on_with(environment: FaultEnvironment) -> None:
    path, _ = environment.master(cut_at=2000, cuts=1)
    environment.assert_recovered(path, environment.installation.ask(path), most=2)


def test_a_master_that_always_breaks_off_fails_until_it_arrives_whole(environment: FaultEnvironment) -> None:
    path, script = environment.master(cut_at=2000)
    answer = environment.installation.ask(path)
    assert (answer.status_code, answer.json()["type"]) == (502, "/problems/master-incomplete")
    assert environment.installation.scratch() == []
    script.cut_at = None
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=4)


def test_a_bulk_job_is_retried_until_its_origin_works(environment: FaultEnvironment) -> None:
    path, script = environment.master(fails=3)  # two requests in the first attempt, one in the second
    from mezcal.jobs import Lane  # noqa: PLC0415
    from mezcal.recipe import Mezzanine  # noqa: PLC0415

    environment.jobs().ask(Mezzanine.parse(path), Lane.BULK)
    job = until(lambda: (found := environment.job(path)) and found.attempts == 2 and found, what="a second attempt")
    assert job.history[0]["what"]
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=4)
    assert script.fails == 0


def test_a_bulk_job_that_fails_too_often_is_listed_and_does_not_delay_a_client(environment: FaultEnvironment) -> None:
    from mezcal.jobs import JobState, Lane  # noqa: PLC0415
    from mezcal.recipe import Mezzanine  # noqa: PLC0415

    path, script = environment.master(fails=-1)
    environment.jobs().ask(Mezzanine.parse(path), Lane.BULK)
    job = until(
        lambda: (found := environment.job(path)) and found.state is JobState.FAILED and found, what="its failure"
    )
    assert (job.attempts, len(job.history)) == (3, 3)
    assert job.key in {record.key for record in environment.table.failures()}
    assert environment.table.redis.ttl(environment.table.keys.job(job.key)) > 86_400
    downloads = environment.repository.count(path)
    script.fails = 0
    environment.assert_recovered(path, wait_for_image(environment.installation, path), most=downloads + 1)
