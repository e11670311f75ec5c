"""Several parts of an image in one body (RFC 9110, 14.6)."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

import pytest
from flask import Flask, Response

from api.responses.multipart import ByteRanges
from api.responses.s3 import with_parts
from mezcal.store import Replaced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from api.responses.conditions import Span
    from mezcal.store import Opened

CONTENT = bytes(range(100))
SPANS = ((90, 100), (0, 1))


class Remote:
    """A derivative on another server, which is replaced after so many parts."""

    def __init__(self, parts: int) -> None:
        self._parts = parts
        self.asked: list[tuple[int, int] | None] = []
        self.files: list[BinaryIO] = []

    def fetch(self, span: tuple[int, int] | None = None) -> BinaryIO:
        self.asked.append(span)
        if span is None or len(self.asked) > self._parts:
            raise Replaced
        self.files.append(io.BytesIO(CONTENT[span[0] : span[1] + 1]))
        return self.files[-1]

    def presigned_url(self, method: str, since: float, seconds: int) -> str:
        raise NotImplementedError

    def reopen(self) -> Opened | None:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing was fetched whole."""


def read(span: Span) -> Iterable[bytes]:
    return [CONTENT[span[0] : span[1]]]


def test_the_body_has_the_length_that_was_announced_and_the_parts_in_the_order_of_the_request() -> None:
    parts = ByteRanges(SPANS, 100, "image/tiff")
    boundary = parts.content_type.removeprefix("multipart/byteranges; boundary=")
    assert re.fullmatch("[0-9]{20}", boundary)
    body = b"".join(parts.body(read))
    assert len(body) == parts.length
    first, second = (
        f"\r\n--{boundary}\r\nContent-Type: image/tiff\r\nContent-Range: bytes {span}/100\r\n\r\n"
        for span in ("90-99", "0-0")
    )
    assert body == first.encode() + CONTENT[90:] + second.encode() + CONTENT[:1] + f"\r\n--{boundary}--\r\n".encode()


def test_each_part_of_a_derivative_on_another_server_is_fetched_by_its_range_when_it_is_sent() -> None:
    remote, parts = Remote(2), ByteRanges(SPANS, 100, "image/jpeg")
    with Flask(__name__).test_request_context():
        response = with_parts(Response(), remote, parts)
        assert remote.asked == [(90, 99)]
        assert len(response.get_data()) == parts.length
    assert remote.asked == [(90, 99), (0, 0)]
    assert all(file.closed for file in remote.files)


def test_a_derivative_that_was_replaced_before_the_first_part_is_noticed_before_a_status_is_sent() -> None:
    with pytest.raises(Replaced):
        with_parts(Response(), Remote(0), ByteRanges(SPANS, 100, "image/jpeg"))


def test_a_client_that_leaves_leaves_no_part_open() -> None:
    remote = Remote(2)
    response = with_parts(Response(), remote, ByteRanges(SPANS, 100, "image/jpeg"))
    response.close()
    assert all(file.closed for file in remote.files)
