"""Tries a release as its users would: the wheel from an empty folder, the source archive with its own tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

from tools.release.build import unpack

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = "images/agave-p3.tif"
READY = re.compile(r"mezcal is ready at (\S+)")
READY_SECONDS, STOP_SECONDS = 120, 60


def try_wheel(wheel: Path, lock: Path, work: Path) -> None:
    """Install *wheel* with the versions of *lock* into an environment of its own, run it, show a sample, stop it.

    Raises `CalledProcessError` or `SystemExit` if something does not work.
    """
    place, folder = work / "environment", work / "empty"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    python, mezcal = place / "bin/python", place / "bin/mezcal"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "check"], check=True)
    with subprocess.Popen(
        [mezcal, "up", "--port", "0"], cwd=folder, env=plain(), stdout=subprocess.PIPE, text=True
    ) as up:
        try:
            show_sample(up)
            subprocess.run([mezcal, "check", "agave-p3.tif"], cwd=folder, env=plain(), check=True)
        finally:
            up.send_signal(signal.SIGTERM)
        if up.wait(STOP_SECONDS) != 0:
            raise SystemExit(f"`mezcal up` ended with {up.returncode}")


def show_sample(up: subprocess.Popen[str]) -> None:
    """Wait until *up* is ready, and get a sample. Raises `SystemExit` if it is no JPEG."""
    assert up.stdout is not None
    found = READY.match(up.stdout.readline())  # it ends by itself if a part does not become ready
    if found is None:
        raise SystemExit("`mezcal up` did not become ready")
    with urllib.request.urlopen(found[1] + SAMPLE, timeout=READY_SECONDS) as response:  # noqa: S310 - loopback
        image = response.read()
    if not (image.startswith(b"\xff\xd8") and image.endswith(b"\xff\xd9")):
        raise SystemExit(f"{SAMPLE} is no JPEG")


def try_source_archive(sdist: Path, work: Path) -> None:
    """Unpack *sdist* and collect its tests with the tools of this environment. Raises `CalledProcessError`."""
    folder = unpack(sdist, work / "from-sdist")
    words = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    subprocess.run(words, cwd=folder, env=plain() | {"PYTHONPATH": str(folder)}, check=True, stdout=subprocess.DEVNULL)


def plain() -> dict[str, str]:
    """Returns the environment without variables that could be settings of mezcal, or lead to this checkout."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}
