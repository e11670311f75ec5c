"""Archives that are written while they are sent: in pieces of a bounded size, also beyond the limits of an old zip."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from api.responses import cutout_archive
from api.responses.cutout_archive import PIECE, Member, tar_of, zip_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURES = {"index.json": b"{}", "0000-a.jpg": bytes(range(256)) * 2000, "0001-b.fits": b"", "0002-c.png": b"x" * PIECE}
MODIFIED = 1_780_000_000


def members() -> Iterator[Member]:
    for name, content in PICTURES.items():
        pieces = (content[start : start + PIECE] for start in range(0, len(content), PIECE))
        yield Member(name, len(content), MODIFIED, pieces)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_an_archive_is_written_in_pieces(pack: type) -> None:
    pieces = list(pack(members()))
    assert max(map(len, pieces)) < 2 * PIECE
    content = io.BytesIO(b"".join(pieces))
    if pack is tar_of:
        with tarfile.open(fileobj=content) as tar:
            assert {name: tar.extractfile(name).read() for name in tar.getnames()} == PICTURES  # type: ignore[union-attr]
    else:
        with zipfile.ZipFile(content) as file:
            assert {name: file.read(name) for name in file.namelist()} == PICTURES
            assert file.getinfo("0000-a.jpg").date_time == (2026, 5, 28, 20, 26, 40)
            for info in file.infolist():  # to make them smaller would take a core
                assert info.compress_type == zipfile.ZIP_DEFLATED
                assert info.compress_size > info.file_size


def test_a_large_zip_is_a_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 1_000)
        patch.setattr(cutout_archive, "ZIP64_BYTES", 500)
        content = b"".join(zip_of(members()))
    assert b"PK\x06\x06" in content, "the record at the end of a ZIP64"
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert {name: file.read(name) for name in file.namelist()} == PICTURES


def test_a_zip_whose_pictures_end_early_is_not_completed() -> None:
    def broken() -> Iterator[Member]:
        yield from members()
        raise OSError("the store")

    sent: list[bytes] = []
    with pytest.raises(OSError, match="the store"):
        sent.extend(zip_of(broken()))
    assert sent
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(sent)))
