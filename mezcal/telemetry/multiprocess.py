"""Adds up the metrics of several processes. Each writes its own memory-mapped file in one folder.

The file of a process that died is added to the files of the dead. So no sum ever falls, and the folder does not fill
up when pool processes are replaced every thousand jobs.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from mezcal.telemetry import METRICS_FOLDER_VARIABLE
from mezcal.telemetry.allocated_file import AllocatedFile
from mezcal.telemetry.memory_folder import create_memory_folder, is_alive
from mezcal.telemetry.metrics import FOLDER, count_in_folder, metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

PROCESS_FILE = re.compile(r"(?P<type>counter|histogram|gauge_livesum)_(?P<pid>\d+)\.db")
DEAD_PID = 0  # in the names of the files that have the sums of all dead processes
LOCK = "lock"


def start_sharing(part: str) -> Path:
    """Let this process and its children count in one folder. Returns the folder.

    `mezcal up` names it in METRICS_FOLDER_VARIABLE; without that, a new folder is made.

    *part* is the name of this process and its children in metrics: `api` or `worker`.
    """
    given = os.environ.get(METRICS_FOLDER_VARIABLE)
    folder = Path(given) if given else create_memory_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{part}.{os.getpid()}.pid").touch()
    count_in_folder(folder)
    return folder


def collect_all() -> Iterable[Metric]:
    """Returns the sums over all processes that count in the folder; without a folder, the metrics of this process."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return list(metrics().registry.collect())
    with _locked(Path(folder)):
        merge_dead(Path(folder))
        return list(MultiProcessCollector(None, folder).collect())  # type: ignore[no-untyped-call]


def live_processes() -> list[int]:
    """Returns the pids of the living processes that count in the folder."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return [os.getpid()]
    pids = {int(match["pid"]) for file in Path(folder).iterdir() if (match := PROCESS_FILE.fullmatch(file.name))}
    return sorted(pid for pid in pids - {DEAD_PID} if is_alive(pid))


def register_process() -> None:
    """Make this process one of `live_processes` after a fork, before it has counted anything."""
    metrics().active_requests.inc(0)


def process_parts() -> dict[int, str]:
    """Returns the part of each process that called `start_sharing`, by pid. Its children belong to the same part."""
    folder = os.environ.get(FOLDER)
    named = [file.name.split(".") for file in Path(folder).glob("*.pid")] if folder else []
    return {int(pid): part for part, pid, _ in named}


def merge_dead(folder: Path) -> None:
    """Add the files of dead processes to the files of DEAD_PID, and remove them. The caller holds the lock.

    Only a kill between the rename in `_add` and the removal would count a process twice.
    """
    for file in sorted(folder.iterdir()):
        match = PROCESS_FILE.fullmatch(file.name)
        if match is None or int(match["pid"]) == DEAD_PID or is_alive(int(match["pid"])):
            continue
        if match["type"] == "gauge_livesum" or _add(file, folder / f"{match['type']}_{DEAD_PID}.db"):
            file.unlink()


def _add(dead: Path, target: Path) -> bool:
    """Add the counts of *dead* to those of *target*. Returns False if there is no space: both stay as they are."""
    fresh = target.with_name(f"{target.name}.fresh")
    fresh.unlink(missing_ok=True)
    sums: dict[str, float] = {}
    for file in (target, dead):
        if file.exists() and file.stat().st_size:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
                sums[key] = sums.get(key, 0.0) + value
    written = AllocatedFile(str(fresh))
    whole = written.open() and all(written.write_value(key, value, 0.0) for key, value in sums.items())
    written.close()
    if whole:
        fresh.rename(target)
    else:
        fresh.unlink(missing_ok=True)
    return whole


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
