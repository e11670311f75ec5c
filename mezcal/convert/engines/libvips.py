"""libvips, fenced in: safe loaders by name, no cache, one thread, and no error left unseen."""

from __future__ import annotations

import functools
import logging
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyvips

from mezcal.convert.engines.decoded import CannotRead, Damaged

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.convert.master_reader import MasterReader

FAILURES = (pyvips.Error, UnicodeDecodeError)  # pyvips trips over reasons that quote the file's bytes
LOADERS = {
    "TIFF": ("VipsForeignLoadTiff", "tiffload_source"),
    "JPEG": ("VipsForeignLoadJpeg", "jpegload_source"),
    "PNG": ("VipsForeignLoadPng", "pngload_source"),
    "WebP": ("VipsForeignLoadWebp", "webpload_source"),
    "GIF": ("VipsForeignLoadNsgif", "gifload_source"),
    "AVIF": ("VipsForeignLoadHeif", "heifload_source"),
}
WARNED: deque[str] = deque(maxlen=8)  # libvips' last warnings


class Warnings(logging.Handler):
    """Keeps what libvips warns of: its reader of interlaced PNG fails without another word."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message; `forget_errors` drops it."""
        WARNED.append(record.getMessage().removeprefix("VIPS: "))


@functools.cache
def start() -> None:
    """Set libvips up, once in a process.

    All loaders are blocked and these few allowed again: SVG is compiled in. A cache would keep files and
    memory of masters that nobody asks for twice. One thread: the pool of processes is what scales.
    """
    pyvips.operation_block_set("VipsForeignLoad", True)
    for loader, _ in LOADERS.values():
        pyvips.operation_block_set(loader, False)
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)
    log = logging.getLogger("pyvips")
    log.setLevel(logging.WARNING)
    log.propagate = False  # what counts is raised; the rest is chatter by file
    log.addHandler(Warnings())


def load(kind: str, master: MasterReader, **options: Any) -> Any:
    """The lazily decoded *master* by libvips' loader of *kind*; `CannotRead` has the loader's reason."""
    forget_errors()
    try:
        return load_from(source(master), kind, **options)
    except FAILURES as error:
        raise CannotRead(reason(error)) from error


def load_from(origin: Any, kind: str, **options: Any) -> Any:
    """The image in the libvips source *origin*, which lives as long as the image or anything made of it."""
    start()
    loader = getattr(pyvips.Image, LOADERS[kind][1])
    image = loader(origin, access="sequential", fail_on="error", **options)
    image._references.append(origin)  # noqa: SLF001 - as `Image.new_from_source` does: its callbacks are Python's
    return image


def source(master: MasterReader) -> Any:
    """A libvips source: the descriptor of a real file, else callbacks."""
    if master.other_way and Path(master.other_way).exists():
        return pyvips.Source.new_from_file(master.other_way)
    return reading(master.read, master.seek)


def reading(read: Callable[[int], bytes], seek: Callable[[int, int], int]) -> Any:
    """A libvips source made of two callbacks; one that raises ends the file."""

    def read_or_end(size: int) -> bytes:
        try:
            return read(size)
        except Exception:  # noqa: BLE001 - an exception cannot cross libvips; `MasterReader` keeps it
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
    """Empty libvips' error buffer, and forget its warnings."""
    WARNED.clear()
    pyvips.vips_lib.vips_error_clear()


def complaints() -> frozenset[str]:
    """What stands in libvips' error buffer, which is empty after."""
    text = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode("utf-8", "replace")
    forget_errors()
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


def check_errors(known: frozenset[str]) -> None:
    """`Damaged` if the error buffer holds anything: libvips calls a cut tile a success.

    *known* are complaints about the header: they come with every reading of it, and harm no pixel.
    """
    new = sorted(complaints() - known)
    if new:
        raise Damaged(first_line("\n".join(new)))


def reason(error: Exception) -> str:
    """The decoder's own words out of a `pyvips.Error`."""
    if isinstance(error, UnicodeDecodeError):
        forget_errors()
        return first_line(error.object.decode("utf-8", "replace"))
    warned = "\n".join(WARNED)
    return first_line(str(getattr(error, "detail", "") or warned or error))


def first_line(text: str) -> str:
    """The first line that says something, cut to what fits a response."""
    lines = [line.strip() for line in text.replace("\0", "").splitlines() if line.strip()]
    lines = [line for line in lines if "warning" not in line.lower()] or lines
    return lines[0][:200] if lines else "no reason was given"
