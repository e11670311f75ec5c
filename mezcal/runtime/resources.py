"""The cores and the memory that this process may use: those of its container, not of the whole host.

They are read from the control group, version 2 or 1 (cgroups(7)); without one, from the kernel.
"""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/")


def cores(root: Path = ROOT) -> int:
    """Returns the number of cores: those that this process may run on, or the quota of its group if that is less."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas)]))


def memory(root: Path = ROOT) -> int:
    """Returns the bytes of memory: those of the machine, or the lowest limit of the group and its parents."""
    files = [group / name for group in _groups(root, "memory") for name in ("memory.max", "memory.limit_in_bytes")]
    limits = [limit for file in files if (limit := _number(file)) is not None]
    return min([_installed(root), *limits])


def _installed(root: Path) -> int:
    """Returns MemTotal (proc_meminfo(5)); without that file, the memory that sysconf reports."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this group and its parents. A container often has its group mounted as the root."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        mounts = [root / "sys/fs/cgroup", *(root / "sys/fs/cgroup" / name for name in (controllers, controller))]
        inside = PurePosixPath(path.lstrip("/"))
        for mount in mounts if controllers else mounts[:1]:
            yield from (mount / part for part in (inside, *inside.parents))


def _quota(group: Path) -> float | None:
    """Returns the cores that the scheduler gives *group*, None if there is no quota."""
    both = _words(group / "cpu.max") or [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
    if len(both) != 2 or not all(word.isdigit() for word in both) or both[1] == "0":
        return None
    return int(both[0]) / int(both[1])


def _number(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if words and words[0].isdigit() else None


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
