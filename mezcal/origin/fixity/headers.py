"""The digests in the header of a response that covers a whole master (RFC 9530, RFC 3230, S3 API)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mezcal.origin.fixity.digest import Digest, preferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# RFC 9530, 4: how much each algorithm is liked, from 1 to 10. Modern processors compute SHA-256 fastest.
WANT_REPR_DIGEST = {"Want-Repr-Digest": "sha-256=10, sha-512=5"}
# RFC 3230, 4.3.1. Fedora reads the whole file for each algorithm that is named here, and refuses what it does not know.
WANT_DIGEST = {"Want-Digest": "sha-256"}
WANTED = "sha-256"
CHECKSUM_MODE = {"x-amz-checksum-mode": "ENABLED"}  # S3: GetObject, HeadObject
MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*/-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*(?:;.*)?")  # of a dictionary of RFC 9651
INSTANCE = re.compile(r"\s*(?:id-)?([a-z0-9/-]+)\s*=\s*([A-Za-z0-9+/=]+)\s*", re.IGNORECASE)
OLD_NAMES = {"sha-1": "sha", "sha1": "sha", "sha256": "sha-256", "sha512": "sha-512"}
S3_CHECKSUMS = {
    "x-amz-checksum-sha256": "sha-256",
    "x-amz-checksum-sha1": "sha",
    "x-amz-checksum-crc64nvme": "crc64nvme",  # what AWS adds to objects that were uploaded without a checksum
    "x-amz-checksum-crc32c": "crc32c",
    "x-amz-checksum-crc32": "crc32",
}
MD5_TAG = re.compile(r'"([0-9a-f]{32})"')
NO_MD5 = ("aws:kms", "aws:kms:dsse")  # encryptions with which an entity tag is no MD5 of the object
LDP_FILE = "http://www.w3.org/ns/ldp#NonRDFSource"  # the type that Fedora gives its files (LDP 1.0, 4.4)


def http_digest(headers: Mapping[str, str]) -> Digest | None:
    """Return the preferred digest that a web server declares, None if it declares none that is known.

    In a response that brings the whole master, `Content-Digest` covers the same bytes as `Repr-Digest`.
    """
    return preferred(_http_digests(headers))


def part_digest(headers: Mapping[str, str]) -> Digest | None:
    """Return the preferred digest of the bytes of a response that brings a part of a master: `Content-Digest` alone."""
    return preferred(_members(headers.get("Content-Digest", ""), MEMBER, "Content-Digest"))


def s3_digest(headers: Mapping[str, str]) -> Digest | None:
    """Return the preferred checksum of an object in S3, None if it has none of the whole object.

    A checksum of checksums (COMPOSITE) is none of the object's bytes. An entity tag is the MD5 of an object that was
    uploaded in one part, unless a key of KMS or of the client encrypts it.
    """
    return preferred([*_http_digests(headers), *_s3_checksums(headers), *_md5_tag(headers)])


def is_of_ldp(headers: Mapping[str, str]) -> bool:
    """Return True if the server is one of the Linked Data Platform, as Fedora is: it may know `Want-Digest`."""
    return LDP_FILE in headers.get("Link", "")


def _http_digests(headers: Mapping[str, str]) -> Iterator[Digest]:
    for name in ("Repr-Digest", "Content-Digest"):
        yield from _members(headers.get(name, ""), MEMBER, name)
    yield from _members(headers.get("Digest", ""), INSTANCE, "Digest")


def _members(value: str, member: re.Pattern[str], source: str) -> Iterator[Digest]:
    for text in value.split(","):
        match = member.fullmatch(text)
        if match is not None:
            name = match[1].lower()
            digest = Digest.of(OLD_NAMES.get(name, name), match[2], source)
            if digest is not None:
                yield digest


def _s3_checksums(headers: Mapping[str, str]) -> Iterator[Digest]:
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() != "FULL_OBJECT":
        return
    for name, algorithm in S3_CHECKSUMS.items():
        digest = Digest.of(algorithm, headers.get(name, ""), name)  # one of checksums ends with -N: malformed here
        if digest is not None:
            yield digest


def _md5_tag(headers: Mapping[str, str]) -> Iterator[Digest]:
    encryption = headers.get("x-amz-server-side-encryption", "")
    of_client = "x-amz-server-side-encryption-customer-algorithm" in headers
    express = headers.get("x-amz-storage-class") == "EXPRESS_ONEZONE"  # its tags are random
    match = MD5_TAG.fullmatch(headers.get("ETag", ""))
    if match is not None and encryption not in NO_MD5 and not of_client and not express:
        yield Digest("md5", bytes.fromhex(match[1]), "ETag")
