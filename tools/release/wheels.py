"""Writes requirements/wheels.txt: the wheel of each locked package for amd64 and for arm64, with its hash.

It asks the package index by uv, so it needs the network; `make lock` runs it. A test compares the file with the lock.
"""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

LOCK, LIST = Path("requirements/run.txt"), Path("requirements/wheels.txt")
UV = Path(".venv/tools/bin/uv")
PYTHON = (3, 11)  # that of the image
GLIBC = range(36, 16, -1)  # minor versions of glibc 2: Debian 12, the base of the image, has 2.36
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
ENVIRONMENT = {
    "python_version": "3.11",
    "python_full_version": "3.11.14",
    "sys_platform": "linux",
    "platform_system": "Linux",
}
SOURCE = "source"  # of a package that is Python alone and is published as source
HEAD = """\
# The wheel of each package of run.txt for the image's Python, on amd64 and on arm64. Made by `make lock`.
"""


def supported(machine: str) -> list[Tag]:
    """Returns the tags of the wheels that the image's Python takes on *machine*, the best ones first."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC]
    platforms += [f"manylinux2014_{machine}", f"linux_{machine}"]
    return [*cpython_tags(PYTHON, platforms=platforms), *compatible_tags(PYTHON, platforms=platforms)]


def best_wheel(names: list[str], machine: str) -> str | None:
    """Returns the file that pip would take of *names* on *machine*, None if there is none."""
    order = {tag: place for place, tag in enumerate(supported(machine))}
    places = {name: min((order[tag] for tag in parse_wheel_filename(name)[3] if tag in order), default=None)
              for name in names}  # fmt: skip
    fitting = {name: place for name, place in places.items() if place is not None}
    return min(fitting, key=lambda name: fitting[name]) if fitting else None


def locked() -> list[dict[str, Any]]:
    """Returns the packages of the lock with their files, as the index has them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pylock.toml"
        words = [UV, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--format", "pylock.toml"]
        subprocess.run([*words, LOCK, "--output-file", file], check=True)
        return list(tomllib.loads(file.read_text(encoding="utf-8"))["packages"])


def is_for_image(package: dict[str, Any]) -> bool:
    """Returns True unless *package* is for other systems or other versions of Python."""
    return "marker" not in package or Marker(package["marker"]).evaluate(dict(ENVIRONMENT))


def lines(packages: list[dict[str, Any]]) -> list[str]:
    """Returns a line for each package and architecture: name, version, architecture, file, hash."""
    found = []
    for package in filter(is_for_image, packages):
        hashes = {wheel["url"].rpartition("/")[2]: wheel["hashes"]["sha256"] for wheel in package.get("wheels", [])}
        for name, machine in MACHINES.items():
            wheel = best_wheel(list(hashes), machine)
            file, digest = (wheel, hashes[wheel]) if wheel else (SOURCE, package["sdist"]["hashes"]["sha256"])
            found.append(f"{package['name']}=={package['version']} {name} {file} sha256:{digest}\n")
    return found


def main() -> None:
    """Write the list."""
    LIST.write_text(HEAD + "".join(lines(locked())), encoding="utf-8")


if __name__ == "__main__":
    main()
