"""The numbers of several processes, in one folder: each writes a memory-mapped file of its own, anyone sums them up.

A process that dies has its last count in its file. Its file is then added to that of the dead, so that a pool
whose processes are replaced every thousand jobs does not fill the folder, and no sum ever falls.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from mezcal.telemetry.metrics import FOLDER, metrics, share_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

OF_ONE = re.compile(r"(?P<type>counter|histogram|gauge_livesum)_(?P<pid>\d+)\.db")
DEAD = 0  # stands for all that have died, where a process has its number
LOCK = "lock"
HANDED = "MEZCAL_METRICS_DIR"  # where `mezcal up` has its parts count together
MEMORY_FS = Path("/dev/shm")  # noqa: S108 - a file there is memory, and nobody's name is guessed


def share(part: str) -> Path:
    """Share this process' metrics with its children, in the folder that is handed to us or in one of our own.

    *part* is what we and they are: `api` or `worker`.
    """
    handed = os.environ.get(HANDED)
    folder = Path(handed) if handed else _own_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / f"{part}.{os.getpid()}.pid").touch()
    share_metrics(folder)
    return folder


def _own_folder() -> Path:
    """A folder of this process; who is started next by the same user removes those that the dead have left."""
    place = MEMORY_FS if MEMORY_FS.is_dir() and os.access(MEMORY_FS, os.W_OK) else Path(tempfile.gettempdir())
    for left in place.glob(f"mezcal-metrics-{os.getuid()}-*"):
        if not _lives(int(left.name.rpartition("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    folder = place / f"mezcal-metrics-{os.getuid()}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    return folder


def collected() -> Iterable[Metric]:
    """The metrics of all processes that share with this one; of this one alone where it shares with none."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return list(metrics().registry.collect())
    with _locked(Path(folder)):
        bury(Path(folder))
        return list(MultiProcessCollector(None, folder).collect())  # type: ignore[no-untyped-call]


def processes() -> list[int]:
    """The living processes that share, by their numbers."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return [os.getpid()]
    found = {int(one["pid"]) for file in Path(folder).iterdir() if (one := OF_ONE.fullmatch(file.name))}
    return sorted(pid for pid in found - {DEAD} if _lives(pid))


def join() -> None:
    """Be among the processes that share from now on, not only from the first count on: after a fork."""
    metrics().lines_dropped.inc(0)


def parts() -> dict[int, str]:
    """Return the part that each process which called `share` belongs to. Its children belong to the same."""
    folder = os.environ.get(FOLDER)
    named = [file.name.split(".") for file in Path(folder).glob("*.pid")] if folder else []
    return {int(pid): part for part, pid, _ in named}


def bury(folder: Path) -> None:
    """Add the files of the dead to theirs. The caller holds the lock.

    A kill between the two last steps would count one process twice: they are a rename and a removal.
    """
    for file in sorted(folder.iterdir()):
        one = OF_ONE.fullmatch(file.name)
        if one is None or int(one["pid"]) == DEAD or _lives(int(one["pid"])):
            continue
        if one["type"] != "gauge_livesum":
            _add(file, folder / f"{one['type']}_{DEAD}.db")
        file.unlink()


def _add(dead: Path, to: Path) -> None:
    fresh = to.with_name(f"{to.name}.fresh")
    fresh.unlink(missing_ok=True)
    sums: dict[str, float] = {}
    for file in (to, dead):
        if file.exists() and file.stat().st_size:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
                sums[key] = sums.get(key, 0.0) + value
    written = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    fresh.rename(to)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lives(pid: int) -> bool:
    """Whether there is such a process; one that has died and was not waited for is none."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or there is no /proc
        return True
