"""Downloads one master into its scratch file, on its own thread, and resumes where the origin broke off."""

from __future__ import annotations

import io
import logging
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.errors import Failure, MasterEmpty, MasterIncomplete, Unforeseen, UnusableResponse
from mezcal.origin.client import read_chunks
from mezcal.origin.fixity import FixityCheck
from mezcal.origin.growing_file import FreeSpaceCallback, GrowingFile, ScratchFile
from mezcal.origin.master import Master
from mezcal.origin.responses import check_content, strong_etag, too_large
from mezcal.origin.retries import RetryBudget, TransientFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.http import HttpResponse
    from mezcal.origin.client import OriginClient
    from mezcal.origin.fixity import LateDigest
    from mezcal.settings import Settings

    LateDigestOf = Callable[[HttpResponse], LateDigest | None]

READ_BUFFER = 64 * 1024  # bytes: decoders read headers in small steps
AHEAD_BYTES = 2 * 2**20  # from this distance on, another request is faster than waiting for the download
SPAN_BYTES = 2**20  # fetched by one such request: a TIFF's directory with its offsets is seldom larger
SPANS_MAX = 16  # a reader that jumps about must wait; each jump would cost the origin a request
JOIN_SECONDS = 0.5  # `cancel` waits so long for a thread that is connecting; the thread ends by itself later

logger = logging.getLogger(__name__)


def no_late_digest(_response: HttpResponse) -> LateDigest | None:
    """Return None: no digest is asked for while the master arrives."""
    return None


@dataclass(frozen=True, slots=True)
class DownloadContext:
    """What all downloads from one origin share: their limits, and where their scratch files are."""

    retries: int
    total_timeout: float
    max_bytes: int
    scratch_dir: Path
    free_space: FreeSpaceCallback
    repeats_timeouts: bool = True

    @classmethod
    def of(cls, settings: Settings, free_space: FreeSpaceCallback) -> DownloadContext:
        """Return the context that *settings* describe."""
        return cls(
            settings.origin_retries,
            settings.origin_total_timeout,
            settings.origin_max_bytes,
            settings.scratch_dir,
            free_space,
        )

    def new_budget(self) -> RetryBudget:
        """Return the retries and the time of one master."""
        return RetryBudget(self.retries, self.total_timeout, repeats_timeouts=self.repeats_timeouts)


@dataclass(frozen=True, slots=True)
class MasterAddress:
    """Where one master is requested.

    *public* is the URL that may be shown and stored: *asked* itself may be signed. *late_digest_of* returns the digest
    to be asked for while a response brings the master.
    """

    asked: str
    public: str
    late_digest_of: LateDigestOf = no_late_digest


@contextmanager
def open_download(client: OriginClient, address: MasterAddress, context: DownloadContext) -> Iterator[Master]:
    """Open the master at *address*. It can be read from its first byte on while the rest is arriving.

    Returns as soon as the response is known to bring a master. Leaving the context ends the download.
    """
    budget = context.new_budget()
    response = budget.run(lambda: client.get(address.asked, budget, client.digest_request))
    with receive_master(client, address, context, response, budget) as master:
        yield master


@contextmanager
def receive_master(
    client: OriginClient,
    address: MasterAddress,
    context: DownloadContext,
    response: HttpResponse,
    budget: RetryBudget,
) -> Iterator[Master]:
    """Do the same with a *response* that has begun."""
    etag, last_modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    scratch = _create_scratch(response, budget, context)
    size = scratch.size  # as announced: the download sets it at its end in any case
    download = Download(client, address, response, scratch, budget, context.max_bytes)
    download.start()
    try:
        with closing(download.open_file()) as file:
            yield Master(
                file=file,
                source=address.public,
                etag=etag,
                last_modified=last_modified,
                size=size,
                delimited=response.is_delimited,
                content_type=response.headers.get("Content-Type"),
                sends_parts=download.sends_parts,
                declares_digest=download.fixity.compares,
                wait_complete=scratch.wait_complete,
                completed_at=lambda: scratch.completed_at,
                bytes_received=lambda: scratch.received,
                open_again=download.open_file,
                verified_digest=lambda: download.fixity.verified,
            )
    finally:
        download.cancel()


def _create_scratch(response: HttpResponse, budget: RetryBudget, context: DownloadContext) -> ScratchFile:
    try:
        size = check_content(response.headers, context.max_bytes)
        return ScratchFile(context.scratch_dir, size, budget, context.free_space)
    except Failure as failure:
        failure.validators = response.headers.get("ETag"), response.headers.get("Last-Modified")
        response.close()
        raise
    except Exception:
        response.close()
        raise


