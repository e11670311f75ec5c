"""An installation in a mount namespace of its own, where each folder that it writes to is a small file system.

Needs user namespaces (`kernel.unprivileged_userns_clone`, or root).
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.settings import load
from tests.support.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = ("unshare", "--map-root-user", "--mount")
MOUNT = 'mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2"'
SIZE = "12m"
# The folders that mezcal, nginx (in `run`) and the broker write to, and the memory of the system.
FOLDERS = ("data", "data/cache", "data/broker", "data/run", "masters", "home", "tmp", "/dev/shm")


def can_mount() -> bool:
    """Returns True if this user may mount file systems in a namespace."""
    with suppress(OSError):
        command = [*NAMESPACE, "sh", "-c", MOUNT, "sh", "1m", "/dev/shm"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    return False


class VolumeInstallation(Installation):
    """An installation with a small file system at each of `FOLDERS`."""

    def __init__(self, folder: Path, origin: str, **given: str) -> None:
        places = {name.upper(): str(folder / name) for name in ("home",)} | {"TMPDIR": str(folder / "tmp")}
        super().__init__(folder, origin, **places, **given)
        mounts = [f'mkdir -p "{folder / name}" && {_mount(folder / name)}' for name in FOLDERS]
        script = " && ".join([*mounts, 'exec "$@"'])
        self.command = (*NAMESPACE, "sh", "-c", script, "sh", *self.command)

    def start(self) -> None:
        """Start it. From then on its files are reached through its namespace."""
        super().start()
        self.folder = self.inside(self.folder)
        self.settings = load(_env_file=None, data_dir=self.folder / "data", repo_base_url=self.settings.repo_base_url)

    def inside(self, path: Path) -> Path:
        """Returns the path at which processes outside of the namespace reach *path*."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root") / path.relative_to("/")

    def volume(self, name: str) -> Path:
        """Returns where the file system of the folder *name* can be reached."""
        return self.inside(Path(name)) if name.startswith("/") else self.folder / name

    @contextmanager
    def read_only(self, name: str) -> Iterator[None]:
        """Have the file system of the folder *name* read-only."""
        self._remount(name, "ro")
        try:
            yield
        finally:
            self._remount(name, "rw")

    def _remount(self, name: str, mode: str) -> None:
        assert self.process is not None
        target = name if name.startswith("/") else str(Path("/", *self.folder.parts[4:], name))
        enter = ["nsenter", "--target", str(self.process.pid), "--user", "--preserve-credentials", "--mount"]
        subprocess.run([*enter, "mount", "-o", f"remount,bind,{mode}", target], check=True)


def _mount(folder: Path) -> str:
    return MOUNT.replace("$1", SIZE).replace("$2", str(folder))


@contextmanager
def full(volume: Path) -> Iterator[None]:
    """Fill the file system of the folder *volume*."""
    ballast = volume / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))
    try:
        yield
    finally:
        ballast.unlink()
