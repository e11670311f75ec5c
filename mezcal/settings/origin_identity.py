"""Which origin an installation is for. The cache and the keys in Redis are marked with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

SAMPLES = "samples"  # the repository of an installation without one: the built-in masters, wherever they are installed
SAMPLES_FOLDER = Path(__file__).parent.parent / "sample"
SAMPLES_PATH = "/mezcal/sample/"
DEFAULT_PORTS = {"http": 80, "https": 443}
MARK_LENGTH = 8  # digits: 32 bits, for the few origins that ever meet in one place
SAFE = "/!$&'()*+,;=:@~"


@dataclass(frozen=True, slots=True)
class OriginIdentity:
    """The addresses of the repository and of the science archive, None without one, in their normal forms.

    An address without its credential is all that counts: two spellings of one address are one origin, and two
    addresses of one repository are two. Links in the path of a folder are not followed: another host that mounts the
    same masters may have other links.
    """

    repository: str
    archive: str | None = None

    @classmethod
    def of(cls, repository: str | None, archive: str | None) -> OriginIdentity:
        """Returns the identity of the origin at these URLs. Without a *repository* it is that of the samples."""
        normal = SAMPLES if repository is None else normal_address(repository)
        return cls(normal, normal_address(archive) if archive else None)

    def __str__(self) -> str:
        repository = "the built-in samples" if self.repository == SAMPLES else self.repository
        return f"{repository} and the archive {self.archive}" if self.archive else repository

    @property
    def mark(self) -> str:
        """A short digest, for names of keys."""
        return _digest("\n".join(filter(None, (self.repository, self.archive))))

    @property
    def folder_name(self) -> str:
        """The name of a folder for its cache, which is the same if an archive is added to a repository."""
        main = self.archive if self.archive and self.repository == SAMPLES else self.repository
        if main == SAMPLES:
            return f"cache-{SAMPLES}"
        parts = urlsplit(main)
        name = parts.hostname or unquote(parts.path).rstrip("/").rpartition("/")[2]
        return f"cache-{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:64] or 'root'}-{_digest(main)}"

    def accepts(self, other: OriginIdentity) -> bool:
        """Returns True if a store of this origin may be used for *other*. An archive may be added, or left out."""
        both_archives = self.archive and other.archive
        return self.repository == other.repository and (not both_archives or self.archive == other.archive)

    def has_master(self, source: str) -> bool:
        """Returns True if the URL *source* is that of a master of the repository."""
        if self.repository == SAMPLES:  # another version of mezcal may have been installed elsewhere
            return SAMPLES_PATH in source
        return normal_address(source).startswith(self.repository)


def normal_address(url: str) -> str:
    """Returns *url* in its normal form, without credential, query and fragment, with a final slash.

    The folder of the samples becomes `SAMPLES`.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # of no address: opening the origin says so
        return url
    scheme = parts.scheme.lower()
    if scheme == "file":
        return _normal_folder(unquote(parts.path))
    path = quote(unquote(parts.path), safe=SAFE).rstrip("/") + "/"
    if scheme == "s3":  # the names of buckets are no host names: upper and lower case may differ
        return f"s3://{parts.netloc.rpartition('@')[2]}{path}"
    port = None if port == DEFAULT_PORTS.get(scheme) else port
    return f"{scheme}://{_host(parts.hostname or '')}{f':{port}' if port else ''}{path}"


def _normal_folder(path: str) -> str:
    folder = os.path.normpath("/" + path.lstrip("/"))
    if folder == str(SAMPLES_FOLDER):
        return SAMPLES
    return f"file://{quote(folder, safe=SAFE).rstrip('/')}/"


def _host(name: str) -> str:
    """Returns a host name as it is looked up; an IPv6 address in brackets."""
    if ":" in name:
        return f"[{name}]"
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return name


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:MARK_LENGTH]