class Download:
    """One master that is arriving: `start` it, read its scratch file, and `cancel` it in every case.

    *sends_parts* is True if its server promises parts of the same version.
    """

    def __init__(
        self,
        client: OriginClient,
        address: MasterAddress,
        response: HttpResponse,
        scratch: ScratchFile,
        budget: RetryBudget,
        max_bytes: int,
    ) -> None:
        self.fixity = FixityCheck(scratch.read_into, client.digest_in(response), address.late_digest_of(response))
        self._client, self._url, self._scratch = client, address.asked, scratch
        self._budget, self._max_bytes = budget, max_bytes
        self._logged_url = self._url.partition("?")[0]  # the query may be a signature, which is as good as a key
        self._response: HttpResponse | None = response
        self._etag = strong_etag(response.headers.get("ETag"))
        self.sends_parts = _accepts_ranges(response) and self._etag is not None and scratch.size is not None
        self._spans_left = SPANS_MAX if self.sends_parts else 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="origin-download", daemon=True)

    def start(self) -> None:
        """Start to read the body."""
        self.fixity.start()
        self._thread.start()

    def open_file(self) -> io.BufferedReader:
        """Returns a file of the master, from its beginning, which waits for what has not arrived."""
        return io.BufferedReader(GrowingFile(self._scratch, self.fetch_ahead), READ_BUFFER)

    def cancel(self) -> None:
        """Stop reading, close the connection, release the scratch file. Harmless if the master is complete."""
        self._budget.cancelled.set()
        self.fixity.cancel()
        with self._lock:
            if self._response is not None:
                self._response.shut_down()
        self._thread.join(JOIN_SECONDS)
        self._scratch.release()

    def _run(self) -> None:
        try:
            self._budget.run(self._receive)
            if self._scratch.received:
                self.fixity.finish(self._scratch.received)
            self._scratch.end(None if self._scratch.received else MasterEmpty("the repository sent no byte"))
        except Failure as failure:
            self._scratch.end(failure)
        except Exception:  # the reader must not wait for ever after any error
            logger.exception("the download of %s ended unexpectedly", self._logged_url)
            self._scratch.end(Unforeseen("the download ended unexpectedly"))
        finally:
            self.fixity.close()
            self._scratch.release()

    def _receive(self) -> None:
        response = self._response
        if response is None:
            response = self._resume()
        self._set_response(response)
        try:
            with closing(response):
                self._write_body(response)
        finally:
            self._set_response(None)

    def _set_response(self, response: HttpResponse | None) -> None:
        with self._lock:
            self._response = response
            if response is not None and self._budget.cancelled.is_set():
                response.shut_down()

    def _write_body(self, response: HttpResponse) -> None:
        at = self._scratch.received if response.status == 206 else 0
        add_coded = self.fixity.coded_by(response.headers.get("Content-Encoding", ""))
        for chunk in read_chunks(response, self._budget, add_coded):
            if at + len(chunk) > self._max_bytes:
                raise too_large(self._max_bytes)
            self._scratch.write(at, chunk)
            self.fixity.advance(self._scratch.received)
            at += len(chunk)
        if self._scratch.size is not None and at < self._scratch.size:
            raise TransientFailure(MasterIncomplete("the repository sent less than it announced"))
        if at < self._scratch.received:  # of another response, which broke off
            raise MasterIncomplete("the master changed while it was read")

    def _resume(self) -> HttpResponse:
        """Request the missing rest if the origin promises the same bytes, else the whole master, to compare them."""
        if self.sends_parts and self._scratch.received:
            response = self._request_range(self._scratch.received, None)
        else:
            response = self._client.get(self._url, self._budget)
        try:
            self._check_same_version(response)
        except Exception:
            response.close()
            raise
        return response

    def _check_same_version(self, response: HttpResponse) -> None:
        if response.status == 206:
            same = self._is_span(response, self._scratch.received)
        else:
            size = check_content(response.headers, self._max_bytes)
            same = size == self._scratch.size and strong_etag(response.headers.get("ETag")) == self._etag
        if not same:
            raise MasterIncomplete("the master changed while it was read")

    def _request_range(self, start: int, end: int | None) -> HttpResponse:
        last = "" if end is None else end - 1
        headers = {"Range": f"bytes={start}-{last}", "If-Range": self._etag or ""}
        return self._client.get(self._url, self._budget, headers)

    def _is_span(self, response: HttpResponse, start: int) -> bool:
        """Return True if a 206 brings bytes of the same version of the master, from *start* on."""
        content_range = response.headers.get("Content-Range", "").replace(" ", "").lower()
        expected = content_range.startswith(f"bytes{start}-") and content_range.endswith(f"/{self._scratch.size}")
        return expected and strong_etag(response.headers.get("ETag")) == self._etag

    def fetch_ahead(self, at: int) -> None:
        """Request the bytes around the offset *at* separately, if that is faster than waiting, and allowed.

        A reader calls this before it waits. If it fails, the reader can still wait.
        """
        size = self._scratch.size or 0
        if not self._spans_left or at - self._scratch.received < AHEAD_BYTES or at >= size:
            return
        self._spans_left -= 1
        start = max(size - SPAN_BYTES, self._scratch.received) if at >= size - SPAN_BYTES else at
        try:
            with closing(self._request_range(start, min(start + SPAN_BYTES, size))) as response:
                self._write_span(response, start)
        except (TransientFailure, Failure) as error:
            self._spans_left = 0
            logger.info("no part of %s is fetched ahead: %s", self._logged_url, error)

    def _write_span(self, response: HttpResponse, start: int) -> None:
        if response.status != 206 or not self._is_span(response, start):
            raise UnusableResponse("the repository does not send the part that was requested")
        span = b""
        for chunk in read_chunks(response, self._budget):
            span += chunk
            if len(span) > SPAN_BYTES:
                raise UnusableResponse("the repository sent more than the part that was requested")
        self._scratch.write_ahead(start, span)


def _accepts_ranges(response: HttpResponse) -> bool:
    return response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
