"""Undoes the content coding of a body, and notices when its end is missing. urllib3 passes a cut stream on as whole."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from mezcal.http.errors import BodyInterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 256 * 1024  # the most that one step inflates
GZIP, ZLIB, BARE = 31, 15, -15  # `wbits` of zlib
GZIP_MAGIC = b"\x1f\x8b"
ZLIB_HEADER = 8  # the low half of a zlib stream's first byte; a bare stream hardly ever begins so (RFC 1950, 2.2)


def decoded(chunks: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """Yield the body that arrives as *chunks*, without its *coding*: gzip, x-gzip or deflate; others are passed on.

    Raises `BodyInterrupted` if the stream is damaged or ends too early.
    """
    coding = coding.strip().lower()
    if coding not in {"gzip", "x-gzip", "deflate"}:
        yield from chunks
        return
    stream = _Stream(is_gzip=coding != "deflate")
    for chunk in chunks:
        yield from stream.inflate(chunk)
    if not stream.is_whole:
        raise BodyInterrupted("sent a compressed body without its end")


class _Stream:
    """One compressed body. A gzip one may have several members, one after the other (RFC 1952, 2.2)."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._inflater = zlib.decompressobj(GZIP) if is_gzip else None

    @property
    def is_whole(self) -> bool:
        """True if the stream has ended, or has not begun."""
        return self._inflater is None or self._inflater.eof

    def inflate(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what *chunk* brings, in pieces of `PIECE_BYTES` at most."""
        pending = False  # the input is used up, and there is more output
        while chunk or pending:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(self._window(chunk))
            elif self._inflater.eof:
                chunk = chunk.lstrip(b"\0") if self._is_gzip else b""  # padding, or bytes behind the end
                if not chunk.startswith(GZIP_MAGIC[: len(chunk)]) or not chunk:
                    return
                self._inflater = zlib.decompressobj(GZIP)
            try:
                piece = self._inflater.decompress(chunk, PIECE_BYTES)
            except zlib.error as error:
                raise BodyInterrupted("sent a damaged compressed body") from error
            if piece:
                yield piece
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
            pending = len(piece) == PIECE_BYTES and not self._inflater.eof

    def _window(self, chunk: bytes) -> int:
        if self._is_gzip:
            return GZIP
        return ZLIB if chunk[0] & 0x0F == ZLIB_HEADER else BARE
