"""A take-down: what is denied, what is removed, and that it survives."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.commands.operator import deny as command
from mezcal.errors import BadRecipe, BrokerDown, Denied, MasterMissing, StoreDown
from mezcal.ingest.denial import Denier, TakeDown, denied_path, names_of
from mezcal.jobs.bulk.denials import DenialCopy
from mezcal.recipe import PYRAMID, Frame, Mezzanine, Thumbnail, ThumbnailOptions
from mezcal.store import open_store
from mezcal.store.denials import Denial, DenialList
from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from mezcal.jobs import Jobs
    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore

MASTER = Mezzanine("a/1.tif")
THUMBNAIL = Thumbnail((Frame(17, "night.fits.fz", "v"),), ThumbnailOptions.parse({}))
GIVEN: dict[str, Any] = {"downstream_urls": "purge+http://varnish"}


@pytest.fixture
def given() -> dict[str, Any]:
    return GIVEN


def put(store: DerivativeStore, *recipes: Mezzanine | Thumbnail) -> None:
    for recipe in recipes:
        sidecar = Sidecar(recipe.as_json(), "v", "s", None, None, None, "TIFF", 4, 1, 1, "0" * 64, 0.0, 0.0)
        with store.draft() as draft:
            draft.write_bytes(b"\xff\xd8\xff\xd9")
            store.put(recipe, draft, sidecar, lambda: None)


def denial(path: str) -> Denial:
    return Denial(path, time.time(), "somebody")


def take_down(settings: Settings, jobs: Jobs) -> tuple[TakeDown, Denier, DerivativeStore]:
    store = open_store(settings)
    denier = Denier(store, settings.denied_status)
    return TakeDown(denier.denials, jobs, store), denier, store


def test_a_denied_master_is_removed_in_every_form_and_caches_are_notified(settings: Settings, jobs: Jobs) -> None:
    take, denier, store = take_down(settings, jobs)
    forms = (MASTER, Mezzanine(MASTER.path, 2), MASTER.in_profile(PYRAMID))
    put(store, *forms, Mezzanine("a/2.tif"))
    take.deny(denial(MASTER.path))
    assert [store.find(form) for form in forms] == [None, None, None]
    assert store.find(Mezzanine("a/2.tif")) is not None
    for form in forms:
        with pytest.raises(Denied):
            denier.check(form)
    denier.check(Mezzanine("a/2.tif"))
    (hook,) = jobs.downstream.hooks
    holder = jobs.downstream.hold(hook, 60)
    assert holder is not None
    assert {change.recipe for change in jobs.downstream.take(hook, holder, 10)} == set(forms)


def test_what_is_in_a_denied_folder_is_removed_by_a_worker(settings: Settings, jobs: Jobs) -> None:
    take, _, store = take_down(settings, jobs)
    put(store, MASTER, Mezzanine("a/b/3.tif", None, PYRAMID), Mezzanine("ab.tif"), THUMBNAIL)
    take.deny(denial("a/"))
    assert jobs.denials.removal_requested()
    take.remove_denied()
    assert store.find(MASTER) is store.find(Mezzanine("a/b/3.tif", None, PYRAMID)) is None
    assert store.find(Mezzanine("ab.tif")) is not None
    assert store.find(THUMBNAIL) is not None
    take.deny(denial("night"))
    take.remove_denied()
    assert store.find(THUMBNAIL) is None


def test_the_files_of_a_denied_folder_are_noted_in_the_store_until_they_are_removed(
    settings: Settings, jobs: Jobs
) -> None:
    """Nginx looks for the note, and a worker takes up the removal of one that died."""
    take, denier, store = take_down(settings, jobs)
    put(store, MASTER)
    take.deny(denial("b.tif"))
    assert store.inventory.removal() is None, "its files are gone already"
    take.deny(denial("a/"))
    note = store.inventory.removal()
    assert note is not None
    with store.inventory.removing() as is_ours:
        assert is_ours
        assert take.remove_denied() == 0, "another process does it"
    take.deny(denial("c/"))
    store.inventory.end_removal(note)
    assert store.inventory.removal() not in {None, note}, "another folder was denied meanwhile"
    assert TakeDown(denier.denials, jobs, store).remove_denied() == 1
    assert store.inventory.removal() is None


def test_a_denial_that_is_cut_short_leaves_a_note_so_that_nginx_shows_nothing_and_a_worker_ends_it(
    settings: Settings, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, denier, store = take_down(settings, jobs)
    put(store, MASTER)
    with monkeypatch.context() as patched:
        patched.setattr(DenialCopy, "save_copy", _broker_down)
        with pytest.raises(BrokerDown):
            take.deny(denial(MASTER.path))
    assert store.find(MASTER) is not None
    assert store.inventory.removal() is not None
    assert TakeDown(denier.denials, jobs, store).remove_denied() == 1
    assert store.inventory.removal() is None
    with monkeypatch.context() as patched:
        patched.setattr(DenialList, "deny", _broker_down)
        with pytest.raises(BrokerDown):
            take.deny(denial("a/"))
    assert store.inventory.removal() is not None, "noted before it is denied"
    take.deny(denial("b.tif"))
    assert store.inventory.removal() is not None, "the end of one removal ends no other"


def _broker_down(*_: object) -> None:
    raise BrokerDown("away")


def test_a_thumbnail_is_denied_by_the_name_of_a_frame() -> None:
    assert names_of(THUMBNAIL) == ["night.fits.fz", "night"]


def test_with_the_status_404_it_looks_as_if_there_was_no_master(settings: Settings, jobs: Jobs) -> None:
    take, denier, _ = take_down(settings.model_copy(update={"denied_status": 404}), jobs)
    take.deny(denial(MASTER.path))
    with pytest.raises(MasterMissing) as missing:
        denier.check(MASTER)
    assert "denied" not in missing.value.detail


def test_a_lifted_denial_is_over_and_survives_nothing(settings: Settings, jobs: Jobs) -> None:
    take, denier, _ = take_down(settings, jobs)
    take.deny(denial(MASTER.path))
    assert take.lift(MASTER.path, "somebody")
    denier.check_now(MASTER)
    take.restore()
    denier.check_now(MASTER)


def test_denials_survive_a_broker_and_a_store_that_begin_empty(settings: Settings, jobs: Jobs) -> None:
    take, denier, store = take_down(settings, jobs)
    take.deny(denial(MASTER.path))
    jobs.denials._redis.delete(jobs.denials._keys.denials)
    with pytest.raises(Denied):
        denier.check_now(MASTER)
    take.restore()
    assert jobs.denials.copy() is not None
    file = settings.cache_dir / ".mezcal" / "denials.json"
    file.unlink()
    denier.check_now(MASTER)
    put(store, MASTER)
    take.restore()
    assert b"a/1.tif" in file.read_bytes()
    with pytest.raises(Denied):
        denier.check_now(MASTER)
    assert store.inventory.removal() is not None, "nginx asks the API until a worker has removed it"
    assert take.remove_denied() == 1


def test_a_damaged_file_of_denials_shows_nothing(settings: Settings, jobs: Jobs) -> None:
    take, denier, _ = take_down(settings, jobs)
    take.deny(denial(MASTER.path))
    (settings.cache_dir / ".mezcal" / "denials.json").write_bytes(b"{")
    with pytest.raises(StoreDown, match="denials cannot be read"):
        denier.check_now(Mezzanine("b.tif"))


def test_paths_are_those_of_masters_and_folders() -> None:
    assert denied_path("a/b/") == "a/b/"
    assert denied_path("a/b.tif") == "a/b.tif"
    for wrong in ("", "/", "//", "../a", "a/../b"):
        with pytest.raises(BadRecipe):
            denied_path(wrong)


def test_the_command_denies_lists_and_lifts(
    settings: Settings, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "settings_with_broker", lambda _: settings)
    parser = argparse.ArgumentParser()
    command.configure(parser)

    def run(*words: str) -> int:
        options = parser.parse_args(list(words))
        return int(options.run(options))

    assert run("a/", "b.tif", "--reason", "asked by its author", "--until", "2099-01-31") == 0
    assert run("--list") == 0
    listed = capsys.readouterr().out
    assert "denied  a/" in listed
    assert "asked by its author" in listed
    assert "until 2099-01-3" in listed
    assert run("--lift", "a/") == 0
    assert run("--lift", "a/") == 1
    for wrong in ((), ("a/", "--list"), ("a", "--until", "2001-01-01")):
        with pytest.raises(SystemExit):
            run(*wrong)
    assert jobs.denials.copy() is not None
