"""Hides from the decoders what they need not read of a TIFF: large metadata, and links to directories that are refused.

Decoders read every tag of a page into memory, some of them twice: the layers that Photoshop keeps in a tag, for
example, or thousands of tags that all name the same bytes. mezcal reads profile and metadata by itself, so a decoder
needs only the tags that describe the pixels. The master is not changed: `MasterReader` returns other bytes instead.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.convert.master_reader import MasterReader
    from mezcal.convert.tiff.header import Directory, TagEntry
    from mezcal.convert.tiff.pages import Pages

VALUES_MAX = 8 * 2**20  # bytes of a directory's values, tables of strips or tiles excepted, that decoders may read
SMALL = 4_096  # bytes of a value that is never hidden
TABLES = frozenset({273, 279, 324, 325})  # offsets and sizes of strips and tiles: `memory` asks for them
NEEDED = frozenset({258, 301, 320, 330, 333, 338, 339, 340, 341, 347, 519, 520, 521, 532}) | TABLES
NEEDED_MAX = 2**20  # bytes of a value that a decoder needs; the largest, a palette of 16 bits, has 384 KB


def hide(master: MasterReader, pages: Pages) -> None:
    """Hide the large values of each directory whose values have more than `VALUES_MAX` bytes, and a broken link."""
    for page in pages.found:
        directory = page.directory
        if (
            sum(entry.size for tag, entry in directory.entries.items() if tag not in TABLES)
            + sum(entry.size for entry in directory.repeated)
            > VALUES_MAX
        ):
            for entry in _large(directory):
                _shorten(master, directory, entry)
    if pages.broken:
        last = pages.top[-1].directory
        if last.next_offset:
            master.replace(last.link_place, bytes(8 if last.file.big else 4))


def _large(directory: Directory) -> Iterator[TagEntry]:
    """Yields the entries that no decoder needs, and whose values are not small."""
    for tag, entry in directory.entries.items():
        most = NEEDED_MAX if tag in NEEDED else SMALL
        if entry.size > most and tag not in TABLES:
            yield entry
    yield from (entry for entry in directory.repeated if entry.size > SMALL)


def _shorten(master: MasterReader, directory: Directory, entry: TagEntry) -> None:
    """Make *entry* say that it has one value."""
    order, big = directory.file.order, directory.file.big
    master.replace(entry.place + 4, struct.pack(order + ("Q" if big else "I"), 1))
