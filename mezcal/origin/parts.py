"""Reads a master in parts, by ranges: for derivatives that need few of its bytes."""

from __future__ import annotations

import io
import re
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from mezcal.errors import MasterDamaged, MasterIncomplete
from mezcal.origin.client import read_chunks
from mezcal.origin.download import READ_BUFFER, open_download, receive_master
from mezcal.origin.growing_file import GrowingFile, ScratchFile
from mezcal.origin.master import Master
from mezcal.origin.responses import check_no_page, strong_etag, too_large
from mezcal.origin.retries import TransientFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mezcal.http import HttpResponse
    from mezcal.origin.client import OriginClient
    from mezcal.origin.download import DownloadContext, MasterAddress
    from mezcal.origin.retries import RetryBudget

FIRST_PART = 256 * 1024  # bytes: the headers of most frames, and the tables of their tiles
PART_MIN, PART_MAX = READ_BUFFER, 2**20  # bytes that are requested unannounced: doubled while the reader goes on
ANNOUNCED_MAX = 16 * 2**20  # bytes of one request for what was announced
WHOLE_FILES = (b"\x1f\x8b", b"BZh")  # gzip and bzip2 are read from their beginning to their end
CONTENT_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+)", re.IGNORECASE)


@contextmanager
def open_parts(client: OriginClient, address: MasterAddress, context: DownloadContext) -> Iterator[Master]:
    """Open the master at *address*; only the parts that are read are requested. Else the same as `open_download`.

    The whole master is downloaded if the server sends no ranges or no strong entity tag, and if the file is compressed
    as a whole.
    """
    budget = context.new_budget()
    response = budget.run(lambda: client.get(address.asked, budget, {"Range": f"bytes=0-{FIRST_PART - 1}"}))
    with _opened(client, address, context, response, budget) as master:
        yield master


def _opened(
    client: OriginClient,
    address: MasterAddress,
    context: DownloadContext,
    response: HttpResponse,
    budget: RetryBudget,
) -> AbstractContextManager[Master]:
    """Returns the master that *response* brings, or begins."""
    if response.status != 206:
        return receive_master(client, address, context, response, budget)
    with closing(response):
        size, etag = _size_of(response, 0), strong_etag(response.headers.get("ETag"))
        check_no_page(response.headers)
        if size is not None and size > context.max_bytes:
            raise too_large(context.max_bytes, size)
        first = _first_part(response, budget, min(size, FIRST_PART)) if size and etag else b""
    if not first or first.startswith(WHOLE_FILES) or not size or not etag:
        return open_download(client, address, context)
    return MasterParts(client, address.asked, etag, size, context).opened(first, address.public, response)


class MasterParts:
    """The parts of one master that have been read so far. They are requested by the thread that reads."""

    def __init__(self, client: OriginClient, url: str, etag: str, size: int, context: DownloadContext) -> None:
        self._client, self._url, self._etag, self._size, self._context = client, url, etag, size, context
        self._scratch = ScratchFile(context.scratch_dir, size, context.new_budget(), context.free_space)
        self._announced = (0, 0)
        self._last, self._step = 0, PART_MIN  # where the last part ended, and how long it was
        self._spans: list[tuple[int, int]] = []  # that have arrived
        self.received = 0

    @contextmanager
    def opened(self, first: bytes, public_url: str, response: HttpResponse) -> Iterator[Master]:
        """Yield the master, whose *first* bytes came with *response*."""
        try:
            self._keep(0, first)
            opened_at = time.monotonic()
            with closing(self._reader()) as file:
                yield Master(
                    file=file,
                    source=public_url,
                    etag=self._etag,
                    last_modified=response.headers.get("Last-Modified"),
                    size=self._size,
                    content_type=response.headers.get("Content-Type"),
                    in_parts=True,
                    completed_at=lambda: opened_at,  # no job waits for more than it reads
                    bytes_received=lambda: self.received,
                    open_again=self._reader,
                )
        finally:
            for _ in range(2):  # no thread writes to it, which would be the other user
                self._scratch.release()

    def _reader(self) -> PartsReader:
        return PartsReader(GrowingFile(self._scratch, self.fetch), self.announce)

    def announce(self, start: int, stop: int) -> None:
        """Say that the bytes from *start* to before *stop* will be read: one request brings them all."""
        self._announced = start, min(stop, self._size)

    def fetch(self, at: int) -> None:
        """Request the part with the byte at the offset *at*. Raises the failures of an origin."""
        if at >= self._size:
            return
        start, stop = self._part_around(at)
        start = max([start, *(end for _, end in self._spans if end <= at)])
        stop = min([stop, *(begin for begin, _ in self._spans if begin > at)])
        budget = self._context.new_budget()  # of each part: a job may read more of the master much later
        self._keep(start, budget.run(lambda: self._request(start, stop, budget)))

    def _part_around(self, at: int) -> tuple[int, int]:
        """Return where the part begins and ends. What was announced may be read from its end, as pictures are."""
        start, end = self._announced
        if start <= at < end:
            start += (at - start) // ANNOUNCED_MAX * ANNOUNCED_MAX
            return start, min(start + ANNOUNCED_MAX, end)
        self._step = min(2 * self._step, PART_MAX) if at == self._last else PART_MIN
        return at, min(at + self._step, self._size)

    def _request(self, start: int, stop: int, budget: RetryBudget) -> bytes:
        headers = {"Range": f"bytes={start}-{stop - 1}", "If-Range": self._etag}
        with closing(self._client.get(self._url, budget, headers)) as response:
            same = response.status == 206 and strong_etag(response.headers.get("ETag")) == self._etag
            if not same or _size_of(response, start) != self._size:
                raise MasterIncomplete("the master changed while it was read")
            data = _read(response, budget, stop - start)
        if len(data) < stop - start:
            raise TransientFailure(MasterIncomplete("the repository sent less than it announced"))
        try:
            self._client.check_part(response, data)
        except MasterDamaged as failure:  # nobody has read it yet: it may be requested again
            raise TransientFailure(failure) from None
        return data

    def _keep(self, at: int, data: bytes) -> None:
        self._scratch.write_ahead(at, data)
        self._spans.append((at, at + len(data)))
        self._last = at + len(data)
        self.received += len(data)


class PartsReader(io.BufferedReader):
    """Reads a master in parts."""

    def __init__(self, file: GrowingFile, announce: Callable[[int, int], None]) -> None:
        super().__init__(file, READ_BUFFER)
        self.announce = announce


def _size_of(response: HttpResponse, start: int) -> int | None:
    """Return the master's size if *response* brings a part from *start* on, None if it does not."""
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    return int(match[3]) if match is not None and int(match[1]) == start else None


def _first_part(response: HttpResponse, budget: RetryBudget, size: int) -> bytes:
    """Return the first *size* bytes, none if fewer or more came."""
    try:
        data = _read(response, budget, size)
    except (TransientFailure, MasterIncomplete):
        return b""
    return data if len(data) == size else b""


def _read(response: HttpResponse, budget: RetryBudget, most: int) -> bytes:
    """Return the body. Raises `MasterIncomplete` if it has more than *most* bytes."""
    data = bytearray()
    for chunk in read_chunks(response, budget):
        data += chunk
        if len(data) > most:
            raise MasterIncomplete("the repository sent more than the part that was requested")
    return bytes(data)
