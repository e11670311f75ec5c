"""The digest of an image, for clients that ask for it (RFC 9530)."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.store.local.ownership import sidecar_of

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

    from mezcal.store import Opened

WANTED = "HTTP_WANT_REPR_DIGEST"
MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*([0-9]|10)\s*")  # an algorithm, and how much it is liked
NEW_TAG_SECONDS = 1  # by which the store may move the time of a file, for another entity tag


def repr_digest(environ: WSGIEnvironment, opened: Opened) -> str | None:
    """Return the value of `Repr-Digest` for *opened*, None if the request wants none or the digest is not recorded.

    It is the SHA-256 of the whole image, also in a response that brings a part of it.
    """
    if not _wants_sha256(environ.get(WANTED, "")):
        return None
    digest = _recorded(opened)
    return f"sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:" if digest else None


def _wants_sha256(value: str) -> bool:
    """Return True unless *value* is missing or malformed, or excludes SHA-256: another algorithm is only a wish."""
    members = [MEMBER.fullmatch(text) for text in value.split(",")]
    likes = {member[1]: int(member[2]) for member in members if member is not None}
    return None not in members and likes.get("sha-256", 1) > 0


def _recorded(opened: Opened) -> str | None:
    """Return the SHA-256 in the record of *opened*, in hexadecimal digits.

    A file and its record are not replaced in one step: a record that is older than the file is of another image.
    """
    if opened.remote is not None:
        return opened.remote.sha256
    sidecar, stored = sidecar_of(Path(opened.stored.path)), opened.stored
    if sidecar is None or sidecar.size != stored.size or stored.modified > sidecar.made + NEW_TAG_SECONDS:
        return None
    return sidecar.sha256
