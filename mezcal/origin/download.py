"""Brings one master into its scratch file, on a thread of its own, and goes on where the origin broke off."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from mezcal.errors import Failure, NotAnImage, OriginFailed
from mezcal.origin.responses import judge_content, strong, too_large
from mezcal.origin.retries import Again

if TYPE_CHECKING:
    from mezcal.origin.client import OriginClient, OriginResponse
    from mezcal.origin.growing_file import MasterScratch
    from mezcal.origin.retries import Retries

AHEAD = 2 * 2**20  # bytes beyond the front from which a request of its own is quicker than to wait
SPAN = 2**20  # bytes fetched at once: a TIFF's directory with its offsets is seldom larger
SPANS_MAX = 16  # a reader that jumps about shall wait, not load the origin with a request for each jump
LEAVE = 0.5  # seconds that whoever leaves waits for a thread that is just connecting; it ends on its own then

logger = logging.getLogger(__name__)


class Download:
    """One master on its way: `start` it, read its scratch file, `cancel` it in every ending."""

    def __init__(
        self, wire: OriginClient, url: str, answer: OriginResponse, scratch: MasterScratch, tries: Retries, limit: int
    ) -> None:
        self._wire, self._url, self._scratch, self._tries, self._limit = wire, url, scratch, tries, limit
        self._shown = url.partition("?")[0]  # a signed URL is as good as a key: logs have it without
        self._answer: OriginResponse | None = answer
        self._etag = strong(answer.headers.get("ETag"))
        self._ranges = _has_ranges(answer) and self._etag is not None and scratch.size is not None
        self._spans_left = SPANS_MAX if self._ranges else 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="origin-download", daemon=True)

    def start(self) -> None:
        """Begin to take the body."""
        self._thread.start()

    def cancel(self) -> None:
        """Stop taking it, close the connection, leave the scratch file; harmless when all has arrived."""
        self._tries.cancelled.set()
        with self._lock:
            if self._answer is not None:
                self._answer.hang_up()
        self._thread.join(LEAVE)
        self._scratch.release()

    def _run(self) -> None:
        try:
            self._tries.persist(self._bring)
            self._scratch.end(None if self._scratch.front else NotAnImage("the master is empty"))
        except Failure as failure:
            self._scratch.end(failure)
        except Exception:  # whatever it is, the reader must not wait for ever
            logger.exception("the download of %s ended unexpectedly", self._shown)
            self._scratch.end(OriginFailed("the download ended unexpectedly"))
        finally:
            self._scratch.release()

    def _bring(self) -> None:
        answer = self._answer
        if answer is None:
            answer = self._ask_again()
        self._hold(answer)
        try:
            with closing(answer):
                self._take(answer)
        finally:
            self._hold(None)

    def _hold(self, answer: OriginResponse | None) -> None:
        with self._lock:
            self._answer = answer
            if answer is not None and self._tries.cancelled.is_set():
                answer.hang_up()

    def _take(self, answer: OriginResponse) -> None:
        at = self._scratch.front if answer.status == 206 else 0
        for piece in answer.pieces(self._tries):
            if at + len(piece) > self._limit:
                raise too_large(self._limit)
            self._scratch.put(at, piece)
            at += len(piece)
        if self._scratch.size is not None and at < self._scratch.size:
            raise Again(OriginFailed("the repository sent less than it announced"))

    def _ask_again(self) -> OriginResponse:
        """Go on at the front where the origin promises the same bytes; else from the start, and compare."""
        if self._ranges and self._scratch.front:
            answer = self._ask_range(self._scratch.front, None)
        else:
            answer = self._wire.get(self._url, self._tries)
        try:
            self._must_be_the_same(answer)
        except Exception:
            answer.close()
            raise
        return answer

    def _must_be_the_same(self, answer: OriginResponse) -> None:
        if answer.status == 206:
            same = self._is_span(answer, self._scratch.front)
        else:
            size = judge_content(answer.headers, self._limit)
            same = size == self._scratch.size and strong(answer.headers.get("ETag")) == self._etag
        if not same:
            raise OriginFailed("the master changed while it was read")

    def _ask_range(self, start: int, end: int | None) -> OriginResponse:
        last = "" if end is None else end - 1
        headers = {"Range": f"bytes={start}-{last}", "If-Range": self._etag or ""}
        return self._wire.get(self._url, self._tries, headers)

    def _is_span(self, answer: OriginResponse, start: int) -> bool:
        """Whether a 206 brings bytes of the same version of the master, from *start* on."""
        place = answer.headers.get("Content-Range", "").replace(" ", "").lower()
        here = place.startswith(f"bytes{start}-") and place.endswith(f"/{self._scratch.size}")
        return here and strong(answer.headers.get("ETag")) == self._etag

    def fetch_ahead(self, at: int) -> None:
        """Have the bytes around *at* fetched by a request of its own, if that is quicker and allowed.

        A reader calls this before it waits; whatever goes wrong here, it still can wait.
        """
        size = self._scratch.size or 0
        if not self._spans_left or at - self._scratch.front < AHEAD or at >= size:
            return
        self._spans_left -= 1
        start = max(size - SPAN, self._scratch.front) if at >= size - SPAN else at
        try:
            with closing(self._ask_range(start, min(start + SPAN, size))) as answer:
                self._keep_span(answer, start)
        except (Again, Failure) as refused:
            self._spans_left = 0
            logger.info("waiting for the tail of %s: %s", self._shown, refused)

    def _keep_span(self, answer: OriginResponse, start: int) -> None:
        if answer.status != 206 or not self._is_span(answer, start):
            raise OriginFailed("the repository does not send the part that was asked for")
        span = b""
        for piece in answer.pieces(self._tries):
            span += piece
            if len(span) > SPAN:
                raise OriginFailed("the repository sent more than the part that was asked for")
        self._scratch.put_ahead(start, span)


def _has_ranges(answer: OriginResponse) -> bool:
    return answer.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
