"""What encoders of libvips that hold the whole picture have in common: how they write, and report their progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable


class FileSink:
    """Writes libvips' bytes to *file*."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failure: Exception | None = None

    def write(self, data: bytes) -> int:
        """Returns the bytes written. 0 makes libvips stop; `failure` has the reason."""
        try:
            self.write_bytes(data)
        except Exception as error:  # noqa: BLE001 - cannot pass through libvips; the caller raises it again
            self.failure = self.failure or error
            return 0
        return len(data)

    def write_bytes(self, data: bytes) -> None:
        """Write *data* to the file. A subclass may change it."""
        self._file.write(data)


def observe(image: Any, progress: Callable[[float], None]) -> None:
    """Report the fraction of *image* that has been calculated to *progress*."""
    image.set_progress(True)
    image.signal_connect("eval", lambda _image, state: progress(state.percent / 100))
