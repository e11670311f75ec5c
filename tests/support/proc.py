"""What /proc tells about running processes. Any entry may vanish while it is read."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """Returns all processes below *pid*, parents before children."""
    below = []
    for task in listed(Path(f"/proc/{pid}/task")):
        below += [int(child) for child in read(task / "children").split()]
    return below + [deeper for child in below for deeper in descendants(child)]


def parent_of(pid: int) -> int:
    """Returns the parent of *pid*, 0 if the process has ended."""
    return int((_status(pid) or ["", "0"])[1])


def command_line(pid: int) -> str:
    """Returns the command line of *pid*, empty if the process has ended; a zombie has none either."""
    return read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def state(pid: int) -> str:
    """Returns the letter for the state of *pid* as in proc(5), empty if the process has ended."""
    return (_status(pid) or [""])[0]


def runs(pid: int) -> bool:
    """Returns True if *pid* runs; a zombie does not."""
    return state(pid) not in {"", "Z", "X"}


def may_open(files: int) -> bool:
    """Returns True if this process, and those that it starts, may have so many *files* open at once."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= files


def open_files(pid: int | str = "self") -> dict[Path, Path]:
    """Returns what the descriptors of *pid* lead to, by the descriptors' paths."""
    found = {}
    for descriptor in listed(Path(f"/proc/{pid}/fd")):
        with suppress(OSError):
            found[descriptor] = descriptor.readlink()
    return found


def listed(folder: Path) -> list[Path]:
    """Returns the entries of *folder*, none if it has vanished."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def read(file: Path) -> str:
    """Returns the text of *file*, empty if it has vanished."""
    try:
        return file.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _status(pid: int) -> list[str]:
    """Returns the fields of `stat` from the state on."""
    return read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
