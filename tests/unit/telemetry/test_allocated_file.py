"""Files of counts where the file system has no space for them: nothing fails, and no count is lost."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client.mmap_dict import MmapedDict

from mezcal.telemetry.allocated_file import INITIAL_BYTES, AllocatedFile
from mezcal.telemetry.multiprocess import merge_dead
from tests.support.forked import forked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY = [f'["mezcal_test", "mezcal_test_total", {{"number": "{number}"}}, "help"]' for number in range(2000)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file become larger than *size* bytes: writing more fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def values(path: Path) -> dict[str, float]:
    return {key: value for key, value, _, _ in MmapedDict.read_all_values_from_file(path)}


def test_a_file_has_its_space_before_it_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    file = AllocatedFile(str(path))
    assert path.stat().st_blocks * 512 >= INITIAL_BYTES
    for number, key in enumerate(MANY):
        assert file.write_value(key, float(number), 0.0)
    assert path.stat().st_blocks * 512 >= path.stat().st_size > INITIAL_BYTES
    file.close()
    assert values(path) == dict(zip(MANY, map(float, range(2000)), strict=True))


@forked
def test_what_there_is_no_space_for_is_written_once_there_is_some(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    with files_of_at_most(INITIAL_BYTES // 2):
        file = AllocatedFile(str(path))
        assert file.read_value(MANY[0]) == (0.0, 0.0)
        assert not file.write_value(MANY[0], 1.0, 0.0)
        assert not path.exists(), "an empty file would be read as a damaged one"
    assert file.write_value(MANY[0], 2.0, 0.0)
    assert values(path) == {MANY[0]: 2.0}
    with files_of_at_most(INITIAL_BYTES + 100):
        written = [file.write_value(key, 1.0, 0.0) for key in MANY]
    assert written.index(False) == sum(written) > 100
    assert path.stat().st_size == INITIAL_BYTES
    assert all(file.write_value(key, 3.0, 0.0) for key in MANY)
    file.close()
    assert values(path) == dict.fromkeys(MANY, 3.0)


@forked
def test_files_of_dead_processes_stay_until_there_is_space_to_add_them_up(tmp_path: Path) -> None:
    dead = tmp_path / f"counter_{2**22 + 1}.db"
    file = AllocatedFile(str(dead))
    file.write_value(MANY[0], 5.0, 0.0)
    file.close()
    with files_of_at_most(INITIAL_BYTES // 2):
        merge_dead(tmp_path)
        assert list(tmp_path.iterdir()) == [dead]
    merge_dead(tmp_path)
    assert [(path.name, values(path)) for path in tmp_path.iterdir()] == [("counter_0.db", {MANY[0]: 5.0})]
