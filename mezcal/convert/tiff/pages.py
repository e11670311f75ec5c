"""One picture in a TIFF: its layout, and whether the file holds all of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from mezcal.convert.tiff.header import BadTiff, Directory, read_directories
from mezcal.errors import BadRecipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mezcal.convert.master_reader import MasterReader

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, SEPARATED, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
ITULAB = 10
LABS = frozenset({CIELAB, ICCLAB, ITULAB})
LOGL, LOGLUV = 32844, 32845
DEPTH_MAX = 128  # bits of a sample: complex numbers of two doubles
SAMPLES_MAX = 256  # decoders allocate memory for each before they read the pixels
TILE_MAX = 256 * 2**20  # bytes
MUCH_SMALLER = 4  # times fewer pixels than the largest page: a thumbnail, unless the file calls it a document's page
SIDE_MAX = 2**31 - 1  # pixels: decoders use 32-bit integers


@dataclass(frozen=True)
class Page:
    """A directory as a picture. The numbers are those of TIFF 6.0."""

    directory: Directory

    @cached_property
    def width(self) -> int:
        """Pixels, before orientation."""
        return self._side(256)

    @cached_property
    def height(self) -> int:
        """Pixels, before orientation."""
        return self._side(257)

    def _side(self, tag: int) -> int:
        side = self.directory.number(tag, 0)
        if not 0 < side <= SIDE_MAX:
            raise BadTiff(f"a side of {side} pixels is declared")
        return side

    @property
    def pixels(self) -> int:
        """Pixels of the picture; 0 if the directory describes no picture."""
        try:
            return self.width * self.height
        except BadTiff:
            return 0

    @cached_property
    def samples(self) -> int:
        """Samples a pixel, extra ones included."""
        samples = self.directory.number(277, 1)
        if samples < 1:
            raise BadTiff(f"{samples} samples a pixel are declared")
        return samples

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """Bits of each sample."""
        depths = self.directory.whole_values(258, 65_535) or (1,)
        if min(depths) < 1 or max(depths) > DEPTH_MAX:
            raise BadTiff(f"samples of {min(depths)} to {max(depths)} bits are declared")
        return depths

    @property
    def depth(self) -> int:
        """Bits of a sample, the deepest if they differ."""
        return max(self.depths)

    @cached_property
    def sample_format(self) -> int:
        """1 unsigned, 2 signed, 3 float, 5 complex integer, 6 complex float; undefined (4) means unsigned."""
        kinds = set(self.directory.whole_values(339, 65_535)) or {1}
        return {4: 1}.get(max(kinds), max(kinds))

    @cached_property
    def photometric(self) -> int:
        """How samples become colours; some grey and RGB files leave the tag out."""
        return self.directory.number(262, BLACK_IS_ZERO if self.samples < 3 else RGB)

    @cached_property
    def compression(self) -> int:
        """The scheme's number; 1 is none."""
        return self.directory.number(259, 1)

    @cached_property
    def planar_tag(self) -> int:
        """PlanarConfiguration: 1 for samples side by side, 2 for separate planes, also of a single sample."""
        return self.directory.number(284, 1)

    @property
    def planar(self) -> bool:
        """True if each sample has its own strips or tiles."""
        return self.planar_tag == 2 and self.samples > 1

    @cached_property
    def tile(self) -> tuple[int, int] | None:
        """Width and height of a tile, None for strips."""
        if 322 not in self.directory.entries:
            return None
        tile = self.directory.number(322, 0), self.directory.number(323, 0)
        if not (0 < tile[0] <= 2**20 and 0 < tile[1] <= 2**20):
            raise BadTiff(f"tiles of {tile[0]} x {tile[1]} pixels are declared")
        return tile

    @cached_property
    def strip_rows(self) -> int:
        """Rows of a strip."""
        rows = self.directory.number(278, self.height)
        return min(rows, self.height) if rows > 0 else self.height

    @cached_property
    def orientation(self) -> int:
        """1 to 8; other values mean 1, as in every viewer."""
        value = self.directory.hint(274, 1)
        return value if 1 <= value <= 8 else 1

    @cached_property
    def extras(self) -> tuple[int, ...]:
        """ExtraSamples: 0 unspecified, 1 associated alpha, 2 unassociated alpha.

        RGB of four samples without the tag is taken for RGBA: writers of panoramas leave it out.
        """
        if self.photometric == RGB and self.samples == 4 and 338 not in self.directory.entries:
            return (2,)
        return self.directory.whole_values(338, 65_535)

    @cached_property
    def subsampling(self) -> tuple[int, int]:
        """Of YCbCr chroma, horizontally and vertically."""
        factors = self.directory.whole_values(530, 2)
        return (factors[0], factors[1]) if len(factors) == 2 else (2, 2)

    @property
    def colours(self) -> int:
        """Samples that make the colour; the rest is alpha, or is dropped."""
        if self.photometric == SEPARATED:
            return 4
        if self.photometric in LABS and self.samples < 3:
            return 1  # L* alone
        return 3 if self.photometric in (RGB, YCBCR, LOGLUV, *LABS) else 1

    @property
    def is_plain_lab16(self) -> bool:
        """True for three integers of 16 bits, not in planes: the LAB that libvips reads."""
        plain = self.planar_tag == 1 and self.sample_format in (1, 2)
        return plain and self.samples == 3 and self.depths == (16, 16, 16)

    @property
    def alpha(self) -> int | None:
        """The index of the alpha sample, None if there is none."""
        declared = [self.colours + i for i, kind in enumerate(self.extras) if kind in (1, 2)]
        return declared[0] if declared and declared[0] < self.samples else None

    @property
    def associated(self) -> bool:
        """True if the colours are multiplied by alpha."""
        return self.alpha is not None and self.extras[self.alpha - self.colours] == 1

    @property
    def reduced(self) -> bool:
        """True if this is a thumbnail, a lower level of a pyramid, or a mask of another page."""
        return bool(self.directory.hint(254, 0) & 0b101) or self.directory.hint(255, 1) == 2

    @property
    def nodata(self) -> float | None:
        """The value of pixels without data (GDAL's tag 42113), None if the file names none."""
        try:
            return float((self.directory.blob(42113) or b"").rstrip(b"\0 "))
        except ValueError:
            return None

    @property
    def of_document(self) -> bool:
        """True if the file calls this one page of several (NewSubfileType, SubfileType or PageNumber)."""
        directory = self.directory
        return bool(directory.hint(254, 0) & 0b10) or directory.hint(255, 1) == 3 or 297 in directory.entries

    @property
    def dpi(self) -> tuple[float, float] | None:
        """Dots an inch, None if the file has no absolute resolution."""
        unit = {2: 1.0, 3: 2.54}.get(self.directory.hint(296, 2))
        across, down = self.directory.hints(282, 1), self.directory.hints(283, 1)
        return (across[0] * unit, down[0] * unit) if unit and across and down else None

    @property
    def segment_bytes(self) -> int:
        """Bytes of a decoded strip or tile, all planes."""
        width, rows = self.tile or (self.width, self.strip_rows)
        return width * rows * self.samples * -(-self.depth // 8)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of decoded strips or tiles: the least that must be in memory at once."""
        across = -(-self.width // self.tile[0]) if self.tile else 1
        return across * self.segment_bytes

    @property
    def kind(self) -> str:
        """The tags that decide which engine decodes the page, for reasons of refusals."""
        return (
            f"compression {self.compression}, photometric interpretation {self.photometric}, {self.samples} samples of "
            f"{self.depth} bits, sample format {self.sample_format}"
        )

    @property
    def segment_pixels(self) -> int:
        """Pixels of a strip or tile."""
        width, rows = self.tile or (self.width, self.strip_rows)
        return width * rows

    @property
    def table_values(self) -> int:
        """Values in the tables of strips and tiles."""
        entries = self.directory.entries
        return sum(entries[tag].count for tag in (273, 279, 324, 325) if tag in entries)

    @property
    def first_segment(self) -> int:
        """Where the first strip or tile begins in the file."""
        offsets, _ = self._segment_tables()
        return int(offsets[0]) if len(offsets) else 0

    @cached_property
    def stored_bytes_max(self) -> int:
        """Bytes of the largest strip or tile as the file declares them, never more than the file has."""
        counts = self._segment_tables()[1][: self.segment_count]
        length = self.directory.file.length
        return min(int(counts.max()), length) if counts.any() else length

    def stored_row_bytes(self, most: int) -> int:
        """Returns the bytes of the largest row of strips or tiles as they are stored, *most* of each, all planes."""
        counts = np.minimum(self._segment_tables()[1][: self.segment_count], most)
        if len(counts) < self.segment_count:
            return 0
        across = -(-self.width // self.tile[0]) if self.tile else 1
        planes = counts.reshape(self.samples if self.planar else 1, -1, across)
        return int(planes.sum(axis=(0, 2)).max())

    def check_content(self) -> None:
        """Raise `BadTiff` unless the file holds every strip or tile of the picture."""
        if self.samples > SAMPLES_MAX or (self.tile and self.segment_bytes > TILE_MAX):
            raise BadTiff(f"{self.samples} samples a pixel, tiles of {self.tile} are declared: too many or too large")
        if self.compression == 6:  # old-style JPEG may store its stream anywhere; its decoder searches for it
            offsets = self.directory.number(513, 0), *self.directory.whole_values(273)
            if max(offsets) >= self.directory.file.length:
                raise BadTiff("its JPEG stream lies beyond the file's end")
            return
        if self.photometric == PALETTE:
            self._check_palette()
        self._check_segments()

    def _check_palette(self) -> None:
        if self.depth > 16:
            raise BadTiff(f"its numbers of {self.depth} bits are too large for a palette")
        entry = self.directory.entries.get(320)
        found, needed = entry.count if entry else 0, 3 << self.depth
        if found != needed:
            raise BadTiff(f"its palette has {found} values, and numbers of {self.depth} bits need one of {needed}")

    def _check_segments(self) -> None:
        offsets, counts = self._segment_tables()
        needed = self.segment_count
        segments = "tiles" if self.tile else "strips"
        if len(offsets) < needed:
            raise BadTiff(f"it needs {needed} {segments} and has {len(offsets)}")
        if len(counts) and len(counts) < needed:
            raise BadTiff(f"it needs {needed} {segments} and gives the size of {len(counts)}")
        self._check_places(offsets[:needed], self._stored_sizes(counts[:needed]))

    def _segment_tables(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Returns offsets and sizes of all strips or tiles. Some writers list tiles as strips, as libtiff allows."""
        directory = self.directory
        as_tiles = 324 in directory.entries if self.tile else 273 not in directory.entries
        offsets, counts = (324, 325) if as_tiles else (273, 279)
        return directory.table(offsets), directory.table(counts)

    @property
    def segment_count(self) -> int:
        """Strips or tiles of all planes."""
        planes = self.samples if self.planar else 1
        if self.tile is None:
            return -(-self.height // self.strip_rows) * planes
        return -(-self.width // self.tile[0]) * -(-self.height // self.tile[1]) * planes

    def _stored_sizes(self, counts: NDArray[Any]) -> NDArray[Any]:
        """Returns the bytes that each strip or tile takes in the file; 1 where the file does not say."""
        sizes = counts if len(counts) else np.ones(self.segment_count, "u8")
        if self.compression == 1 and not self.tile and self.photometric != YCBCR:
            strips = -(-self.height // self.strip_rows)
            sizes = np.full(self.segment_count, self._strip_bytes(0), "u8")  # many writers give wrong counts
            sizes[strips - 1 :: strips] = self._strip_bytes(strips - 1)
        if self.segment_count == 1 and not sizes.any():
            return np.ones(1, "u8")  # a single strip of size 0 ends with the file, as for libtiff
        return sizes

    def _check_places(self, offsets: NDArray[Any], sizes: NDArray[Any]) -> None:
        """Raise `BadTiff` for the first strip or tile that is empty, or that the file does not hold."""
        length = self.directory.file.length
        beyond = (offsets == 0) | (sizes > length - np.minimum(offsets, length))
        if (sizes == 0).any():
            raise BadTiff(f"strip or tile {np.argmax(sizes == 0)} is empty")
        if beyond.any():
            number = np.argmax(beyond)
            raise BadTiff(f"strip or tile {number} at {offsets[number]} ends beyond the file's end at {length}")

    def _strip_bytes(self, number: int) -> int:
        """Returns the bytes of an uncompressed strip, but no more than are surely too many. 0 if it has no bits."""
        strips = -(-self.height // self.strip_rows)
        first = number % strips * self.strip_rows
        rows = min(self.strip_rows, self.height - first)
        if self.planar:
            bits = self.depth
        else:
            bits = sum(self.depths) if len(self.depths) == self.samples else self.depth * self.samples
        return max(0, min(-(-self.width * bits // 8) * rows, self.directory.file.length + 1))


@dataclass(frozen=True, slots=True)
class Pages:
    """Every picture in a file. *broken* tells why the link to a further page leads nowhere, None if all were found."""

    found: list[Page]
    broken: str | None

    @property
    def top(self) -> list[Page]:
        """The pages without their sub-directories."""
        return [page for page in self.found if page.directory.sub is None]

    @property
    def note(self) -> str | None:
        """What the sidecar says about pages that cannot be reached."""
        return self.broken and f"pages after {len(self.top)} cannot be reached: {self.broken}"


def choose_page(pages: Pages, number: int | None) -> Page:
    """Returns page *number*, counted from 1, or the main picture.

    Raises `BadRecipe` if there is no such page, `BadTiff` if a broken link leads to it.
    """
    if number is None:
        return _main_page(pages)
    if number <= len(pages.top):
        return pages.top[number - 1]
    if pages.broken:
        raise BadTiff(f"page {number} cannot be reached: {pages.broken}")
    raise BadRecipe(f"page {number} is asked for, and the master has {len(pages.top)}")


def _main_page(pages: Pages) -> Page:
    """Returns the first page that is no smaller copy of another: by its flags, or because it is much smaller."""
    whole = [page for page in pages.found if page.pixels and not page.reduced]
    if not whole:
        return max(pages.top, key=lambda page: page.pixels)
    largest = max(page.pixels for page in whole)
    return next(page for page in whole if page.of_document or page.pixels * MUCH_SMALLER > largest)


def read_pages(file: BinaryIO | MasterReader) -> Pages:
    """Returns every picture in the TIFF *file*. Raises `BadTiff` if there is none."""
    directories = read_directories(cast("BinaryIO", file))
    return Pages([Page(directory) for directory in directories.found], directories.broken)
