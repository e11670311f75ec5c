"""The folder in memory: a new one for each process, and none of dead processes is left."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mezcal.telemetry import memory_folder as module
from mezcal.telemetry.memory_folder import PREFIX, create_memory_folder, memory_folder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path)
    return tmp_path


def test_the_folder_of_an_earlier_process_with_the_same_id_is_no_obstacle(shared_memory: Path) -> None:
    """In a container the first process has the same id after each restart."""
    left = shared_memory / f"{PREFIX}-{os.getuid()}-{os.getpid()}"
    left.mkdir()
    with memory_folder() as folder:
        assert folder.is_dir()
        assert not left.exists()
    assert list(shared_memory.iterdir()) == []


def test_a_name_that_is_not_ours_is_no_obstacle(shared_memory: Path) -> None:
    (shared_memory / f"{PREFIX}-{os.getuid()}-x").touch()
    with memory_folder() as folder:
        assert folder.is_dir()


def test_the_folder_of_a_living_process_stays_and_that_of_a_dead_one_goes(shared_memory: Path) -> None:
    code = (
        "from pathlib import Path; from mezcal.telemetry import memory_folder as m; import sys;"
        f"m.SHARED_MEMORY = Path({str(shared_memory)!r}); print(m.create_memory_folder(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as one:
        assert one.stdout is not None
        other = one.stdout.readline().strip()
        create_memory_folder()
        assert os.path.isdir(other)  # noqa: PTH112
        one.kill()
    create_memory_folder()
    assert not os.path.exists(other)  # noqa: PTH110
