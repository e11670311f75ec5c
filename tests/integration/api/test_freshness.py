"""Stale images: served at once, revalidated once, then made again, deleted or kept, depending on the repository."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from mezcal.recipe import Mezzanine
from mezcal.store import open_store
from tests.support.installation import ONE_WORKER, SAMPLES, running_installation
from tests.support.masters import grey_tiff
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

HOUR = 3600
STALE = "mezcal; hit; detail=stale"
OTHER = (SAMPLES / "agave-p3.tif").read_bytes()


@pytest.fixture(scope="module")
def ageing(repository: OriginServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("ageing")
    given = {"REVALIDATE_AFTER": str(HOUR), "ORIGIN_RETRIES": "0"}
    with running_installation(folder, repository.url, *ONE_WORKER, "--nginx", "never", **given) as up:
        yield up


def grow_old(installation: Installation, path: str, seconds: float = 2 * HOUR) -> None:
    """Make the image as old as if it was found fresh long ago."""
    stored = installation.stored(path)
    assert stored is not None
    os.utime(stored.path.with_name("image.json"), (0, time.time() - seconds))


def revalidated(repository: OriginServer, path: str) -> bool:
    return any(seen.method == "HEAD" for seen in repository.seen(path))


def test_a_stale_image_with_an_unchanged_master_is_fresh_again(
    ageing: Installation, repository: OriginServer, master: str
) -> None:
    before = ageing.ask(master)
    grow_old(ageing, master)
    assert ageing.ask(master).headers["Cache-Status"] == STALE
    sidecar = ageing.stored(master).path.with_name("image.json")  # type: ignore[union-attr]
    until(lambda: sidecar.stat().st_mtime > time.time() - HOUR, what="a fresh sidecar")
    asked = [seen for seen in repository.seen(master) if seen.method == "HEAD"]
    assert len(asked) == 1
    assert asked[0].headers["if-none-match"]
    after = ageing.ask(master)
    assert after.headers["ETag"] == before.headers["ETag"]


def test_a_stale_image_is_revalidated_once_for_many_requests(
    ageing: Installation, repository: OriginServer, master: str
) -> None:
    ageing.ask(master)
    grow_old(ageing, master)
    for _ in range(20):
        assert ageing.ask(master).headers["Cache-Status"] in {STALE, "mezcal; hit"}
    until(lambda: revalidated(repository, master))
    ageing.ask(master)
    assert len([seen for seen in repository.seen(master) if seen.method == "HEAD"]) == 1


def test_the_stale_image_is_served_while_the_new_one_is_made(
    ageing: Installation, repository: OriginServer, master: str
) -> None:
    before = ageing.ask(master)
    script = repository.script(master, body=OTHER, etag='"other"', hold_at=1000)
    grow_old(ageing, master)
    ageing.ask(master)
    until(lambda: [seen.method for seen in repository.seen(master)].count("GET") == 2, what="the second download")
    assert ageing.ask(master).headers["ETag"] == before.headers["ETag"]
    script.go.set()
    until(lambda: ageing.ask(master).headers["ETag"] != before.headers["ETag"], what="the new image")


def test_the_image_of_a_deleted_master_is_deleted(ageing: Installation, repository: OriginServer, master: str) -> None:
    ageing.ask(master)
    repository.script(master, status=404, fails=-1)
    grow_old(ageing, master)
    assert ageing.ask(master).status_code == 200
    until(lambda: ageing.stored(master) is None, what="the deletion")
    assert ageing.ask(master).status_code == 404


@pytest.mark.parametrize("status", [500, 403])
def test_while_the_repository_fails_the_stale_image_stays(
    ageing: Installation, repository: OriginServer, master: str, status: int
) -> None:
    before = ageing.ask(master)
    repository.script(master, status=status, fails=-1)
    grow_old(ageing, master)
    ageing.ask(master)
    until(lambda: revalidated(repository, master))
    lines = lambda: ageing.journal.read_text().splitlines()  # noqa: E731
    until(lambda: any("revalidated " in line and master in line for line in lines()), what="the end of it")
    assert ageing.ask(master).headers["ETag"] == before.headers["ETag"]


def test_the_walk_revalidates_images_without_requests(
    ageing: Installation, repository: OriginServer, master: str
) -> None:
    ageing.ask(master)
    grow_old(ageing, master)
    empty = ageing.settings.cache_dir / "left" / "empty" / "image.jpg"
    empty.parent.mkdir(parents=True)
    empty.touch()
    ageing.table.redis.delete(ageing.table.keys.chore("walk"))  # due now, not in a minute
    until(lambda: revalidated(repository, master), 30)
    until(lambda: not empty.exists(), what="the removal of the empty file")


def test_an_image_made_with_other_settings_is_made_again(
    ageing: Installation, repository: OriginServer, tmp_path: Path, master: str
) -> None:
    """Two installations with different settings share a store."""
    large = ageing.ask(master).headers["Content-Length"]
    recipe, store = Mezzanine.parse(master), open_store(ageing.settings)
    made = store.sidecar(recipe)
    assert made is not None
    shared = str(ageing.settings.cache_dir)
    given = {"STORAGE_DIR": shared, "REVALIDATE_AFTER": "1", "MEZZANINE_QUALITY": "50"}
    with running_installation(tmp_path, repository.url, *ONE_WORKER, "--nginx", "never", **given) as other:
        until(lambda: time.time() - made.made > 1.5, what="age")
        assert other.ask(master).headers["Content-Length"] == large
        until(lambda: other.ask(master).headers["Content-Length"] != large, what="the smaller image")
        sidecar = lambda: store.sidecar(recipe)  # noqa: E731 - written after the image
        until(lambda: (now := sidecar()) and now.recipe_version != made.recipe_version, what="its sidecar")


@pytest.mark.slow
def test_an_image_of_a_file_made_with_other_settings_is_made_again(files: Path, tmp_path: Path) -> None:
    """The settings change while mezcal is stopped. The walk does not run."""
    options = (files.as_uri(), *ONE_WORKER, "--nginx", "never")
    with running_installation(tmp_path, *options) as up:
        before = up.ask("edited.tif").headers["Content-Length"]
    with running_installation(tmp_path, *options, REVALIDATE_AFTER="1", MEZZANINE_QUALITY="50") as up:
        up.table.redis.set(up.table.keys.chore("walk"), "another's", ex=HOUR)
        until(lambda: up.ask("edited.tif").headers["Content-Length"] != before, 30, "the smaller image")


@pytest.mark.slow
def test_an_old_image_that_nginx_serves_is_asked_about_too(repository: OriginServer, tmp_path: Path) -> None:
    """The API reads the hit from nginx's log a second later; the walk through the store would come in a minute."""
    path = "served-by-nginx.tif"
    repository.script(path, body=OTHER)
    with running_installation(
        tmp_path, repository.url, *ONE_WORKER, REVALIDATE_AFTER=str(HOUR), ACCESS_LOG="none"
    ) as up:
        up.ask(path)
        up.table.redis.set(up.table.keys.chore("walk"), "another's", ex=HOUR)
        grow_old(up, path)
        assert up.ask(path).headers["Cache-Status"] == "mezcal; hit", "nginx does not know the age"
        until(lambda: revalidated(repository, path), what="the question whether the master has changed")


