"""How it is known when an image was used last."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import Mezzanine
from mezcal.settings import Layout, load
from mezcal.store import LocalStore
from mezcal.store.local.last_use import UseLog, access_times_kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400
OLD = 1_600_000_000


def stored(store: LocalStore, name: str, used: float = OLD) -> Path:
    path = store.path(Mezzanine.parse(name))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xd8 an image")
    os.utime(path, (used, OLD))
    return path


def opened(store: LocalStore, name: str) -> str:
    """Open it as a HEAD does, which reads nothing; its entity tag."""
    found = store.open(Mezzanine.parse(name))
    assert found is not None
    found.file.close()
    return found.stored.etag


@pytest.fixture
def noatime(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that keeps no access times; only root may do so."""
    folder = tmp_path / "noatime"
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=1m,noatime", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(options, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a file system takes root to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_opening_is_use_and_does_not_touch_the_entity_tag(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, Layout.BASIC)
    path = stored(store, "a")
    assert opened(store, "a") == opened(store, "a") == f'"{OLD:x}-b"'
    assert path.stat().st_atime == pytest.approx(time.time(), abs=60)
    assert path.stat().st_mtime_ns == OLD * 10**9


def test_use_is_noted_once_a_day(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, Layout.BASIC)
    this_morning = time.time() - DAY / 2
    path = stored(store, "a", used=this_morning)
    opened(store, "a")
    assert path.stat().st_atime == pytest.approx(this_morning, abs=1)


def test_use_is_noted_where_the_file_system_does_not(noatime: Path) -> None:
    assert not access_times_kept(noatime / ".mezcal")
    store = LocalStore(noatime, Layout.BASIC)
    path = stored(store, "a")
    path.read_bytes()
    assert path.stat().st_atime == OLD
    opened(store, "a")
    assert path.stat().st_atime > OLD


def test_a_store_that_cannot_be_written_is_served_all_the_same(noatime: Path) -> None:
    store = LocalStore(noatime, Layout.BASIC)
    stored(store, "a")
    subprocess.run(["mount", "-o", "remount,ro", str(noatime)], check=True)
    assert opened(store, "a")


def test_what_nginx_wrote_down_is_noted_and_the_file_emptied(tmp_path: Path) -> None:
    """Names are as nginx writes them: quotes, backslashes and all beyond ASCII in hex."""
    store = LocalStore(tmp_path / "cache", Layout.BASIC)
    names = ["box/1.tif", 'na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve "b\\x41".tif', "never asked for"]
    paths = [stored(store, name) for name in names]
    log = tmp_path / "uses.log"
    log.write_bytes(
        b"box/1.tif\n" * 1000
        + b"na\\xC3\\xAFve \\x22b\\x5Cx41\\x22.tif\n"
        + b"../../etc\n\\xFF\ngone\n"
        + b"x" * 99_999
    )
    assert UseLog(store, log).read() == 2
    assert [path.stat().st_atime > OLD for path in paths] == [True, True, False]
    assert log.stat().st_size == 0
    assert UseLog(store, tmp_path / "none").read() == 0


def test_the_use_of_another_profile_is_noted_for_its_file_alone(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "cache", Layout.BASIC)
    mezzanine = stored(store, "box/1.tif")
    pyramid = mezzanine.with_name("pyramid.tif")
    pyramid.write_bytes(b"a pyramid")
    os.utime(pyramid, (OLD, OLD))
    log = tmp_path / "uses.log"
    log.write_bytes(b"/pyramid.tif/box/1.tif\n/no-profile.xyz/box/1.tif\n/pyramid.tif/\n/\n")
    assert UseLog(store, log).read() == 1
    assert (pyramid.stat().st_atime > OLD, mezzanine.stat().st_atime > OLD) == (True, False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("0", 0), ("1000", 1000), ("1.5kB", 1500), ("20GiB", 20 * 2**30), ("20G", 20 * 2**30), ("2 TB", 2 * 10**12)],
)
def test_sizes_are_written_as_people_do(written: str, meant: int) -> None:
    assert load(_env_file=None, cache_max_bytes=written).cache_max_bytes == meant


@pytest.mark.parametrize(("written", "meant"), [("90d", 90 * DAY), ("12h", 43_200), ("60", 60)])
def test_ages_are_written_as_people_do(written: str, meant: float) -> None:
    assert load(_env_file=None, cache_max_age=written).cache_max_age == meant
