"""What a store returns about one derivative."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Stored:
    """One derivative: its size in bytes, and when it was written, in seconds since 1970.

    *tag* is its entity tag and *fresh* when it was last found fresh, if the store returns them with it.
    """

    path: PurePath
    size: int
    modified: int
    tag: str | None = None
    fresh: float | None = None

    @property
    def etag(self) -> str:
        """A strong entity tag, with quotes. A file's has nginx's form, so that it is the same behind nginx."""
        return self.tag or f'"{self.modified:x}-{self.size:x}"'


class RemoteDerivative(Protocol):
    """A derivative on another server, of which a client may need only a part, or only the address."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 in its record, in hexadecimal digits; None if it has none."""

    def fetch(self, span: tuple[int, int] | None = None) -> BinaryIO:
        """Fetch the bytes, or those from the first to the last of *span*, into a file. Raises `Replaced`."""

    def presigned_url(self, method: str, since: float, seconds: int) -> str:
        """Returns a URL that allows anyone to do *method*, GET or HEAD, for *seconds* from *since* on."""

    def reopen(self) -> Opened | None:
        """Open the derivative that has replaced it, None if there is none."""

    def close(self) -> None:
        """Release what reading has fetched."""


class Replaced(Exception):
    """Another derivative was published, or this one deleted, since it was opened."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A derivative held open: *stored* describes exactly these bytes, whatever is published meanwhile.

    *remote* is set if the bytes are on another server; reading *file* fetches them then.
    """

    stored: Stored
    file: BinaryIO
    remote: RemoteDerivative | None = None


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where a derivative comes from and what it is, kept next to it as `image.json`.

    Times are seconds since 1970; sizes are bytes, width and height pixels. *master_digest* is the digest that the
    origin declared and the master had, as `sha-256:` and hexadecimal digits; of several masters, all of them. *made_by*
    is the program, with its version.
    """

    recipe: dict[str, Any]
    recipe_version: str
    source: str
    master_etag: str | None
    master_last_modified: str | None
    master_size: int | None
    master_format: str
    size: int
    width: int
    height: int
    sha256: str
    made: float
    fresh: float
    note: str | None = None
    master_digest: str | None = None
    made_by: str | None = None

    def is_same_picture(self, other: Sidecar) -> bool:
        """Returns True if *other* has the same bytes, made from the same version of the master."""
        names = ("recipe_version", "source", "master_etag", "master_last_modified", "master_size", "sha256")
        return all(getattr(self, name) == getattr(other, name) for name in names)

    def as_bytes(self) -> bytes:
        """Returns the content of the sidecar's file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Sidecar | None:
        """Returns the sidecar in a file's content, None if it is not one of ours: that is no error."""
        try:
            values = json.loads(data)
            return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class Described:
    """A derivative with its sidecar, None if it has none."""

    stored: Stored
    sidecar: Sidecar | None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One derivative as a listing of the store shows it. *modified* is in seconds since 1970.

    *name* is its image's path below the store's root, `a/b/image.jpg`. *sidecar* reads its sidecar from the store.
    """

    name: str
    size: int
    modified: float
    sidecar: Callable[[], Sidecar | None]
