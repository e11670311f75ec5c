"""Content codings: undone in bounded pieces, and never whole without their end."""

from __future__ import annotations

import gzip
import zlib

import pytest

from mezcal.http.content_coding import PIECE_BYTES, decoded
from mezcal.http.errors import BodyInterrupted

BODY = bytes(range(256)) * 4000


def bare(body: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(body) + deflater.flush()


def in_chunks(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 10**9])
@pytest.mark.parametrize(
    ("coding", "sent"),
    [
        ("gzip", gzip.compress(BODY[:5000], mtime=0)),
        ("X-GZIP ", gzip.compress(BODY[:2000], mtime=0) + gzip.compress(BODY[2000:5000], mtime=0)),
        ("deflate", zlib.compress(BODY[:5000])),
        ("deflate", bare(BODY[:5000])),
        ("identity", BODY[:5000]),
        ("", BODY[:5000]),
    ],
)
def test_a_whole_body_comes_back(coding: str, sent: bytes, size: int) -> None:
    assert b"".join(decoded(iter(in_chunks(sent, size)), coding)) == BODY[:5000]


@pytest.mark.parametrize(("coding", "sent"), [("gzip", gzip.compress(BODY, mtime=0)), ("deflate", zlib.compress(BODY))])
@pytest.mark.parametrize("left", [0.1, 0.5, 0.999])
def test_a_body_without_its_end_is_cut(coding: str, sent: bytes, left: float) -> None:
    with pytest.raises(BodyInterrupted, match="without its end"):
        list(decoded(iter([sent[: int(len(sent) * left)]]), coding))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_damaged_body_is_no_body(coding: str) -> None:
    with pytest.raises(BodyInterrupted, match="damaged"):
        list(decoded(iter([b"\x1f\x8b\x08" + b"\xff" * 100]), coding))


def test_an_empty_body_is_empty() -> None:
    assert list(decoded(iter([]), "deflate")) == []


def test_a_bomb_is_inflated_in_pieces() -> None:
    sizes = [len(piece) for piece in decoded(iter([gzip.compress(bytes(50_000_000))]), "gzip")]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 50_000_000


@pytest.mark.parametrize("more", range(0, 400, 7))
def test_output_that_fills_the_last_piece_is_not_the_end(more: int) -> None:
    """The inflater may have used all its input and still hold output back."""
    body = bytes(PIECE_BYTES + more)
    for coding, sent in (("deflate", bare(body)), ("deflate", zlib.compress(body)), ("gzip", gzip.compress(body))):
        assert b"".join(decoded(iter([sent]), coding)) == body


@pytest.mark.parametrize("behind", [b"\0", b"\0" * 1000, b"\0\0 something else"])
def test_padding_behind_a_gzip_body_is_ignored(behind: bytes) -> None:
    assert b"".join(decoded(iter([gzip.compress(BODY) + behind]), "gzip")) == BODY
