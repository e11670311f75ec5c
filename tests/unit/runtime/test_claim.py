"""The cache that `mezcal up` claims for its origin, and the one that an older version left in the data folder."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.runtime.up.claim import claim_cache
from mezcal.settings import load

if TYPE_CHECKING:
    import pytest


def test_a_former_cache_on_a_disk_of_its_own_is_used_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    settings = load(_env_file=None, data_dir=tmp_path, repo_base_url="http://repository.example/rest/")

    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    assert claim_cache(settings)
    assert settings.cache_dir.is_symlink()
    assert settings.cache_dir.resolve() == tmp_path / "cache"
    assert (tmp_path / "cache" / ".mezcal" / "origin.json").is_file()
