"""A container's share of its machine, read from trees as kernels make them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mezcal.runtime.resources import cores, memory

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)


def tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    """Make the files of a machine of 16 GiB whose /proc/self/cgroup contains *groups*. Returns their folder."""
    given = {"proc/meminfo": f"MemTotal:       {16 * 2**20} kB\nMemFree: 1 kB\n", "proc/self/cgroup": groups, **files}
    for name, text in given.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_container_with_version_2(tmp_path: Path) -> None:
    """Its group is mounted as the root, as `docker run --cpus 1.5 --memory 2g` leaves it."""
    files = {"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": f"{2 * GIB}\n"}
    root = tree(tmp_path, "0::/\n", files)
    assert (cores(root), memory(root)) == (2, 2 * GIB)


def test_a_service_is_bound_by_the_groups_around_it(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/system.slice/mezcal.service"
    files = {
        f"{group}/cpu.max": "max 100000\n",
        f"{group}/memory.max": "max\n",
        "sys/fs/cgroup/system.slice/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/system.slice/memory.max": f"{3 * GIB}\n",
    }
    root = tree(tmp_path, "0::/system.slice/mezcal.service\n", files)
    assert (cores(root), memory(root)) == (3, 3 * GIB)


def test_a_container_with_version_1_that_sees_the_path_of_its_host(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    root = tree(tmp_path, "5:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n1:name=systemd:/docker/0123\n", files)
    assert (cores(root), memory(root)) == (1, GIB)


def test_version_1_without_limits(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    root = tree(tmp_path, "5:memory:/\n4:cpu:/\n", files)
    assert (cores(root), memory(root)) == (8, 16 * GIB)


def test_a_machine_without_groups(tmp_path: Path) -> None:
    root = tree(tmp_path, "", {})
    (root / "proc/self/cgroup").unlink()
    assert (cores(root), memory(root)) == (8, 16 * GIB)


def test_this_machine_has_some_of_each() -> None:
    assert cores() >= 1
    assert memory() >= 2**28
