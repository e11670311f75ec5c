"""`mezcal purge` in front of a real installation: what it forgets, what it asks first, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.settings import Layout
from mezcal.store import open_store
from tests.support.commands import on_a_terminal, run, run_in_fork
from tests.support.installation import SAMPLES

if TYPE_CHECKING:
    import subprocess

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

SMALL = (SAMPLES / "maps" / "valley.tif").read_bytes()


@pytest.fixture
def folder(installation: Installation, repository: OriginServer) -> str:
    """A folder with three cached masters, `1`, `2` and `20`."""
    name = uuid4().hex
    for number in (1, 2, 20):
        repository.script(f"{name}/{number}.tif", body=SMALL)
        assert installation.ask(f"{name}/{number}.tif").status_code == 200
    return name


def last(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_a_purged_image_is_made_again(installation: Installation, repository: OriginServer, folder: str) -> None:
    done = run(installation, "purge", f"{folder}/1.tif", f"{repository.url}{folder}/2.tif", f"{folder}/none.tif")
    assert done.stdout.splitlines() == [
        f"purged  {folder}/1.tif",
        f"purged  {folder}/2.tif",
        f"not stored  {folder}/none.tif",
        "2 purged, 1 not stored",
    ]
    assert done.returncode == 0
    assert installation.ask(f"{folder}/1.tif").headers["Cache-Status"] == "mezcal; fwd=miss"
    assert repository.count(f"{folder}/1.tif") == 2


def test_a_list_of_masters_is_purged(installation: Installation, folder: str) -> None:
    done = run_in_fork(installation, "purge", "--from", "-", typed=f"{folder}/1.tif\n{folder}/2.tif\n")
    assert (done.returncode, last(done)) == (0, "2 purged")


def test_a_prefix_purges_all_that_begins_so_and_nothing_else(installation: Installation, folder: str) -> None:
    done = run_in_fork(installation, "purge", "--prefix", f"{folder}/2")
    assert (done.returncode, last(done)) == (0, "2 purged")
    assert [bool(installation.stored(f"{folder}/{number}.tif")) for number in (1, 2, 20)] == [True, False, False]
    again = run_in_fork(installation, "purge", "--prefix", f"{folder}/2")
    assert (again.returncode, last(again)) == (0, "none of it is stored")


def test_other_pages_go_with_the_prefix(installation: Installation, repository: OriginServer) -> None:
    path = f"{uuid4().hex}/pages.tif"
    repository.script(path, body=SMALL)
    assert installation.request(f"/images/{path}?page=1").status_code == 200
    page = Mezzanine(path, 1)
    assert open_store(installation.settings).find(page)
    assert run_in_fork(installation, "purge", "--prefix", path).returncode == 0
    assert open_store(installation.settings).find(page) is None


def test_a_remembered_failure_is_forgotten(installation: Installation, repository: OriginServer) -> None:
    path = f"{uuid4().hex}.tif"
    repository.script(path, body=b"no image")
    assert installation.ask(path).status_code == 415
    repository.script(path, body=SMALL)
    assert installation.ask(path).status_code == 415
    run_in_fork(installation, "purge", path)
    assert installation.ask(path).status_code == 200


def test_a_dry_run_purges_nothing(installation: Installation, folder: str) -> None:
    done = run_in_fork(installation, "purge", "--dry-run", f"{folder}/1.tif", "--prefix", f"{folder}/2")
    assert sorted(done.stdout.splitlines()) == sorted(
        [*(f"would be purged  {folder}/{number}.tif" for number in (1, 2, 20)), "3 would be purged"]
    )
    assert all(installation.stored(f"{folder}/{number}.tif") for number in (1, 2, 20))


@pytest.mark.parametrize(
    ("typed", "options", "code", "stays"),
    [("y\n", (), 0, False), ("n\n", (), 130, True), ("\n", (), 130, True), ("", ("--yes",), 0, False)],
)
def test_on_a_terminal_it_asks_before_it_purges_by_prefix(
    installation: Installation, folder: str, typed: str, options: tuple[str, ...], code: int, stays: bool
) -> None:
    ended, shown = on_a_terminal(installation, "purge", "--prefix", f"{folder}/", *options, typed=typed)
    assert (f"Purge 3 images of --prefix {folder}/? [y/N]" in shown) != bool(options)
    assert ended == code
    assert bool(installation.stored(f"{folder}/1.tif")) == stays


def test_what_names_no_master_is_refused_and_the_rest_purged(installation: Installation, folder: str) -> None:
    done = run_in_fork(installation, "purge", "../x", f"{folder}/1.tif")
    assert (done.returncode, last(done)) == (1, "1 purged, 1 refused")
    assert "refused  ../x: it leads out of the repository" in done.stdout


def test_nothing_named_is_exit_code_2(installation: Installation) -> None:
    assert run_in_fork(installation, "purge").returncode == 2
    assert run_in_fork(installation, "purge", "--prefix", "").returncode == 2


def test_where_only_sidecars_tell_the_paths_they_are_asked(
    installation: Installation, repository: OriginServer, folder: str
) -> None:
    """In an MD5 layout, no path is known for the images of umd-lib/mezcal: they stay, and that is reported."""
    elsewhere = installation.folder / uuid4().hex
    layout = {"STORAGE_LAYOUT": "md5_encoded", "STORAGE_DIR": str(elsewhere)}
    settings = installation.settings.model_copy(update={"storage_layout": Layout.MD5_ENCODED, "storage_dir": elsewhere})
    theirs, ours = open_store(settings), open_store(installation.settings)
    for number, known in ((1, True), (2, False)):
        recipe = Mezzanine(f"{folder}/{number}.tif")
        target = theirs.path(recipe)  # type: ignore[attr-defined]
        target.parent.mkdir(parents=True)
        target.write_bytes(SMALL)
        sidecar = ours.sidecar(recipe)
        assert sidecar is not None
        if known:
            target.with_name("image.json").write_bytes(sidecar.as_bytes())
    done = run_in_fork(installation, "purge", "--prefix", folder, env=layout)
    assert (done.returncode, last(done)) == (1, "1 purged, 1 skipped, since their paths are not known")
    assert [theirs.find(Mezzanine(f"{folder}/{number}.tif")) is not None for number in (1, 2)] == [False, True]


@pytest.fixture
def with_pyramids(installation: Installation, folder: str) -> str:
    """The same folder, with pyramids of `1` and `2`."""
    for number in (1, 2):
        assert installation.request(f"/derivatives/pyramid/{folder}/{number}.tif.tif").status_code == 200
    return folder


def pyramids(installation: Installation, folder: str) -> list[bool]:
    """Whether each of the three masters has a stored pyramid."""
    store = open_store(installation.settings)
    recipes = [Mezzanine.parse(f"{folder}/{number}.tif", profile=PYRAMID) for number in (1, 2, 20)]
    return [store.find(recipe) is not None for recipe in recipes]


def test_one_profile_is_purged_alone(installation: Installation, with_pyramids: str) -> None:
    named = f"{with_pyramids}/1.tif"
    rehearsed = run_in_fork(
        installation, "purge", "--profile", "pyramid", "--dry-run", named, f"{with_pyramids}/20.tif"
    )
    assert rehearsed.stdout.splitlines()[:2] == [
        f"would be purged  {named} as pyramid",
        f"not stored  {with_pyramids}/20.tif as pyramid",
    ]
    done = run_in_fork(installation, "purge", "--profile", "pyramid", named)
    assert (done.returncode, last(done)) == (0, "1 purged")
    assert pyramids(installation, with_pyramids) == [False, True, False]
    done = run_in_fork(installation, "purge", "--profile", "pyramid", f"{with_pyramids}/")
    assert (done.returncode, last(done)) == (0, "1 purged")
    assert pyramids(installation, with_pyramids) == [False] * 3
    assert all(installation.stored(f"{with_pyramids}/{number}.tif") for number in (1, 2, 20))


def test_a_purged_folder_loses_all_profiles_and_each_master_is_counted_once(
    installation: Installation, with_pyramids: str
) -> None:
    done = run_in_fork(installation, "purge", f"{with_pyramids}/")
    assert (done.returncode, last(done)) == (0, "3 purged")
    assert pyramids(installation, with_pyramids) == [False] * 3


def test_an_unknown_profile_purges_nothing(installation: Installation, folder: str) -> None:
    done = run_in_fork(installation, "purge", "--profile", "large", f"{folder}/1.tif")
    assert done.returncode == 2
    assert "it may be mezzanine, pyramid" in done.stderr
    assert installation.stored(f"{folder}/1.tif")
