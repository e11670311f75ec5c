"""Which origin an installation is for. The cache and the keys in Redis are marked with it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLES = "samples"  # the repository of an installation without one: the built-in masters, wherever they are installed
SAMPLES_FOLDER = Path(__file__).parent.parent / "sample"
SAMPLES_PATH = "/mezcal/sample/"
DEFAULT_PORTS = {"http": 80, "https": 443}
MARK_LENGTH = 8  # digits: 32 bits, for the few origins that ever meet in one place
SAFE = "/!$&'()*+,;=:@~"


@dataclass(frozen=True, slots=True)
class OriginIdentity:
    """The addresses of all origins in their normal forms: the repository, the science archive, and the *others*.

    The *others* are pairs of a prefix of paths and the address of their origin. The *repository* has all other paths;
    it is empty if no origin has them. An address without its credential is all that counts: two spellings of one
    address are one origin, and two addresses of one repository are two. Links in the path of a folder are not
    followed: another host that mounts the same masters may have other links.
    """

    repository: str
    archive: str | None = None
    others: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, repository: str | None, archive: str | None, others: Mapping[str, str] | None = None) -> OriginIdentity:
        """Returns the identity of the origins at these URLs, those of *others* by their prefixes.

        Without a *repository* and *others* it is that of the samples.
        """
        normal = normal_address(repository) if repository else "" if others else SAMPLES
        pairs = tuple(sorted((prefix, normal_address(url)) for prefix, url in (others or {}).items()))
        return cls(normal, normal_address(archive) if archive else None, pairs)

    def __str__(self) -> str:
        repository = "the built-in samples" if self.repository == SAMPLES else self.repository
        others = [f"{address} for {prefix}" for prefix, address in self.others]
        masters = ", ".join(filter(None, (repository, *others)))
        return f"{masters} and the archive {self.archive}" if self.archive else masters

    @property
    def mark(self) -> str:
        """A short digest, for names of keys."""
        others = (f"{prefix} {address}" for prefix, address in self.others)
        return _digest("\n".join(filter(None, (self.repository, self.archive, *others))))

    @property
    def folder_name(self) -> str:
        """The name of a folder for its cache.

        It stays the same if an archive or origins with prefixes are added; not if the first without a prefix is.
        """
        if not self.repository:
            return "cache-origins"
        main = self.archive if self.archive and self.repository == SAMPLES else self.repository
        if main == SAMPLES:
            return f"cache-{SAMPLES}"
        parts = urlsplit(main)
        name = parts.hostname or unquote(parts.path).rstrip("/").rpartition("/")[2]
        return f"cache-{re.sub(r'[^A-Za-z0-9.-]+', '_', name)[:64] or 'root'}-{_digest(main)}"

    def accepts(self, other: OriginIdentity) -> bool:
        """Returns True if a store of this origin may be used for *other*.

        An archive, or an origin with a prefix, may be added or left out.
        """
        pairs = ((self.repository, other.repository), (self.archive, other.archive))
        before, now = dict(self.others), dict(other.others)
        same = all(before[prefix] == now[prefix] for prefix in before.keys() & now.keys())
        return same and all(not (one and another) or one == another for one, another in pairs)

    def extended_by(self, other: OriginIdentity) -> OriginIdentity:
        """Returns this identity with all that *other* has in addition."""
        others = tuple(sorted((dict(self.others) | dict(other.others)).items()))
        return OriginIdentity(self.repository or other.repository, self.archive or other.archive, others)

    def owner_of(self, path: str) -> str:
        """Returns the address of the origin that has the master at *path*, "" if none has."""
        return next((found for prefix, found in reversed(self.others) if path.startswith(prefix)), self.repository)

    def has_master(self, source: str, path: str) -> bool:
        """Returns True if the URL *source* is that of the master at *path*, as far as its origin tells."""
        address = self.owner_of(path)
        if address == SAMPLES:  # another version of mezcal may have been installed elsewhere
            return SAMPLES_PATH in source
        return bool(address) and normal_address(source).startswith(address)


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
