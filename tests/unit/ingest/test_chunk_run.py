"""Runs over a chunk while the queue is full: refused items are left to the next run, and none is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.derive import recipe_versions
from mezcal.errors import MasterMissing
from mezcal.ingest.chunk_run import ChunkRun
from mezcal.ingest.events import MasterResolver
from mezcal.jobs import Jobs, Lane
from mezcal.jobs.bulk.batches import Batches
from mezcal.jobs.state.records import QueueRequest
from mezcal.origin import open_origin
from mezcal.recipe import MEZZANINE, PYRAMID, Mezzanine
from mezcal.store import Sidecar
from tests.support.archive_server import ArchiveServer
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.jobs import Batch
    from mezcal.jobs.state.records import Message
    from mezcal.recipe import Profile
    from mezcal.settings import Settings
    from mezcal.store import Store

MASTER, PAGE = Mezzanine.parse("book.tif"), Mezzanine.parse("book.tif", 2)
PYRAMID_OF_MASTER = MASTER.in_profile(PYRAMID)
BOTH, PYRAMID_ONLY = {"event_profiles": ("mezzanine", "pyramid")}, {"event_profiles": ("pyramid",)}


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


@pytest.fixture
def given(archive: ArchiveServer) -> dict[str, Any]:
    return {"archive_api_url": archive.url, "thumbnail_sizes": "small:100,large:200"}


@pytest.fixture
def installation(jobs: Jobs, store: Store, settings: Settings) -> Bulk:
    return Bulk(jobs, store, settings)


class Bulk:
    """A worker that runs over the only chunk of one batch."""

    def __init__(self, jobs: Jobs, store: Store, settings: Settings) -> None:
        self.jobs, self.store, self.settings = jobs, store, settings
        self.name = self.chunk = ""
        self.pause: float | None = None

    def post(self, *events: tuple[str, str, object]) -> None:
        posted = self.jobs.batches.post(events)
        self.name, (self.chunk,) = posted.name, posted.chunks

    def queue_max(self, most: int) -> None:
        self.jobs.table.policy = replace(self.jobs.table.policy, queue_max=most)

    def run(self) -> bool:
        """Run over the chunk, as if the worker that held it had died. Returns True if all of it is settled."""
        self.jobs.table.redis.delete(self.jobs.table.keys.held(self.chunk))
        chunk = self.jobs.chunks.take(self.chunk)
        assert chunk is not None
        run = ChunkRun(
            chunk, self.jobs, self.store, MasterResolver(self.settings, open_origin(self.settings)), self.settings
        )
        run.run()
        self.pause = run.pause
        return not run.incomplete

    def batch(self) -> Batch:
        batch = self.jobs.batches.read(self.name)
        assert batch is not None
        assert sum(batch.counts.values()) == batch.items
        return batch

    def finish_all(self) -> list[str]:
        """Make everything that is queued. Returns the keys."""
        redis, keys = self.jobs.table.redis, self.jobs.table.keys
        made = []
        for key in redis.zrange(keys.queued(Lane.BULK), 0, -1):
            claim = self.jobs.table.begin(key, "worker")
            assert claim is not None
            assert self.jobs.table.finish(claim)
            self.jobs.table.let_go(claim)  # another job of the same master may begin in another process now
            made.append(key)
        return made


def put(store: Store, recipe: Mezzanine, etag: str | None = None, version: str = "v") -> None:
    sidecar = Sidecar(recipe.as_json(), version, "s", etag, None, None, "TIFF", 4, 1, 1, "0" * 64, 0.0, 0.0)
    with store.draft() as draft:
        draft.write_bytes(b"\xff\xd8\xff\xd9")
        store.put(recipe, draft, sidecar, lambda: None)


def test_a_page_that_the_full_queue_refuses_is_made_again_by_the_next_run(installation: Bulk, store: Store) -> None:
    """The event is about the whole master: it is not settled while one of its pages is not queued."""
    for recipe in (MASTER, PAGE):
        put(store, recipe)
    installation.post(("changed", "path", MASTER.path))
    installation.queue_max(1)
    made = []
    for _ in range(4):
        complete = installation.run()
        made += installation.finish_all()
        if complete:
            break
        installation.queue_max(2)
    assert complete
    assert {MASTER.key, PAGE.key} <= set(made)
    assert installation.batch().done


def test_a_thumbnail_that_the_full_queue_refuses_is_queued_by_the_next_run(
    installation: Bulk, archive: ArchiveServer, tmp_path: Path
) -> None:
    """A frame has two sizes, and the queue has room for one."""
    (tmp_path / "frame.fits").write_bytes(b"SIMPLE")
    frame = archive.add(tmp_path / "frame.fits")
    installation.post(("created", "frame", frame))
    installation.queue_max(1)
    assert not installation.run()
    assert not installation.batch().done
    installation.queue_max(10)
    assert installation.run()
    assert len(installation.finish_all()) == 2
    batch = installation.batch()
    assert (batch.items, batch.counts["done"], batch.done) == (2, 2, True)


def frame_of(archive: ArchiveServer, folder: Path, **fields: Any) -> int:
    (folder / "frame.fits").write_bytes(b"SIMPLE")
    return archive.add(folder / "frame.fits", **fields)


def test_a_frame_that_the_archive_shows_only_later_is_made_then(
    installation: Bulk, archive: ArchiveServer, tmp_path: Path
) -> None:
    installation.post(("created", "frame", [1000, "md5-1000"]))
    assert not installation.run()
    assert installation.pause == 2
    assert frame_of(archive, tmp_path) == 1000
    assert installation.run()
    assert len(installation.finish_all()) == 2
    assert installation.batch().counts["done"] == 2


def test_a_frame_is_made_when_the_archive_shows_its_announced_version(
    installation: Bulk, archive: ArchiveServer, tmp_path: Path
) -> None:
    frame = frame_of(archive, tmp_path)
    installation.post(("created", "frame", [frame, "a newer one"]))
    assert not installation.run()
    assert not installation.finish_all()
    archive.frames[frame]["record"]["version_set"].insert(0, {"md5": "a newer one"})
    assert installation.run()
    assert len(installation.finish_all()) == 2


def test_a_frame_that_is_never_shown_fails_after_ten_minutes(
    installation: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.post(("created", "frame", [1000, ""]))
    monkeypatch.setattr(Batches, "age", lambda *_: 300.0)
    assert not installation.run()
    assert installation.pause == 60
    monkeypatch.setattr(Batches, "age", lambda *_: 601.0)
    assert installation.run()
    batch = installation.batch()
    assert (batch.counts["failed"], batch.notes[0]["item"]) == (1, "1000")
    assert "10 minutes after the announcement" in batch.notes[0]["reason"]


def test_an_announced_frame_of_which_no_thumbnail_is_made_is_ignored(
    installation: Bulk, archive: ArchiveServer, tmp_path: Path
) -> None:
    frame = frame_of(archive, tmp_path, configuration_type="CATALOG")
    installation.post(("created", "frame", [frame, ""]), ("wanted", "frame", frame))
    assert installation.run()
    counts = installation.batch().counts
    assert (counts["ignored"], counts["failed"]) == (1, 1)


def test_the_archive_is_asked_once_for_all_sizes_of_a_frame(
    installation: Bulk, archive: ArchiveServer, tmp_path: Path
) -> None:
    installation.post(("created", "frame", frame_of(archive, tmp_path)))
    assert installation.run()
    assert archive.count("/frames/") == 1


def test_a_chunk_that_was_given_back_is_due_after_its_pause(installation: Bulk) -> None:
    installation.post(("created", "frame", 1000))
    chunks = installation.jobs.chunks
    assert chunks.take(installation.chunk)
    chunks.give_back(installation.chunk, 30)
    assert not chunks.due()
    chunks.give_back(installation.chunk, 0)
    assert chunks.due() == [installation.chunk]
    assert chunks.take(installation.chunk)


def test_a_master_that_the_full_queue_refuses_is_queued_by_the_next_run(installation: Bulk) -> None:
    installation.post(("wanted", "path", "a.tif"), ("wanted", "path", "b.tif"))
    installation.queue_max(1)
    assert not installation.run()
    assert installation.batch().counts["queued"] == 1
    installation.queue_max(2)
    assert installation.run()
    assert installation.batch().counts["queued"] == 2


@pytest.mark.parametrize(("etag", "counts"), [('"1"', {"repeated": 1}), ('"2"', {"queued": 1}), (None, {"queued": 1})])
def test_a_change_that_may_be_known_already_is_done_unless_the_master_is_the_very_one(
    installation: Bulk, store: Store, tmp_path: Path, etag: str | None, counts: dict[str, int]
) -> None:
    """*etag* is that of the stored image; the origin has "1"."""
    with OriginServer() as origin:
        origin.script(MASTER.path, body=b"II*\0", etag='"1"')
        installation.settings = installation.settings.model_copy(
            update={"repo_base_url": origin.url, "tmp_dir": tmp_path}
        )
        put(store, MASTER, etag)
        installation.post(("perhaps", "path", MASTER.path))
        assert installation.run()
    found = installation.batch().counts
    assert {name: found[name] for name in counts} == counts


def test_a_change_that_may_be_known_already_is_left_to_the_next_run_while_the_origin_is_away(
    installation: Bulk, store: Store, tmp_path: Path
) -> None:
    away = {"repo_base_url": "http://127.0.0.1:1/", "tmp_dir": tmp_path, "origin_retries": 0}
    installation.settings = installation.settings.model_copy(update=away)
    put(store, MASTER, '"1"')
    installation.post(("perhaps", "path", MASTER.path))
    assert not installation.run()
    assert not installation.batch().done


# --- profiles


def with_settings(installation: Bulk, **changed: Any) -> Bulk:
    installation.settings = installation.settings.model_copy(update=changed)
    return installation


@pytest.mark.parametrize("kind", ["created", "changed", "perhaps"])
def test_an_event_has_all_its_profiles_made_and_counts_each(installation: Bulk, kind: str) -> None:
    with_settings(installation, **BOTH).post((kind, "path", MASTER.path))
    assert installation.run()
    batch = installation.batch()
    assert (batch.items, batch.counts["queued"]) == (2, 2)
    assert set(installation.finish_all()) == {MASTER.key, PYRAMID_OF_MASTER.key}
    assert (installation.batch().counts["done"], installation.batch().done) == (2, True)


def test_a_profile_that_the_full_queue_refuses_is_queued_and_counted_by_the_next_run(installation: Bulk) -> None:
    with_settings(installation, **BOTH).post(("created", "path", MASTER.path), ("created", "path", "other.tif"))
    installation.queue_max(3)
    assert not installation.run()
    installation.queue_max(10)
    assert installation.run()
    batch = installation.batch()
    assert (batch.items, batch.counts["queued"], batch.counts["waiting"]) == (4, 4, 0)
    assert len(installation.finish_all()) == 4
    assert installation.batch().done


def test_a_changed_master_is_made_again_in_all_stored_profiles(installation: Bulk, store: Store) -> None:
    page = PAGE.in_profile(PYRAMID)
    for recipe in (MASTER, PYRAMID_OF_MASTER, page):
        put(store, recipe)
    installation.post(("changed", "path", MASTER.path))
    assert installation.run()
    assert installation.batch().items == 1, "only EVENT_PROFILES are items"
    for recipe in (MASTER, PYRAMID_OF_MASTER, page):
        claim = installation.jobs.table.begin(recipe.key, "a worker")
        assert claim is not None
        assert claim.remake, recipe
        installation.jobs.table.delay(claim, 60)
        installation.jobs.table.let_go(claim)


def test_a_pyramid_alone_is_wanted_and_the_stored_mezzanine_is_made_again(installation: Bulk, store: Store) -> None:
    put(store, MASTER)
    with_settings(installation, **PYRAMID_ONLY).post(("changed", "path", MASTER.path))
    assert installation.run()
    assert set(installation.finish_all()) == {MASTER.key, PYRAMID_OF_MASTER.key}


def test_a_pyramid_alone_is_made_of_a_new_master(installation: Bulk) -> None:
    with_settings(installation, **PYRAMID_ONLY).post(("created", "path", MASTER.path))
    assert installation.run()
    assert installation.finish_all() == [PYRAMID_OF_MASTER.key]


def test_a_failure_of_the_mezzanine_is_forgotten_although_only_a_pyramid_is_wanted(installation: Bulk) -> None:
    jobs = installation.jobs
    jobs.table.queue([QueueRequest(MASTER)], Lane.BULK)
    claim = jobs.table.begin(MASTER.key, "a worker")
    assert claim is not None
    jobs.table.fail(claim, MasterMissing("not there"))
    jobs.table.let_go(claim)
    with_settings(installation, **PYRAMID_ONLY).post(("created", "path", MASTER.path))
    assert installation.run()
    assert jobs.read(MASTER.key) is None


def test_a_second_change_keeps_the_profiles_of_the_first_in_its_batch(installation: Bulk) -> None:
    with_settings(installation, **BOTH).post(("changed", "path", MASTER.path))
    assert installation.run()
    first = installation.name
    installation.post(("changed", "path", MASTER.path))
    assert installation.run()
    installation.finish_all()
    batch = installation.jobs.batches.read(first)
    assert batch is not None
    assert (batch.counts["done"], batch.counts["forgotten"]) == (2, 0)


def test_a_deleted_master_loses_all_profiles(installation: Bulk, store: Store) -> None:
    for recipe in (MASTER, PYRAMID_OF_MASTER, PAGE.in_profile(PYRAMID)):
        put(store, recipe)
    with_settings(installation, **PYRAMID_ONLY).post(("deleted", "path", MASTER.path))
    assert installation.run()
    assert installation.batch().counts["deleted"] == 1
    assert store.others(MASTER) == []
    assert store.find(MASTER) is None


@pytest.mark.parametrize(
    ("etags", "ends"),
    [
        ({MEZZANINE: '"1"', PYRAMID: '"1"'}, {"repeated": 1}),
        ({MEZZANINE: '"1"', PYRAMID: '"2"'}, {"queued": 2}),
        ({MEZZANINE: '"1"'}, {"queued": 2}),
        ({MEZZANINE: '"1"', PYRAMID: 'W/"1"'}, {"queued": 2}),
    ],
)
def test_a_change_that_may_be_known_is_known_only_if_every_profile_is_of_the_very_master(
    installation: Bulk, store: Store, tmp_path: Path, etags: dict[Profile, str], ends: dict[str, int]
) -> None:
    """The origin has "1"."""
    with OriginServer() as origin:
        origin.script(MASTER.path, body=b"II*\0", etag='"1"')
        with_settings(installation, **BOTH, repo_base_url=origin.url, tmp_dir=tmp_path)
        for profile, etag in etags.items():
            put(store, MASTER.in_profile(profile), etag)
        installation.post(("perhaps", "path", MASTER.path))
        assert installation.run()
    found = installation.batch().counts
    assert {name: found[name] for name in ends} == ends


def test_messages_are_sent_after_all_jobs_of_a_master_are_queued(
    installation: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a worker that is quick has the master open when the next of its jobs comes, and it is downloaded twice."""
    pipe, queued = installation.jobs.pipe, []
    send_all = pipe.send_all

    def noted(messages: list[Message]) -> None:
        queued.append(installation.jobs.depths()["bulk"])
        send_all(messages)

    monkeypatch.setattr(pipe, "send_all", noted)
    with_settings(installation, **BOTH).post(("created", "path", MASTER.path))
    assert installation.run()
    assert queued[0] == 2


