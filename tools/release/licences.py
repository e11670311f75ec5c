"""Writes THIRD-PARTY.md: the licences of the packages that an installation has, from the metadata of each.

The lock file says which packages and versions; names of libraries inside wheels are those of x86-64 and Python 3.11.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

PAGE = Path("THIRD-PARTY.md")
LOCK = Path("requirements/run.txt")
FONT_LICENCE = Path("mezcal/convert/fits/draw/font/LICENSE_DEJAVU")
PINNED = re.compile(r"^([a-z0-9][\w.-]*)==([^\s;]+)", re.MULTILINE)
LIBRARY = re.compile(r"\.libs/(?:lib)?(.+?)-[0-9a-f]{8}[^/]*\.so")
BEGIN = "<!-- made from the packages' metadata by `make docs`: begin -->\n"
END = "<!-- made from the packages' metadata by `make docs`: end -->\n"
LIBRARIES = "\n## Libraries inside the packages\n\n"
ELSEWHERE = {  # packages of other systems and other Pythons, which are not installed here
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "tzdata": "Apache-2.0",
}
NAMES = {
    "BSD License": "BSD",
    "BSD 3-Clause License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "LGPLv3+": "LGPL-3.0-or-later",
    "MIT License": "MIT",
    "New BSD": "BSD-3-Clause",
}


def main() -> None:
    """Update the page."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(page: str) -> str:
    """Returns *page* with the current tables between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{packages()}{LIBRARIES}{libraries()}\n{END}{after}"


def packages() -> str:
    """Returns the table of the locked packages."""
    rows = "".join(f"| {name} | {', '.join(versions)} | {licence(name)} |\n" for name, versions in locked().items())
    return f"| package | version | licence |\n| --- | --- | --- |\n{rows}"


def locked() -> dict[str, list[str]]:
    """Returns the versions of each package in the lock file; there are two where Pythons differ."""
    found: dict[str, list[str]] = {}
    for name, version in PINNED.findall(LOCK.read_text(encoding="utf-8")):
        found.setdefault(name, []).append(version)
    return found


def licence(name: str) -> str:
    """Returns the licence of the package *name* as its metadata says. Raises `ValueError` if they say none."""
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    about = metadata.metadata(name)
    classifiers = [line.rpartition(":: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")]
    said = [about.get("License-Expression"), *(about.get("License") or "").splitlines()[:1], *classifiers]
    named = next((text for text in said if text), None)
    if named is None:
        raise ValueError(f"{name} does not say its licence")
    return NAMES.get(named, named)


def libraries() -> str:
    """Returns a line for each package that carries compiled libraries of others, with their names."""
    lines = []
    for name in locked():
        files = [] if name in ELSEWHERE else metadata.files(name) or []
        inside = sorted({found[1] for file in files if (found := LIBRARY.search(str(file)))}, key=str.lower)
        lines += [f"- {name}: {', '.join(inside)}\n"] if inside else []
    return "".join(lines)


if __name__ == "__main__":
    main()
