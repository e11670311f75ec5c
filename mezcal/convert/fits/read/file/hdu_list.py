"""The HDUs of a frame, with a bound for what astropy parses: a card takes nine times its bytes, and time."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from astropy.io import fits

from mezcal.convert.fits.read.file.byte_ranges import bytes_up_to
from mezcal.convert.fits.read.file.header_cards import CARD, header_fault, without_broken_scaling
from mezcal.errors import TooLarge, Undecodable

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 2880  # bytes
HEADER_MAX = 4 * 2**20  # bytes of one header: 52,000 cards
HEADERS_MAX = 2 * HEADER_MAX  # of all headers that are read
HDUS_MAX = 1_000  # those behind are not looked at
CARD_RATIO = 9  # bytes of memory for each byte of a header
BEGINNINGS = (b"SIMPLE", b"XTENSION")


class HeaderFile:
    """A frame's file for astropy. While it reads headers, block after block, their bytes are counted.

    What does not begin like an HDU is the end of the file then: some writers leave blanks there.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._start = self._end = -1  # of the header that is being read
        self._in_headers = False
        self.header_bytes = 0

    @contextmanager
    def headers(self) -> Iterator[None]:
        """Astropy reads headers, and nothing else, during the block. Raises `Undecodable` for a broken one."""
        self._in_headers = True
        try:
            yield
        except (TooLarge, IndexError):  # the latter is the end of the file
            raise
        except Exception as error:
            self._raise_fault(error)
            raise
        finally:
            self._in_headers = False

    def _raise_fault(self, error: Exception) -> None:
        """Raise `Undecodable` if the header that was read last has a fault that can be named."""
        size = min(HEADER_MAX, max(0, self._end - self._start))
        fault = header_fault(bytes_up_to(self._file, max(0, self._start), size))
        if fault:
            raise Undecodable(f"the frame's header is broken: {fault}") from error

    def read(self, size: int = -1) -> bytes:
        """Returns *size* bytes. Raises `TooLarge` if the headers are too long."""
        return self._header_block() if self._in_headers and size == BLOCK else self._file.read(size)

    def _header_block(self) -> bytes:
        position = self._file.tell()
        block = bytes_up_to(self._file, position, BLOCK)
        if position != self._end:
            if not block.startswith(BEGINNINGS):
                return b""
            self._start = position
        self._end = position + len(block)
        self.header_bytes += len(block)
        if self._end - self._start > HEADER_MAX or self.header_bytes > HEADERS_MAX:
            raise TooLarge(f"the frame has a header of more than {HEADER_MAX // CARD:,} cards, or too many long ones")
        return without_broken_scaling(block)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class HduList:
    """The HDUs of a frame, read one after the other when they are needed. Use `open_hdus`."""

    def __init__(self, file: HeaderFile, hdus: Any) -> None:
        self._file, self._hdus = file, hdus

    @property
    def memory(self) -> int:
        """Bytes that the headers that were read take."""
        return CARD_RATIO * self._file.header_bytes

    @property
    def primary(self) -> Any:
        """The first HDU."""
        return self._hdus[0]

    def __iter__(self) -> Iterator[Any]:
        """Yield the HDUs, `HDUS_MAX` at most. Raises `TooLarge`, and astropy's exceptions."""
        for number in range(HDUS_MAX):
            try:
                with self._file.headers():
                    hdu = self._hdus[number]
            except IndexError:
                return
            yield hdu


@contextmanager
def open_hdus(file: BinaryIO) -> Iterator[HduList]:
    """Yield the HDUs of *file*, and close them. Raises `TooLarge`, and astropy's exceptions."""
    headers = HeaderFile(file)
    with headers.headers():
        hdus = fits.open(headers, mode="readonly", memmap=False, lazy_load_hdus=True)
    with closing(hdus):
        yield HduList(headers, hdus)
