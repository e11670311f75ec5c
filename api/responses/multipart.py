"""The body of a response with several ranges: `multipart/byteranges`, RFC 9110, 14.6."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from api.responses.conditions import Span

DIGITS = 20  # of the boundary, as many as nginx has: the lengths of both bodies are the same


class ByteRanges:
    """The parts that are sent of a file of *size* bytes, laid out byte by byte as nginx does it.

    *media_type* is the type of the file. The boundary is random, so that nobody can make a file that contains it.
    """

    def __init__(self, spans: tuple[Span, ...], size: int, media_type: str) -> None:
        self._spans = spans
        boundary = f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"
        self._heads = [
            f"\r\n--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: bytes {start}-{stop - 1}/{size}\r\n\r\n"
            for start, stop in spans
        ]
        self._end = f"\r\n--{boundary}--\r\n"
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        self.length = sum(map(len, self._heads)) + sum(stop - start for start, stop in spans) + len(self._end)

    def body(self, read: Callable[[Span], Iterable[bytes]]) -> Generator[bytes]:
        """Yield the body in blocks. *read* returns the bytes of a span in blocks."""
        for head, span in zip(self._heads, self._spans, strict=True):
            yield head.encode()
            yield from read(span)
        yield self._end.encode()
