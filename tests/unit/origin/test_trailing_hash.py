"""A master is hashed behind its download, and neither waits for the other before the end."""

from __future__ import annotations

import hashlib
import os
import threading
from io import BytesIO

import pytest

from mezcal.errors import MasterIncomplete, StoreDown
from mezcal.origin.fixity.digest import BLOCK, Digest
from mezcal.origin.fixity.trailing_hash import TrailingHash

MASTER = os.urandom(2 * BLOCK + 7)
DIGESTS = [Digest("sha-256", hashlib.sha256(MASTER).digest()), Digest("md5", hashlib.md5(MASTER).digest())]


def read(at: int, buffer: memoryview) -> int:
    return BytesIO(MASTER[at:]).readinto(buffer)


def test_the_digests_are_those_of_all_that_arrived() -> None:
    trailing = TrailingHash(["sha-256", "md5"], read)
    for received in (1, BLOCK - 1, BLOCK + 5, len(MASTER)):
        trailing.advance(received)
    assert trailing.finish(len(MASTER)) == DIGESTS


def test_what_arrives_does_not_wait_for_the_hash() -> None:
    begun, go = threading.Event(), threading.Event()

    def read_late(at: int, buffer: memoryview) -> int:
        begun.set()
        go.wait(60)
        return read(at, buffer)

    trailing = TrailingHash(["sha-256"], read_late)
    trailing.advance(BLOCK)
    assert begun.wait(60)
    trailing.advance(len(MASTER))
    go.set()
    assert trailing.finish(len(MASTER)) == DIGESTS[:1]


def test_a_hash_that_was_stopped_has_no_digest() -> None:
    trailing = TrailingHash(["sha-256"], read)
    trailing.advance(BLOCK)
    trailing.close()
    with pytest.raises(MasterIncomplete):
        trailing.finish(len(MASTER))


@pytest.mark.parametrize("received", [7, len(MASTER)])
def test_a_scratch_file_that_cannot_be_read_is_a_failure(received: int) -> None:
    def fail(_at: int, _buffer: memoryview) -> int:
        raise OSError(5, "Input/output error")

    trailing = TrailingHash(["sha-256"], fail)
    trailing.advance(received)
    with pytest.raises(StoreDown, match="Input/output error"):
        trailing.finish(received)


def test_without_an_algorithm_nothing_is_read() -> None:
    trailing = TrailingHash([], pytest.fail)
    trailing.advance(BLOCK)
    assert trailing.finish(BLOCK) == []
