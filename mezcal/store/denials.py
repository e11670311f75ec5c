"""Denials: masters of which nothing may be shown, kept in the store itself, so that they outlive the broker's state.

The store has one small file with all of them. Each process keeps them in memory and reads them again when the file has
changed, so that a hit costs no request.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from contextlib import AbstractContextManager

CHECK_SECONDS = 2.0  # for which the file is not looked at again
DENIALS_MAX = 100_000
CHANGE_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Denial:
    """One denial. *path* is that of a master, or of a folder if it ends with a slash.

    *by* is who denied it *at* that time; it ends at *until*, None for never. Times are seconds since 1970.
    """

    path: str
    at: float
    by: str
    reason: str = ""
    until: float | None = None

    def holds(self, now: float) -> bool:
        """Return True unless it has ended."""
        return self.until is None or now < self.until


@dataclass(frozen=True)
class Denials:
    """All denials of a store."""

    denials: tuple[Denial, ...] = ()

    @cached_property
    def _by_path(self) -> dict[str, Denial]:
        return {denial.path: denial for denial in self.denials}

    def find(self, path: str, now: float) -> Denial | None:
        """Return the denial that concerns the master *path*: its own, or that of a folder above it."""
        if not self.denials:
            return None
        names = [path, "/"]
        names += [path[: index + 1] for index, letter in enumerate(path) if letter == "/"]
        found = (self._by_path.get(name) for name in names)
        return next((denial for denial in found if denial is not None and denial.holds(now)), None)

    def with_denial(self, denial: Denial) -> Denials:
        """Return them with *denial*, which replaces one of the same path."""
        return Denials((*(each for each in self.denials if each.path != denial.path), denial))

    def without(self, path: str) -> Denials:
        """Return them without that of *path*."""
        return Denials(tuple(each for each in self.denials if each.path != path))

    def as_bytes(self) -> bytes:
        """Return the content of their file."""
        records = [asdict(denial) for denial in sorted(self.denials, key=lambda each: each.path)]
        return json.dumps({"denials": records}, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Denials:
        """Return those in a file's content. Raises `ValueError` if it cannot be read: nothing may be shown then."""
        if data is None:
            return cls()
        try:
            records: list[dict[str, Any]] = json.loads(data)["denials"]
            return cls(tuple(Denial(**record) for record in records))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"the file of denials cannot be read: {error}") from error


class KeepsDenials(Protocol):
    """A store that keeps the file of denials. Every method raises `StoreDown` if the store fails."""

    def denials_version(self) -> Hashable:
        """Returns a value that differs after each change of the file, None if there is none. Costs one `stat`."""

    def load_denials(self) -> bytes | None:
        """Returns the content of the file, None if there is none."""

    def change_denials(self, change: Callable[[bytes | None], bytes]) -> None:
        """Replace the content by what *change* makes of it, with nobody else's change in between."""

    def begin_removal(self) -> str | None:
        """Note that what is denied is to be removed. Returns the note; a bucket has none.

        Until `end_removal`, nginx asks the API before it sends a file.
        """

    def removal(self) -> str | None:
        """Returns the note of the last `begin_removal`, None if nothing is to be removed. A bucket has none."""

    def end_removal(self, note: str) -> None:
        """Delete *note*, unless another removal has begun since."""

    def removing(self) -> AbstractContextManager[bool]:
        """Hold the lock of all processes that remove what is denied. Its value is False if another one holds it."""


class DenialList:
    """The denials of *store* in the memory of this process. Threads may share it."""

    def __init__(self, store: KeepsDenials, check_seconds: float = CHECK_SECONDS) -> None:
        self._store, self._seconds = store, check_seconds
        self._lock = threading.Lock()
        self._denials = Denials()
        self._version: Hashable = None
        self._loaded = False
        self._checked = float("-inf")

    def find(self, path: str) -> Denial | None:
        """Return the denial that concerns the master *path*. Raises `StoreDown`, and `ValueError` for a bad file.

        Others' changes are seen within a few seconds. While one thread reads them, others use what was read before.
        """
        if time.monotonic() - self._checked > self._seconds and self._lock.acquire(blocking=not self._loaded):
            try:
                self._refresh()
            finally:
                self._lock.release()
        return self._denials.find(path, time.time())

    def find_now(self, path: str) -> Denial | None:
        """Do the same, with every change that was made before the call: for those who publish."""
        with self._lock:
            self._refresh()
        return self._denials.find(path, time.time())

    def current(self) -> Denials:
        """Return all of them, with every change that was made before the call."""
        with self._lock:
            self._refresh()
        return self._denials

    def all(self) -> Iterable[Denial]:
        """Return those that hold, by their paths."""
        with self._lock:
            self._refresh()
        now = time.time()
        return [each for each in self._denials.denials if each.holds(now)]

    def deny(self, denial: Denial) -> None:
        """Add *denial*, or replace that of the same path."""
        self._change(lambda denials: denials.with_denial(denial))

    def lift(self, path: str) -> bool:
        """Remove the denial of *path*. Returns False if there is none."""
        found = False

        def change(denials: Denials) -> Denials:
            nonlocal found
            found = found or any(each.path == path for each in denials.denials)
            return denials.without(path)

        self._change(change)
        return found

    def _change(self, change: Callable[[Denials], Denials]) -> None:
        now = time.time()

        def edit(data: bytes | None) -> bytes:
            current = Denials.from_bytes(data)
            lasting = replace(current, denials=tuple(each for each in current.denials if each.holds(now)))
            changed = change(lasting)
            if len(changed.denials) > DENIALS_MAX:
                raise ValueError(f"there are {DENIALS_MAX:,} denials already: deny a folder in place of its masters")
            return changed.as_bytes()

        for _ in range(CHANGE_ATTEMPTS):  # a bucket without conditional writes may lose one of two changes
            self._store.change_denials(edit)
            current = self.current()
            if set(change(current).denials) == set(current.denials):
                return

    def _refresh(self) -> None:
        version = self._store.denials_version()
        if version != self._version:
            self._denials = Denials.from_bytes(self._store.load_denials())
            self._version = version
        self._loaded = True
        self._checked = time.monotonic()
