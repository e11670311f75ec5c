"""Hashes one master while it arrives, and compares it with what its origin declares."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from mezcal.errors import Failure, MasterDamaged, Unforeseen
from mezcal.origin.fixity.digest import Digest, RunningDigest, preferred
from mezcal.origin.fixity.trailing_hash import TrailingHash

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.origin.fixity.trailing_hash import ReadCallback
    from mezcal.origin.retries import RetryBudget

logger = logging.getLogger(__name__)


class LateDigest:
    """A digest that is asked for while the master arrives, on a thread of its own: in a file, or by another request.

    *fetch* returns it, None if there is none, and raises the `Failure` that keeps the master from being checked.
    """

    def __init__(self, algorithm: str, fetch: Callable[[], Digest | None], budget: RetryBudget) -> None:
        self.algorithm = algorithm
        self._fetch, self._budget = fetch, budget
        self._found: Digest | None = None
        self._failure: Failure | None = None
        self._thread = threading.Thread(target=self._run, name="origin-digest", daemon=True)

    def start(self) -> None:
        """Start to ask for it."""
        self._thread.start()

    def cancel(self) -> None:
        """Do not ask again. A request that runs ends by itself."""
        self._budget.cancelled.set()

    def wait(self) -> Digest | None:
        """Return the digest, None if there is none. Raises the failure of *fetch*, or `OriginTimeout`."""
        self._thread.join(self._budget.time_left())
        if self._thread.is_alive():
            raise self._budget.too_slow()
        if self._failure is not None:
            raise self._failure
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._fetch()
        except Failure as failure:
            self._failure = failure
        except Exception:
            logger.exception("asking for the digest of a master ended unexpectedly")
            self._failure = Unforeseen("asking for the digest of the master ended unexpectedly")


class FixityCheck:
    """The digests of one master, which *read* returns. *declared* came with it; a *late* one is asked for meanwhile.

    Where the response has a content coding, `Repr-Digest` covers the coded bytes (RFC 9530, 2), but servers behind a
    proxy that compresses, and files of digests, mean the file. A digest of either proves that the master is whole.
    """

    def __init__(self, read: ReadCallback, declared: Digest | None, late: LateDigest | None) -> None:
        self._declared, self._late = declared, late
        self._algorithms = {one.algorithm for one in (declared, late) if one is not None}
        self._hash = TrailingHash(self._algorithms, read)
        self._coded: dict[str, RunningDigest] = {}
        self.verified: Digest | None = None

    @property
    def compares(self) -> bool:
        """True if a digest is known, or asked for."""
        return bool(self._algorithms)

    def start(self) -> None:
        """Start to ask for the late digest."""
        if self._late is not None:
            self._late.start()

    def cancel(self) -> None:
        """Stop to hash, and to ask for the late digest."""
        self._hash.stop()
        if self._late is not None:
            self._late.cancel()

    def close(self) -> None:
        """Stop to hash, and return when the master is not read any more."""
        self._hash.close()

    def coded_by(self, coding: str) -> Callable[[bytes], None] | None:
        """Begin a response with the content *coding*, whose bytes come from their beginning.

        Returns a function that adds its bytes as they were sent, None if that is not needed.
        """
        if not self._algorithms or coding.strip().lower() in {"", "identity"}:
            self._coded = {}
            return None
        self._coded = {name: RunningDigest(name) for name in self._algorithms}
        return self._add_coded

    def _add_coded(self, data: bytes) -> None:
        for running in self._coded.values():
            running.update(data)

    def advance(self, received: int) -> None:
        """Record that the first *received* bytes of the master have arrived."""
        self._hash.advance(received)

    def finish(self, received: int) -> None:
        """Compare the digests of the whole master of *received* bytes, and set `verified` to the preferred one.

        Raises `MasterDamaged` if one differs, or the failure for which the late one is not known.
        """
        found = [*self._hash.finish(received), *(running.result() for running in self._coded.values())]
        late = self._late.wait() if self._late is not None else None
        expected = [digest for digest in (self._declared, late) if digest is not None]
        for digest in expected:
            compare(digest, [one for one in found if one.algorithm == digest.algorithm])
        self.verified = preferred(expected)


def compare(expected: Digest, found: list[Digest]) -> None:
    """Raise `MasterDamaged` unless the *expected* digest of a master is one of those *found*."""
    if expected not in found:
        raise MasterDamaged(
            f"its {expected.algorithm} is {found[0].value.hex()}, but the repository declares {expected.value.hex()} "
            f"({expected.source})"
        )
