"""Files without a name that the processes of a worker share."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.runtime.shared_files import FILES, INHERITED, SharedFiles
from mezcal.settings import load
from tests.support.forked import exit_code, fork

if TYPE_CHECKING:
    from mezcal.settings import Settings


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return load(_env_file=None, data_dir=tmp_path, archive_api_url="http://127.0.0.1:1/")


def test_other_programs_inherit_the_files(given: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SharedFiles.inherited() is None
    files = SharedFiles.create(given)
    assert files is not None
    assert len(files.descriptors) == FILES + 1
    assert not list(given.scratch_dir.iterdir()), "they have no names"
    monkeypatch.setenv(INHERITED, files.handed_on())
    assert SharedFiles.inherited() == files
    for descriptor in files.descriptors:
        os.close(descriptor)


@pytest.mark.parametrize(
    "changes", [{"archive_api_url": None}, {"frames_kept_bytes": 0}, {"tmp_dir": Path("/dev/null/a")}]
)
def test_without_an_archive_or_space_no_files_are_made(given: Settings, changes: dict[str, Any]) -> None:
    assert SharedFiles.create(given.model_copy(update=changes)) is None


def test_files_that_are_too_many_for_the_process_are_closed_again(given: Settings) -> None:
    def create() -> None:
        before = sum(1 for _ in Path("/dev/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + FILES // 2, before + FILES // 2))
        assert SharedFiles.create(given) is None
        assert sum(1 for _ in Path("/dev/fd").iterdir()) == before

    assert exit_code(fork(create)) == 0
