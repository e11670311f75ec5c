"""Digests of masters: the algorithms that can be checked, and their values."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anycrc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO

    Bytes = bytes | memoryview
    CrcFunction = Callable[[Bytes, int], int]  # returns the CRC of more data, from that of the data before

BLOCK = 2**20  # bytes that are read at a time: for each block, hashing waits for Python's lock once


class Hasher(Protocol):
    """What computes one digest."""

    def update(self, data: Bytes, /) -> None:
        """Add *data*."""

    def digest(self) -> bytes:
        """Return the digest of all data."""


class Crc:
    """A CRC of *size* bytes with the interface of hashlib, most significant byte first, as S3 has it."""

    def __init__(self, compute: CrcFunction, size: int) -> None:
        self._compute, self._size = compute, size
        self._crc = 0

    def update(self, data: Bytes, /) -> None:
        """Add *data*."""
        self._crc = self._compute(data, self._crc)

    def digest(self) -> bytes:
        """Return the bytes of the CRC."""
        return self._crc.to_bytes(self._size, "big")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How one algorithm is computed, and the bytes of its values."""

    create: Callable[[], Hasher]
    size: int


# By their names in the registry of RFC 9530 (crc32 and crc64nvme are only in S3), the preferred first: the SHA that
# repositories keep, then what takes less time; a CRC of 32 bits last. They find damage, not fraud.
ALGORITHMS: Mapping[str, Algorithm] = {
    "sha-256": Algorithm(hashlib.sha256, 32),
    "sha-512": Algorithm(hashlib.sha512, 64),
    "sha": Algorithm(lambda: hashlib.sha1(usedforsecurity=False), 20),
    "crc64nvme": Algorithm(partial(Crc, anycrc.Model("CRC64-NVME").calc, 8), 8),
    "md5": Algorithm(lambda: hashlib.md5(usedforsecurity=False), 16),
    "crc32c": Algorithm(partial(Crc, anycrc.Model("CRC32-ISCSI").calc, 4), 4),
    "crc32": Algorithm(partial(Crc, zlib.crc32, 4), 4),
}
RANKS = {name: rank for rank, name in enumerate(ALGORITHMS)}


@dataclass(frozen=True, slots=True)
class Digest:
    """The *value* of an *algorithm* of `ALGORITHMS`. *source* is where it was found: a header field, or a file."""

    algorithm: str
    value: bytes
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the form that records have: the algorithm, a colon, hexadecimal digits."""
        return f"{self.algorithm}:{self.value.hex()}"

    @classmethod
    def parse(cls, text: str) -> Digest | None:
        """Return the digest of a record, None if its algorithm is unknown or its value has another length."""
        algorithm, _, value = text.partition(":")
        return cls.of(algorithm, value, "")

    @classmethod
    def of(cls, algorithm: str, text: str, source: str) -> Digest | None:
        """Return the digest whose value is *text*, in base 64 or hexadecimal; None if it is unknown or malformed.

        Fedora writes hexadecimal digits into `Digest`, where RFC 3230 has base 64. The lengths tell them apart.
        """
        known = ALGORITHMS.get(algorithm)
        if known is None:
            return None
        is_hex = len(text) == 2 * known.size and not text.endswith("=")  # base 64 of four bytes has eight characters
        try:
            value = bytes.fromhex(text) if is_hex else b64decode(text, validate=True)
        except (ValueError, Base64Error):
            return None
        return cls(algorithm, value, source) if len(value) == known.size else None


def preferred(digests: Iterable[Digest]) -> Digest | None:
    """Return the digest of the algorithm that comes first in `ALGORITHMS`, None of none."""
    return min(digests, key=lambda digest: RANKS[digest.algorithm], default=None)


class RunningDigest:
    """The digest of bytes that arrive one after the other."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._hasher = ALGORITHMS[algorithm].create()

    def update(self, data: Bytes) -> None:
        """Add *data*. hashlib releases the GIL: a conversion goes on meanwhile. A CRC of a block takes 0.2 ms."""
        self._hasher.update(data)

    def result(self) -> Digest:
        """Return the digest of all bytes so far."""
        return Digest(self._algorithm, self._hasher.digest())


def digest_of(data: bytes, algorithm: str) -> Digest:
    """Return the digest of *data*."""
    running = RunningDigest(algorithm)
    running.update(data)
    return running.result()


def digest_of_file(file: BinaryIO, algorithm: str) -> Digest:
    """Return the digest of *file*, read from its beginning."""
    running = RunningDigest(algorithm)
    file.seek(0)
    while block := file.read(BLOCK):
        running.update(block)
    return running.result()
