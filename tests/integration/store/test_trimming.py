"""The workers keep a running installation's cache within its bounds, by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import Mezzanine
from mezcal.runtime.nginx import nginx
from mezcal.settings import Layout, load
from mezcal.store import LocalStore
from tests.support.installation import MEZCAL, ONE_WORKER, running_installation
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.origin_server import OriginServer

WARM = "maps/valley.tif"
DAY = 86_400


def old_image(cache: Path, name: str, days: int) -> Path:
    """Make a sparse image of a megabyte that was used *days* days ago. Returns its path."""
    path = LocalStore(cache, Layout.BASIC).path(Mezzanine.parse(name))
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.write(b"\xff\xd8")
        file.truncate(1_000_000)
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def test_workers_trim_and_what_was_evicted_comes_back_for_a_while(repository: OriginServer, tmp_path: Path) -> None:
    cache = load(_env_file=None, data_dir=tmp_path / "data", repo_base_url=repository.url).cache_dir
    old = [old_image(cache, f"old/{number}", days=number + 2) for number in range(10)]
    with running_installation(tmp_path, repository.url, *ONE_WORKER, CACHE_MAX_BYTES="5MB") as installation:
        until(lambda: not old[-1].exists(), 30, "trimming")
        until(lambda: sum(path.exists() for path in old) == 4, 30, "the bound")
        assert [path.exists() for path in old] == [True] * 4 + [False] * 6
        assert installation.ask("old/9", "HEAD").headers["Content-Length"] == "1000000"
        assert old[9].exists(), "it was asked for within PIN_SECONDS"
        assert repository.count("old/9") == 0
        assert installation.ask(WARM).status_code == 200
        command = [MEZCAL, "cache", "stats", "--json", "--data-dir", str(tmp_path / "data")]
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("STORAGE", "CACHE"))}
        stats = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=bare).stdout)
        assert (stats["derivatives"], stats["evicted"], stats["evicted_bytes"]) == (4, 6, 6_000_000)


@pytest.fixture
def noatime(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that keeps no access times; only root may do so."""
    folder = tmp_path / "noatime"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=8m,noatime,mode=755", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(options, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a file system takes root to mount")
    yield folder
    until(lambda: subprocess.run(["umount", str(folder)], check=False).returncode == 0, what="the mount to be free")


@pytest.mark.skipif(nginx() is None, reason="there is no nginx here")
@pytest.mark.slow
def test_the_hits_of_nginx_are_noted_where_the_file_system_does_not(
    repository: OriginServer, tmp_path: Path, noatime: Path
) -> None:
    """Nginx writes down what it serves, a worker reads it; the API is not asked."""
    image = old_image(noatime, 'naïve "1".tif', days=90)
    with running_installation(
        tmp_path, repository.url, *ONE_WORKER, "--nginx", "always", STORAGE_DIR=str(noatime)
    ) as installation:
        assert installation.ask("na%C3%AFve%20%221%22.tif").headers["Cache-Status"] == "mezcal; hit"
        assert image.stat().st_atime < time.time() - DAY
        until(lambda: image.stat().st_atime > time.time() - DAY, 70, "the use to be noted")
        log = Path(load(_env_file=None, data_dir=tmp_path / "data").data_dir / "run" / "nginx" / "uses.log")
        until(lambda: log.stat().st_size == 0, 40, "an emptied file")
