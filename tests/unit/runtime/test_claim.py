"""The cache that `mezcal up` claims for its origin, and the one that an older version left in the data folder."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.runtime.up.claim import claim_cache
from mezcal.settings import load
from mezcal.store import open_store
from mezcal.store.origin_note import claim_store, remove_unused_cache

if TYPE_CHECKING:
    import pytest

    from mezcal.settings import Settings


def settings_of(folder: Path) -> Settings:
    return load(_env_file=None, data_dir=folder, repo_base_url="http://repository.example/rest/")


def image_in(cache: Path) -> Path:
    image = cache / "dc" / "1" / "image.jpg"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"\xff\xd8\xff\xd9")
    return image


def test_a_former_cache_is_taken_although_a_command_has_opened_the_new_one(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    image_in(tmp_path / "cache")
    claim_store(settings)
    open_store(settings).check()
    assert settings.cache_dir.is_dir()
    assert "is now" in " ".join(claim_cache(settings))
    assert (settings.cache_dir / "dc" / "1" / "image.jpg").is_file()
    assert not (tmp_path / "cache").exists()


def test_a_former_cache_beside_one_with_images_is_left_and_each_start_says_so(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    former, now = image_in(tmp_path / "cache"), image_in(settings.cache_dir)
    claim_store(settings)
    for _ in range(2):
        assert "is not used" in " ".join(claim_cache(settings))
    assert former.is_file()
    assert now.is_file()


def test_a_cache_with_thumbnails_or_with_files_of_others_is_not_removed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    (tmp_path / "cache").mkdir()
    thumbnail = image_in(settings.cache_dir / ".mezcal" / "by-key")
    assert not remove_unused_cache(settings)
    thumbnail.unlink()
    notes = settings.cache_dir / "notes.txt"
    notes.write_text("of a librarian")
    assert not remove_unused_cache(settings)
    notes.unlink()
    assert remove_unused_cache(settings)


def test_a_former_cache_on_a_disk_of_its_own_is_used_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    settings = settings_of(tmp_path)

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    assert claim_cache(settings)
    assert settings.cache_dir.is_symlink()
    assert settings.cache_dir.resolve() == tmp_path / "cache"
    assert (tmp_path / "cache" / ".mezcal" / "origin.json").is_file()
    assert claim_cache(settings) == [], "the next start uses it, too"
