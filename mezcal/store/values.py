"""What a store says of one derivative."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath


@dataclass(frozen=True, slots=True)
class Stored:
    """One derivative: its size in bytes, and when it was written, in seconds since 1970.

    *tag* is its entity tag, and *noted* when it was last found fresh, where the store tells them along.
    """

    path: PurePath
    size: int
    modified: int
    tag: str | None = None
    noted: float | None = None

    @property
    def etag(self) -> str:
        """A strong entity tag, quotes included; of a file in nginx's form: the same whichever of the two answers."""
        return self.tag or f'"{self.modified:x}-{self.size:x}"'


@dataclass(frozen=True, slots=True)
class Opened:
    """A derivative held open: *stored* describes these very bytes, whatever is published meanwhile."""

    stored: Stored
    file: BinaryIO


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where a derivative comes from and what it is: kept beside it as `image.json`.

    Times are seconds since 1970; sizes are bytes, width and height pixels.
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

    def as_bytes(self) -> bytes:
        """The sidecar as its file holds it."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Sidecar | None:
        """The sidecar of a file; None if it is not one of ours, for a sidecar is never worth an error."""
        try:
            values = json.loads(data)
            return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One derivative as a listing of the store shows it; times are seconds since 1970.

    *name* is its image's path below the store's root, `a/b/image.jpg`; *used* is when it was last read, None
    where the store cannot tell; *look* reads its sidecar, which costs a look at the store.
    """

    name: str
    size: int
    modified: float
    used: float | None
    look: Callable[[], Sidecar | None]

    def sidecar(self) -> Sidecar | None:
        """What is known of it, read now."""
        return self.look()