# --- lists


def test_a_listed_master_is_made_in_its_profile(installation: Bulk) -> None:
    installation.post(
        ("wanted", "path", MASTER.path, None, "pyramid"),
        ("wanted", "recipe", PAGE.as_json(), None, "pyramid"),
        ("wanted", "path", MASTER.path),
    )
    assert installation.run()
    assert set(installation.finish_all()) == {
        MASTER.key,
        PYRAMID_OF_MASTER.key,
        PAGE.in_profile(PYRAMID).key,
    }


def test_a_profile_that_the_worker_lacks_fails_with_its_name(installation: Bulk) -> None:
    installation.post(("wanted", "path", MASTER.path, None, "large"))
    assert installation.run()
    batch = installation.batch()
    assert batch.counts["failed"] == 1
    assert "PROFILES_FILE, which lacks 'large'" in batch.notes[0]["reason"]


def test_what_a_command_takes_for_outdated_is_made_again_if_the_settings_of_the_worker_differ_too(
    installation: Bulk, store: Store, settings: Settings
) -> None:
    put(store, MASTER, version=recipe_versions(settings)["mezzanine"])
    put(store, PAGE, version="of other settings")
    installation.post(("outdated", "recipe", MASTER.as_json()), ("outdated", "recipe", PAGE.as_json()))
    assert installation.run()
    assert installation.finish_all() == [PAGE.key]
    assert (installation.batch().counts["repeated"], installation.batch().counts["done"]) == (1, 1)
