"""libvips with safe loaders only, no cache, one thread, and every error reported."""

from __future__ import annotations

import functools
import logging
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyvips

from mezcal.convert.engines.decoded import CannotRead, Damaged, reported
from mezcal.errors import SHORTAGE_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.master_reader import MasterReader

FAILURES = (pyvips.Error, UnicodeDecodeError)  # pyvips cannot decode reasons that quote the file's bytes
LOADERS = {
    "TIFF": ("VipsForeignLoadTiff", "tiffload_source"),
    "JPEG": ("VipsForeignLoadJpeg", "jpegload_source"),
    "PNG": ("VipsForeignLoadPng", "pngload_source"),
    "WebP": ("VipsForeignLoadWebp", "webpload_source"),
    "GIF": ("VipsForeignLoadNsgif", "gifload_source"),
    "AVIF": ("VipsForeignLoadHeif", "heifload_source"),
}
WARNINGS: deque[str] = deque(maxlen=8)  # libvips' last warnings


class WarningsHandler(logging.Handler):
    """Keeps libvips' warnings: its reader of interlaced PNG gives no other reason when it fails."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message until `forget_errors`."""
        WARNINGS.append(record.getMessage().removeprefix("VIPS: "))


@functools.cache
def start() -> None:
    """Configure libvips, once in a process.

    All loaders are blocked and these few allowed again, because libvips is built with SVG. There is no cache: it
    would keep files and memory of masters that are converted once. There is one thread: a worker has a pool of
    processes.
    """
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader, _ in LOADERS.values():
        pyvips.operation_block_set(loader, False)
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)
    log = logging.getLogger("pyvips")
    log.setLevel(logging.WARNING)
    log.propagate = False  # errors are raised; warnings in the log would help no operator
    log.addHandler(WarningsHandler())


def load(master: MasterReader, **options: Any) -> Any:
    """Returns *master*, decoded as it is read. Raises `CannotRead` with the loader's reason.

    libvips chooses the loader by the first bytes, among those of `LOADERS`.
    """
    forget_errors()
    try:
        return load_from(source_of(master), **options)
    except FAILURES as error:
        raise CannotRead(reported("libvips", reason(error))) from error


def load_from(source: Any, **options: Any) -> Any:
    """Returns the image in the libvips *source*, which lives as long as the image and all that is made of it."""
    start()
    return pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error", **options)


def source_of(master: MasterReader) -> Any:
    """Returns a libvips source: the descriptor of a real file, else callbacks."""
    path = master.reopen_path
    if path and Path(path).exists():
        return pyvips.Source.new_from_file(path)
    return source_from(master.read, master.seek)


def source_from(read: Callable[[int], bytes], seek: Callable[[int, int], int]) -> Any:
    """Returns a libvips source made of two callbacks. If one raises, libvips sees the end of the file."""

    def read_or_end(size: int) -> bytes:
        try:
            return read(size)
        except Exception:  # noqa: BLE001 - an exception cannot pass through libvips; `MasterReader` keeps it
            return b""

    def seek_or_fail(offset: int, whence: int) -> int:
        try:
            return seek(offset, whence)
        except Exception:  # noqa: BLE001 - as above
            return -1

    custom = pyvips.SourceCustom()
    custom.on_read(read_or_end)
    custom.on_seek(seek_or_fail)
    return custom


def forget_errors() -> None:
    """Empty libvips' error buffer and list of warnings."""
    WARNINGS.clear()
    pyvips.vips_lib.vips_error_clear()


def take_errors() -> frozenset[str]:
    """Returns the lines of libvips' error buffer, and empties it."""
    text = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode("utf-8", "replace")
    forget_errors()
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


def check_errors(known: frozenset[str]) -> None:
    """Raise `Damaged` if the error buffer is not empty: libvips reports success for a tile that is cut off.

    *known* are complaints about the header. They come with every reading of it and say nothing about the pixels.
    """
    new = sorted(take_errors() - known)
    if new:
        raise Damaged(reported("libvips", first_line("\n".join(new))))


def reason(error: Exception) -> str:
    """Returns the decoder's reason in one line."""
    if isinstance(error, MemoryError):
        return first_line(str(error) or "out of memory")
    if isinstance(error, UnicodeDecodeError):
        forget_errors()
        return first_line(error.object.decode("utf-8", "replace"))
    warnings = "\n".join(WARNINGS)
    return first_line(str(getattr(error, "detail", "") or warnings or error))


def first_line(text: str) -> str:
    """Returns the first line that is no warning, of at most 200 characters. One about lack of memory comes first."""
    lines = [line.strip() for line in text.replace("\0", "").splitlines() if line.strip()]
    lines = [line for line in lines if "warning" not in line.lower()] or lines
    lines.sort(key=lambda line: SHORTAGE_TEXTS.search(line) is None)
    return lines[0][:200] if lines else "no reason was given"