# --- masters in a folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of two masters."""
    folder = tmp_path / "masters"
    folder.mkdir()
    for name in ("edited.tif", "other.tif"):
        (folder / name).write_bytes(grey_tiff(10))
    return folder


def edit(master: Path) -> None:
    """Save another picture, as a program does that writes to a new file and renames it."""
    draft = master.with_suffix(".part")
    draft.write_bytes(grey_tiff(200))
    draft.replace(master)


@pytest.mark.parametrize("nginx", [pytest.param("never", marks=pytest.mark.slow), "auto"])
def test_an_edited_file_is_shown_after_one_request_which_may_come_at_once(
    files: Path, tmp_path: Path, nginx: str
) -> None:
    """The only request comes while the image still counts as fresh. With nginx it is known from its log alone."""
    given = {"REVALIDATE_AFTER": "3", "ACCESS_LOG": "none"}
    with running_installation(tmp_path, files.as_uri(), *ONE_WORKER, "--nginx", nginx, **given) as up:
        before = up.ask("edited.tif")
        up.table.redis.set(up.table.keys.chore("walk"), "another's", ex=HOUR)
        edit(files / "edited.tif")
        at_once = up.ask("edited.tif")
        assert (at_once.status_code, at_once.content) == (200, before.content), "the hit does not wait"
        stored = up.stored("edited.tif")
        until(lambda: up.stored("edited.tif") != stored, 30, "the new image, without another request")
        assert up.ask("edited.tif").content != before.content


def test_a_file_that_nobody_asks_for_is_compared_by_the_walk(files: Path, tmp_path: Path) -> None:
    with running_installation(tmp_path, files.as_uri(), *ONE_WORKER, "--nginx", "never") as up:
        for path in ("edited.tif", "other.tif"):
            up.ask(path)
            grow_old(up, path, 21 * HOUR)
        stored, unchanged = up.stored("edited.tif"), up.stored("other.tif")
        edit(files / "edited.tif")
        up.table.redis.delete(up.table.keys.chore("walk"), up.table.keys.cursor)  # due now, from the beginning
        until(lambda: up.stored("edited.tif") != stored, 30, "the new image")
        sidecar = unchanged.path.with_name("image.json")  # type: ignore[union-attr]
        until(lambda: sidecar.stat().st_mtime > time.time() - HOUR, what="the time of the comparison")
        assert up.stored("other.tif") == unchanged
