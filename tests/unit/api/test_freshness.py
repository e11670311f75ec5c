"""Which hits are compared with their files, and when; the hits themselves never wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest

from api.freshness import Freshness
from mezcal.derive import recipe_versions
from mezcal.jobs import Lane
from mezcal.origin import open_origin
from mezcal.recipe import Frame, Mezzanine, Thumbnail, ThumbnailOptions
from mezcal.settings import load
from mezcal.store import Stored
from tests.support.store_contract import JPEG, sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import LocalStore

MASTER = Mezzanine.parse("a.tif")
WINDOW = 30.0


class Requests:
    """Stands for the queue: records what it is asked for."""

    def __init__(self) -> None:
        self.lanes: list[Lane] = []

    def request_revalidation(self, recipe: Mezzanine, once_in: int = 0, lane: Lane = Lane.BULK) -> bool:
        assert recipe == MASTER
        assert once_in <= WINDOW
        self.lanes.append(lane)
        return True


@pytest.fixture
def master(tmp_path: Path) -> Path:
    folder = tmp_path / "masters"
    folder.mkdir()
    (folder / "a.tif").write_bytes(b"as it was")
    return folder / "a.tif"


@pytest.fixture
def given(master: Path) -> dict[str, Any]:
    return {"repo_base_url": master.parent.as_uri()}


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def freshness(settings: Settings, store: LocalStore, requests: Requests, monkeypatch: pytest.MonkeyPatch) -> Freshness:
    """Without its thread: the tests do its work."""
    monkeypatch.setattr(Freshness, "_start_thread", lambda _: None)
    return Freshness(lambda _: WINDOW, requests, store, open_origin(settings), recipe_versions(settings))  # type: ignore[arg-type]


@pytest.fixture
def stored(settings: Settings, store: LocalStore, master: Path) -> Stored:
    """The derivative of the file as it is."""
    with open_origin(settings).open(MASTER.path) as opened, store.draft() as draft:
        draft.write_bytes(JPEG)
        made = replace(
            sidecar(JPEG, MASTER),
            recipe_version=recipe_versions(settings)["mezzanine"],
            master_etag=opened.etag,
            master_last_modified=opened.last_modified,
        )
        return store.put(MASTER, draft, made, lambda: None)


def grow_old(stored: Stored) -> None:
    os.utime(stored.path.with_name("image.json"), (0, time.time() - 2 * WINDOW))  # type: ignore[attr-defined]


def handle(freshness: Freshness) -> None:
    """Do what the thread does with what waits."""
    while not freshness._requests.empty():
        freshness._handle(*freshness._requests.get())


def test_an_unchanged_file_is_compared_without_a_message_and_a_new_sidecar(
    freshness: Freshness, stored: Stored, requests: Requests
) -> None:
    grow_old(stored)
    before = stored.path.with_name("image.json").stat().st_mtime_ns  # type: ignore[attr-defined]
    assert freshness.is_stale(stored, MASTER)
    handle(freshness)
    assert not freshness.is_stale(stored, MASTER), "for the next half minute"
    assert requests.lanes == []
    assert stored.path.with_name("image.json").stat().st_mtime_ns == before  # type: ignore[attr-defined]


def test_a_changed_file_is_made_again_as_if_a_client_waited(
    freshness: Freshness, stored: Stored, requests: Requests, master: Path
) -> None:
    grow_old(stored)
    master.write_bytes(b"edited since")
    assert freshness.is_stale(stored, MASTER)
    handle(freshness)
    assert requests.lanes == [Lane.INTERACTIVE]


def test_an_image_that_other_settings_made_is_made_again_behind_those_that_clients_wait_for(
    settings: Settings, store: LocalStore, freshness: Freshness, stored: Stored, requests: Requests
) -> None:
    versions = recipe_versions(load(mezzanine_quality=50))
    freshness = Freshness(lambda _: WINDOW, requests, store, open_origin(settings), versions)  # type: ignore[arg-type]
    grow_old(stored)
    assert freshness.is_stale(stored, MASTER)
    handle(freshness)
    assert requests.lanes == [Lane.BULK]


def test_the_api_knows_the_versions_of_its_settings_without_libvips() -> None:
    code = "import sys; from api.context import recipe_versions; from mezcal.settings import load; "
    code += "recipe_versions(load()); print('pyvips' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_request_while_the_image_is_fresh_is_compared_when_it_no_longer_is(
    freshness: Freshness, stored: Stored, requests: Requests, master: Path
) -> None:
    master.write_bytes(b"edited since")
    assert not freshness.is_stale(stored, MASTER)
    freshness.handle_due(time.time())
    assert requests.lanes == []
    freshness.handle_due(time.time() + WINDOW + 1)
    assert requests.lanes == [Lane.INTERACTIVE]
    freshness.handle_due(time.time() + 9 * WINDOW)
    assert requests.lanes == [Lane.INTERACTIVE], "once for one request"


def test_thumbnails_and_images_without_a_sidecar_are_never_stale(freshness: Freshness, stored: Stored) -> None:
    thumbnail = Thumbnail((Frame(7, "a.fits.fz", "1"),), ThumbnailOptions())
    grow_old(stored)
    assert not freshness.is_stale(stored, thumbnail)
    stored.path.with_name("image.json").unlink()  # type: ignore[attr-defined]
    assert not freshness.is_stale(stored, MASTER)


def test_an_image_of_umd_mezcal_is_served_as_it_stands(
    freshness: Freshness, stored: Stored, requests: Requests
) -> None:
    stored.path.with_name("image.json").unlink()  # type: ignore[attr-defined]
    assert not freshness.is_stale(stored, MASTER)
    freshness.handle_due(time.time() + WINDOW + 1)
    assert requests.lanes == [], "it is not made again"


def test_an_object_without_metadata_of_ours_is_never_stale(freshness: Freshness, requests: Requests) -> None:
    copied = Stored(PurePosixPath("cache/a.tif/image.jpg"), 9, modified=1, tag='"a"', fresh=None)
    assert not freshness.is_stale(copied, MASTER)
    freshness.handle_due(time.time() + WINDOW + 1)
    handle(freshness)
    assert requests.lanes == []


def test_an_image_whose_sidecar_is_damaged_is_made_again(
    freshness: Freshness, stored: Stored, requests: Requests
) -> None:
    stored.path.with_name("image.json").write_text("{")  # type: ignore[attr-defined]
    grow_old(stored)
    assert freshness.is_stale(stored, MASTER)
    handle(freshness)
    assert requests.lanes == [Lane.INTERACTIVE]


def test_a_folder_that_is_away_asks_for_nothing(
    freshness: Freshness, stored: Stored, requests: Requests, master: Path
) -> None:
    master.unlink()
    grow_old(stored)
    assert freshness.is_stale(stored, MASTER)
    handle(freshness)
    assert requests.lanes == []
