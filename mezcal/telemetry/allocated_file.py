"""prometheus_client's files of counts, with their space allocated before they are mapped into memory.

Its own files are sparse. The first write to a page for which the file system has no space, as on a full `/dev/shm`,
ends the process by SIGBUS.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

INITIAL_BYTES = 1 << 16
ENTRY_BYTES = 32  # of an entry, in addition to its key: its length, its value, its time, and padding


class AllocatedFile(MmapedDict):
    """The counts of one process. Those without space are kept by the process, and written once there is some."""

    def __init__(self, filename: str) -> None:
        self._path = Path(filename)
        self._mapped = False
        self._positions: dict[str, int] = {}
        self.open()

    def open(self) -> bool:
        """Allocate and map the file. Returns False if there is no space for it."""
        if not self._mapped and (self._size() or self._append(INITIAL_BYTES)):
            with suppress(OSError):  # no descriptor is left, or no memory
                super().__init__(str(self._path))  # type: ignore[no-untyped-call]
                self._mapped = True
        return self._mapped

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._mapped:
            super().close()  # type: ignore[no-untyped-call]

    def _size(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def _append(self, count: int) -> bool:
        """Make the file *count* bytes longer. Returns False, and leaves it as it was, if there is no space for them."""
        size = 0
        with suppress(OSError), self._path.open("ab", buffering=0) as file:
            size = file.tell()
            if file.write(bytes(count)) == count:
                return True
            file.truncate(size)
        if not size:
            self._path.unlink(missing_ok=True)  # readers take an empty file for a damaged one
        return False

    def has_place(self, key: str) -> bool:
        """Returns True if the value of *key* can be written; a place is made for it if there is space."""
        if key in self._positions:
            return True
        if not self.open():
            return False
        missing = self._used + len(key.encode()) + ENTRY_BYTES > self._capacity
        return not missing or self._append(self._capacity)

    def read_value(self, key: str) -> tuple[float, float]:
        """Returns the value of *key* and its time, zeros if there is no space for it."""
        return super().read_value(key) if self.has_place(key) else (0.0, 0.0)  # type: ignore[no-untyped-call]

    def write_value(self, key: str, value: float, timestamp: float) -> bool:
        """Write the value of *key*. Returns False if there is no space for it: the next value contains it."""
        if not self.has_place(key):
            return False
        super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]
        return True
