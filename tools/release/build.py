"""Builds source archive and wheel from what git has committed; the same commit gives the same bytes."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HOOK = "import sys; from setuptools import build_meta; build_meta.{}(sys.argv[1])"  # PEP 517


def build(work: Path, dist: Path) -> tuple[Path, Path]:
    """Build the committed tree below *work*: first the source archive, then the wheel from it, into *dist*.

    Returns wheel and source archive. Raises `SystemExit` if the archive lacks a committed file.
    """
    tree = work / "tree"
    tree.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], check=True, capture_output=True).stdout  # noqa: S607
    subprocess.run(["tar", "-xf", "-", "-C", str(tree)], input=archive, check=True)  # noqa: S607
    epoch = int(_git("log", "-1", "--format=%ct"))
    (made,) = _run_hook("build_sdist", tree, work / "sdist", epoch).glob("*.tar.gz")
    sdist = dist / made.name
    unpacked = unpack(made, work / "unpacked")
    require_all(committed_files(), unpacked)
    pack(unpacked, sdist, epoch)
    (wheel,) = _run_hook("build_wheel", unpacked, dist.absolute(), epoch).glob("*.whl")
    return dist / wheel.name, sdist


def committed_files() -> list[str]:
    """Return the names of the committed files, as they are: without -z git quotes what is not ASCII."""
    return [name for name in _git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0") if name]


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack *sdist* into *folder*. Returns the one folder in it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (inside,) = folder.iterdir()
    return inside


def require_all(names: Iterable[str], folder: Path) -> None:
    """Raise `SystemExit` if one of the committed files *names* is not in *folder*."""
    if missing := [name for name in names if not (folder / name).exists()]:
        raise SystemExit(f"MANIFEST.in leaves out {', '.join(missing)}")


def pack(folder: Path, sdist: Path, epoch: int) -> None:
    """Write *folder* to *sdist*: sorted, with one time and no owner, so that the bytes follow from the files."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = epoch
        entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
        return entry

    with (
        sdist.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in [folder, *sorted(folder.rglob("*"))]:
            archive.add(path, str(path.relative_to(folder.parent)), recursive=False, filter=plain)


def _run_hook(hook: str, source: Path, target: Path, epoch: int) -> Path:
    target.mkdir(exist_ok=True)
    words = [sys.executable, "-c", HOOK.format(hook), str(target)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    subprocess.run(words, cwd=source, env=environ, check=True, stdout=subprocess.DEVNULL)
    return target


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()  # noqa: S607
