"""Runs `pip install` with a counter instead of pip's many lines: `python tools/release/install_packages.py run.txt`.

It runs before anything is installed, so it needs nothing but Python and pip.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import IO

PACKAGE = re.compile(r"^[a-z0-9][\w.-]*==", re.MULTILINE)
COLLECTING = re.compile(r"^(?:Collecting|Requirement already satisfied:) ([\w.-]+)")
SIZE = re.compile(r"\(([\d.]+) (k|M)B\)")
INSTALLING = "Installing collected packages"
KEPT_LINES = 40  # of pip's output, printed if it fails
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off")


class Counter:
    """Follows the lines of pip and prints where it is: one line that changes on a terminal, else one line a stage."""

    def __init__(self, total: int, out: IO[str]) -> None:
        self._total, self._out, self._terminal = total, out, out.isatty()
        self._package, self._megabytes = "", 0.0
        self._seen: set[str] = set()

    def read(self, line: str) -> None:
        """Take one line of pip's output."""
        if line.startswith("Ignoring "):  # a package of another platform or Python
            self._total -= 1
        elif found := COLLECTING.match(line):
            self._package = found[1]
            self._seen.add(found[1].lower())
            self._show(f"  package {len(self._seen)} of {self._total}, {self._megabytes:.0f} MB: {self._package}")
        elif line.lstrip().startswith(("Downloading", "Using cached")) and (size := SIZE.search(line)):
            self._megabytes += float(size[1]) / (1000 if size[2] == "k" else 1)
        elif line.startswith(INSTALLING):
            self._show(f"  fetched {len(self._seen)} packages, {self._megabytes:.0f} MB; writing them", lasting=True)

    def end(self) -> None:
        """Clear the line that changes."""
        if self._terminal:
            self._out.write("\r\033[K")

    def _show(self, text: str, *, lasting: bool = False) -> None:
        if self._terminal:
            self._out.write(f"\r\033[K{text[:78]}" + ("\n" if lasting else ""))
        elif lasting:
            self._out.write(f"{text}\n")
        self._out.flush()


def main(locks: list[str]) -> int:
    """Install the packages that the files *locks* pin, each checked by its hash. Returns pip's exit code."""
    texts = [Path(lock).read_text(encoding="utf-8") for lock in locks]
    counter = Counter(sum(len(PACKAGE.findall(text)) for text in texts), sys.stdout)
    words = [*PIP, "--require-hashes", *(word for lock in locks for word in ("-r", lock))]
    last: list[str] = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None
        for line in pip.stdout:
            counter.read(line)
            last = [*last, line][-KEPT_LINES:]
    counter.end()
    if pip.returncode != 0:
        print("".join(last), "The packages could not be installed; the lines above are pip's.", sep="\n")
    return pip.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
