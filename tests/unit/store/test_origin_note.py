"""The note that says which origin a store is of: written once, compared at each start, replaced by one command."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mezcal import cli
from mezcal.checks.store import left_behind_check
from mezcal.errors import StoreDown, WrongSetting
from mezcal.recipe import Mezzanine
from mezcal.runtime.up.claim import claim_cache
from mezcal.settings import Layout, Settings, load
from mezcal.store import LocalStore
from mezcal.store.origin_note import ForeignStore, OriginNote, adopt, cache_left_behind, claim_store
from mezcal.store.s3 import S3Store
from tests.support.store_contract import OBJECTS, RECIPE, opened, put, sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mezcal.settings.origin_identity import OriginIdentity
    from mezcal.store import DerivativeStore
    from tests.support.s3_server import S3Server

ONE, TWO = "http://one.example/rest/", "http://two.example/rest/"


@pytest.fixture(params=["local basic", *OBJECTS])
def store(request: pytest.FixtureRequest, tmp_path: Path, servers: Callable[[str], S3Server]) -> DerivativeStore:
    return opened(request.param, tmp_path, servers)


def settings(origin: str | None = ONE, **given: Any) -> Settings:
    return load(_env_file=None, repo_base_url=origin, **given)


def note(store: DerivativeStore, origin: str = ONE, **given: Any) -> OriginNote:
    return OriginNote(settings(origin, **given), store)


def put_image_of(store: DerivativeStore, source: str) -> None:
    with store.draft() as draft:
        draft.write_bytes(b"\xff\xd8 image \xff\xd9")
        made = replace(sidecar(b"\xff\xd8 image \xff\xd9"), source=source)
        store.put(RECIPE, draft, made, lambda: None)


def test_a_store_is_of_the_origin_that_comes_first(store: DerivativeStore) -> None:
    assert note(store).claim() is None
    note(store).check()
    assert note(store).claim() is None, "another process, or the next start"
    for compare in (note(store, TWO).check, note(store, TWO).claim):
        with pytest.raises(ForeignStore, match=r"is that of http://one\.example/rest/, not of http://two"):
            compare()


def test_adopting_it_is_one_command_which_the_refusal_names(store: DerivativeStore) -> None:
    note(store).claim()
    with pytest.raises(ForeignStore, match=r"run once: mezcal cache adopt --origin 'http://two\.example/rest/'$"):
        note(store, TWO).check()
    with pytest.raises(ForeignStore, match="or the former address was a mistake, run once"):
        note(store, TWO).check()
    former = note(store, TWO).adopt()
    assert str(former) == ONE
    note(store, TWO).check()
    with pytest.raises(ForeignStore):
        note(store).check()


def test_the_first_of_two_at_once_wins(store: DerivativeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    late = note(store, TWO)
    examine = late._examine

    def overtaken(known: OriginIdentity) -> bool:
        note(store).claim()
        return examine(known)

    monkeypatch.setattr(late, "_examine", overtaken)
    if not isinstance(store, S3Store) or store.capabilities().unchanged(None):
        with pytest.raises(ForeignStore):
            late.claim()
    else:  # the last one wins, and the other finds that out
        late.claim()
        with pytest.raises(ForeignStore):
            note(store).check()


def test_a_damaged_note_is_written_again(store: DerivativeStore) -> None:
    for damaged in (b"", b"\0\0\0", b"{}", b"[]"):
        store.inventory.save_origin_note(damaged, replace=True)
        note(store).check()
        note(store).claim()
        with pytest.raises(ForeignStore):
            note(store, TWO).check()


def test_an_archive_is_added_to_the_note_and_no_other_replaces_it(store: DerivativeStore) -> None:
    note(store).claim()
    note(store, archive_api_url="https://a.example/").claim()
    note(store).check()
    with pytest.raises(ForeignStore, match=r"and the archive https://a\.example/"):
        note(store, archive_api_url="https://b.example/").check()


def test_a_store_without_a_note_is_adopted_if_its_images_are_of_the_origin(store: DerivativeStore) -> None:
    put_image_of(store, f"{ONE}dc/1")
    with pytest.raises(ForeignStore, match=r"has an image of http://one\.example/rest/dc/1"):
        note(store, TWO).claim()
    assert "had no note of its origin: it is now that of http://one.example/rest/" in str(note(store).claim())
    assert note(store).claim() is None, "once"


def test_a_cache_of_umd_mezcal_is_adopted_once(tmp_path: Path) -> None:
    """Its images have no sidecars."""
    image = tmp_path / "dc" / "1" / "image.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"\xff\xd8\xff\xd9")
    assert "is now that of http://one" in str(claim_store(settings(storage_dir=tmp_path)))
    with pytest.raises(ForeignStore):
        claim_store(settings(TWO, storage_dir=tmp_path))


def test_the_note_is_no_image_and_no_left_over(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, Layout.BASIC)
    put(store)
    put_image_of(store, f"{ONE}dc/1")
    note(store).claim()
    before = (tmp_path / ".mezcal" / "origin.json").read_bytes()
    assert [entry.name for entry in store.entries()] == ["dc/1/image.jpg"]
    assert [found.defect for found in store.verify(mend=True)] == [None]
    store.sweep()
    store.delete(RECIPE)
    assert (tmp_path / ".mezcal" / "origin.json").read_bytes() == before
    assert store.find(Mezzanine.parse(".mezcal/origin.json")) is None


def test_a_store_that_cannot_be_used_now_stops_no_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = claim_store(settings(storage_dir=tmp_path / "file" / "cache"))
    assert "is not written: the cache folder cannot be used" in str(line)


def test_commands_that_name_no_origin_refuse_none(store: DerivativeStore) -> None:
    note(store).claim()
    OriginNote(load(_env_file=None), store).check()
    with pytest.raises(WrongSetting, match="--origin"):
        adopt(load(_env_file=None))


def test_a_note_that_cannot_be_read_says_nothing(store: DerivativeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bytes:
        raise StoreDown("away")

    monkeypatch.setattr(type(store.inventory), "load_origin_note", fail)
    with pytest.raises(StoreDown):
        note(store).check()


# --- the command


@pytest.fixture
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("_bare")
def test_the_command_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path))
    claim_store(settings(ONE, storage_dir=tmp_path))
    monkeypatch.setenv("REPO_BASE_URL", TWO)
    assert cli.main(["cache", "stats"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["cache", "adopt"]) == 0
    assert capsys.readouterr().out == f"the cache {tmp_path} was that of {ONE}; it is now that of {TWO}\n"
    assert cli.main(["cache", "stats"]) == 0


@pytest.mark.usefixtures("_bare")
def test_the_cache_of_a_folder_that_was_moved_is_taken_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "new").mkdir()
    old, new = (load(_env_file=None, repo_base_url=(tmp_path / name).as_uri()).cache_dir for name in ("old", "new"))
    old.mkdir(parents=True)
    words = ["cache", "adopt", str(old), "--origin", str(tmp_path / "new")]
    assert cli.main(words) == 0
    assert (old.exists(), new.exists()) == (False, True)
    old.mkdir()
    (new / "a.tif").mkdir()
    (new / "a.tif" / "image.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    assert cli.main(words) == 2, "nothing is overwritten"
    assert "exists" in capsys.readouterr().err


@pytest.mark.usefixtures("_bare")
def test_the_cache_before_repo_base_url_was_added_is_named_and_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "origins.toml").write_text('[maps]\nprefix = "maps"\nurl = "http://maps.example/"\n')
    monkeypatch.setenv("ORIGINS_FILE", str(tmp_path / "origins.toml"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    before, now = settings(None), settings(ONE)
    assert claim_cache(before) == []
    assert cache_left_behind(before) is None
    (line,) = claim_cache(now)
    assert line.endswith(f"stop mezcal and run once: mezcal cache adopt {before.cache_dir}")
    warned = left_behind_check(before.cache_dir).run()
    assert (warned.level, f"mezcal cache adopt {before.cache_dir}" in warned.hint) == ("warning", True)
    monkeypatch.setenv("REPO_BASE_URL", ONE)
    assert cli.main(["cache", "adopt", str(before.cache_dir)]) == 0
    assert (cache_left_behind(now), now.cache_dir.is_dir(), before.cache_dir.exists()) == (None, True, False)
