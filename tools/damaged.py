"""Damaged masters, and the check of what they are converted to. For the fuzzer and for the property test."""

from __future__ import annotations

import functools
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from PIL import Image

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.tiff.header import BadTiff, read_directories
from mezcal.errors import Failure
from tools.tiny_masters import masters

if TYPE_CHECKING:
    from collections.abc import Callable

MASTERS = Path(__file__).parent.parent / "tests" / "data" / "masters"
SECONDS_MAX = 20
PIXELS_MAX = 50_000_000
HEAD = 300  # bytes: where most formats have their sizes and offsets
NUMBERS = (0, 1, 2, 3, 4, 6, 7, 8, 16, 17, 255, 256, 65_535, 65_536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


@functools.cache
def whole() -> dict[str, bytes]:
    """Returns the masters to damage: those of the tests, and a tiny one in every mode."""
    files = {path.name: path.read_bytes() for path in sorted(MASTERS.iterdir()) if path.suffix not in (".json", ".md")}
    return files | {f"{name} (drawn)": data for name, data in masters().items()}


@dataclass(frozen=True, slots=True)
class Case:
    """A damaged master, how it is read, and the options of its conversion."""

    source: str
    data: bytes
    streamed: bool
    options: ConversionOptions
    page: int | None

    @classmethod
    def of(cls, seed: int, number: int) -> Case:
        """Returns case *number* of *seed*: the same on every machine with the same libraries."""
        return cls.random(Random(f"{seed}/{number}"))  # noqa: S311 - damage, not secrets

    @classmethod
    def random(cls, random: Random) -> Case:
        """Returns a random master with random damage and options."""
        source = random.choice(sorted(whole()))
        options = ConversionOptions(
            subsampling=random.choice(("4:4:4", "4:2:0")),
            progressive=random.random() < 0.1,
            max_edge=random.choice((0, 0, 40)),
            color=random.choice(("srgb", "keep")),
            keep_metadata=random.random() < 0.5,
            max_pixels=PIXELS_MAX,
        )
        page = random.choice((*[None] * 8, 1, 2))
        return cls(source, mutated(whole()[source], random), random.random() < 0.5, options, page)


def mutated(data: bytes, random: Random) -> bytes:
    """Returns *data* with up to four kinds of damage."""
    damaged = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if damaged:
            random.choice(DAMAGE)(damaged, random)
    return bytes(damaged)


def _bytes(data: bytearray, random: Random) -> None:
    """Change a few bytes, half of the time in the header."""
    reach = len(data) if random.random() < 0.5 else min(len(data), HEAD)
    for _ in range(random.randint(1, 8)):
        data[random.randrange(reach)] = random.randrange(256)


def _bits(data: bytearray, random: Random) -> None:
    for _ in range(random.randint(1, 8)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _number(data: bytearray, random: Random) -> None:
    """Replace two or four bytes by a number that programs often handle wrongly."""
    reach = len(data) if random.random() < 0.3 else min(len(data), HEAD)
    code = random.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(code)
    at = random.randrange(max(1, reach - size))
    data[at : at + size] = struct.pack(code, random.choice(NUMBERS) % 256**size)


def _tag(data: bytearray, random: Random) -> None:
    """Change the value or the count of a TIFF's tag."""
    try:
        page = random.choice(read_directories(io.BytesIO(bytes(data))).found)
    except BadTiff:
        return _number(data, random)
    at = random.choice(sorted(page.entries.values(), key=lambda entry: entry.offset)).offset
    code = page.file.order + random.choice("HI")
    at = max(0, min(at - random.choice((0, 0, 0, 4, 6)), len(data) - 4))
    data[at : at + struct.calcsize(code)] = struct.pack(code, random.choice(NUMBERS) % 256 ** struct.calcsize(code))
    return None


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _hole(data: bytearray, random: Random) -> None:
    """Set some bytes to zero, as after a failure of the disk."""
    at = random.randrange(len(data))
    size = min(len(data) - at, random.choice((4, 64, 512, 4096)))
    data[at : at + size] = bytes(size)


def _shift(data: bytearray, random: Random) -> None:
    """Remove or repeat some bytes."""
    at, size = random.randrange(len(data)), random.choice((1, 2, 16, 512))
    if random.random() < 0.5:
        del data[at : at + size]
    else:
        data[at:at] = data[at : at + size]


DAMAGE: tuple[Callable[[bytearray, Random], None], ...] = (
    _bytes,
    _bytes,
    _bits,
    _number,
    _tag,
    _tag,
    _cut,
    _hole,
    _shift,
)


def outcome(case: Case, folder: Path) -> str:
    """Convert *case*. Returns `picture`, the slug of a failure, or `WRONG` and the reason."""
    target, context = folder / "out.jpg", ConversionContext(case.options, case.page, folder)
    try:
        if case.streamed:
            picture = convert(io.BytesIO(case.data), target, context)
        else:
            (folder / "master").write_bytes(case.data)
            with (folder / "master").open("rb") as file:
                picture = convert(file, target, context)
    except Failure as failure:
        explained = 400 <= failure.status < 500 and failure.detail
        return failure.slug if explained else f"WRONG: {failure.slug}, {failure.status}: {failure.detail!r}"
    except Exception as error:  # noqa: BLE001 - anything else is a finding
        return f"WRONG: {type(error).__name__}: {error}"
    return _check_jpeg(target, (picture.width, picture.height))


def _check_jpeg(target: Path, size: tuple[int, int]) -> str:
    """Returns `picture` if the JPEG *target* can be decoded whole and is of *size*, else `WRONG` and the reason."""
    try:
        with Image.open(target, formats=["JPEG"]) as image:
            if image.size != size:
                return f"WRONG: {image.size} instead of {size}"
            image.load()
    except Exception as error:  # noqa: BLE001 - as above
        return f"WRONG: the JPEG: {error}"
    return "picture"
