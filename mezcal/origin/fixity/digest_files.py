"""Files beside the masters that have their digests, as `sha256sum` and others write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from mezcal.origin.fixity.digest import ALGORITHMS, Digest

if TYPE_CHECKING:
    from mezcal.settings import Settings

SIZE_MAX = 64 * 1024  # bytes of such a file
BY_SUFFIX = {".sha512": "sha-512", ".sha256": "sha-256", ".sha1": "sha", ".md5": "md5"}
LISTED = re.compile(r"\\?([0-9A-Fa-f]+)(?:\s+[ *]?(.+))?")  # sha256sum: the value, two characters, the name
TAGGED = re.compile(r"[A-Z0-9-]+ ?\((.+)\) ?= ?([0-9A-Fa-f]+)")  # BSD and openssl: SHA256 (name) = value


@dataclass(frozen=True, slots=True)
class DigestFiles:
    """Where the digest of a master is: ORIGIN_DIGEST_FILE with the master's path in the place of `{path}`."""

    pattern: str

    @property
    def algorithm(self) -> str:
        """The algorithm, by the pattern's last suffix."""
        return BY_SUFFIX[PurePosixPath(self.pattern).suffix.lower()]

    def path_for(self, master: str) -> str:
        """Return the path, below the origin's base, of the file with the digest of *master*."""
        return self.pattern.replace("{path}", master)

    def read(self, content: bytes, master: str) -> Digest | None:
        """Return the digest of *master* in the *content* of its file, None if there is none.

        Of several lines, the one counts that ends with the master's name.
        """
        size = 2 * ALGORITHMS[self.algorithm].size
        lines = content.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
        found = [entry for entry in map(_entry, lines) if entry is not None and len(entry[1]) == size]
        name = PurePosixPath(master).name
        named = [value for listed, value in found if PurePosixPath(listed).name == name]
        values = named or [value for listed, value in found if not listed or len(found) == 1]
        source = PurePosixPath(self.path_for(master)).name
        return Digest(self.algorithm, bytes.fromhex(values[0]), source) if values else None


def _entry(line: str) -> tuple[str, str] | None:
    """Return the name, which may be empty, and the value in *line*; None if it is another line."""
    line = line.strip()
    if match := TAGGED.fullmatch(line):
        return match[1], match[2]
    if match := LISTED.fullmatch(line):
        return (match[2] or "").replace("\\", "/"), match[1]
    return None


def digest_files(settings: Settings) -> DigestFiles | None:
    """Return where the origin has files of digests, None if it has none, or ORIGIN_DIGESTS is off."""
    pattern = settings.origin_digest_file
    return None if pattern is None or settings.origin_digests == "off" else DigestFiles(pattern)
