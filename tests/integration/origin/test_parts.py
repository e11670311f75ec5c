"""Frames that are read in parts: only what is read is requested, and what cannot be had in parts arrives whole."""

from __future__ import annotations

import gzip
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from mezcal.errors import MasterIncomplete, OriginFailed, TicketExpired, TooLarge
from mezcal.jobs.guarded_origin import GuardedOrigin
from mezcal.origin.archive import FrameOrigin
from mezcal.origin.kept_masters import KeptMasters
from mezcal.origin.parts import ANNOUNCED_MAX, FIRST_PART
from mezcal.settings import load
from tests.support.origin_server import OriginServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.origin import Master
    from tests.support.origin_server import Script

SIZE = 6_000_000
CONTENT = np.random.default_rng(1).bytes(SIZE)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[OriginServer]:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.fits").write_bytes(CONTENT)
    with OriginServer(folder) as running:
        yield running


@contextmanager
def opened(origin: OriginServer, tmp_path: Path, **given: Any) -> Iterator[Master]:
    settings = load(_env_file=None, data_dir=tmp_path, archive_api_url="http://127.0.0.1:1/", **given)
    with FrameOrigin(settings, {"1": f"{origin.url}a.fits?X-Signature=secret"}).open_parts("1") as master:
        yield master


def at(master: Master, position: int, size: int) -> bytes:
    master.file.seek(position)
    data = master.file.read(size)
    assert data == CONTENT[position : position + size]
    return data


def ranges(origin: OriginServer) -> list[str]:
    return [seen.headers.get("range", "") for seen in origin.requests]


def test_only_what_is_read_is_requested(origin: OriginServer, tmp_path: Path) -> None:
    with opened(origin, tmp_path) as master:
        assert (master.size, master.bytes_received()) == (SIZE, FIRST_PART)
        at(master, 0, 5000)
        at(master, 100_000, 5000)
        assert len(origin.requests) == 1
        at(master, 4_000_000, 5000)
        at(master, 4_000_100, 5000)
        assert len(origin.requests) == 2
        assert master.bytes_received() < FIRST_PART + 150_000
        assert "secret" not in master.source
        master.complete()


def test_what_is_announced_comes_in_one_request(origin: OriginServer, tmp_path: Path) -> None:
    with opened(origin, tmp_path) as master:
        master.file.announce(1_000_000, 3_000_000)  # type: ignore[attr-defined]
        for position in range(1_000_000, 2_990_000, 50_000):
            at(master, position, 10_000)
        assert ranges(origin) == [f"bytes=0-{FIRST_PART - 1}", "bytes=1000000-2999999"]
        assert ANNOUNCED_MAX > 2_000_000


def test_a_reader_that_goes_on_gets_larger_parts(origin: OriginServer, tmp_path: Path) -> None:
    with opened(origin, tmp_path) as master:
        master.file.seek(1_000_000)
        while master.file.read(10_000):
            pass
        assert 6 <= len(origin.requests) <= 12


def test_any_order_of_reading_gives_the_files_bytes(origin: OriginServer, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    with opened(origin, tmp_path) as master:
        for position, size in zip(random.integers(0, SIZE, 60), random.integers(1, 400_000, 60), strict=True):
            at(master, int(position), int(size))
        assert master.bytes_received() <= SIZE, "no byte is requested twice"
        master.file.seek(SIZE)
        assert master.file.read(10) == b""


def test_a_small_file_is_one_request(origin: OriginServer, tmp_path: Path) -> None:
    origin.script("a.fits", body=CONTENT[:1000])
    with opened(origin, tmp_path) as master:
        assert master.file.read() == CONTENT[:1000]
    assert len(origin.requests) == 1


def test_a_server_without_ranges_sends_the_whole_file_once(origin: OriginServer, tmp_path: Path) -> None:
    origin.script("a.fits", ranges=False)
    with opened(origin, tmp_path) as master:
        at(master, 4_000_000, 5000)
        master.complete()
    assert len(origin.requests) == 1


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_tag_the_file_arrives_whole(origin: OriginServer, tmp_path: Path, etag: str) -> None:
    """Parts of two versions of a frame would be mixed."""
    origin.script("a.fits", etag=etag)
    with opened(origin, tmp_path) as master:
        at(master, 4_000_000, 5000)
        master.complete()
    assert ranges(origin) == [f"bytes=0-{FIRST_PART - 1}", ""]


def test_a_file_that_is_compressed_as_a_whole_arrives_whole(origin: OriginServer, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT, 0)
    origin.script("a.fits", body=packed)
    with opened(origin, tmp_path) as master:
        assert master.file.read() == packed
    assert len(origin.requests) == 2


def test_a_file_that_changes_meanwhile_is_not_mixed(origin: OriginServer, tmp_path: Path) -> None:
    script = origin.script("a.fits", body=CONTENT)
    with opened(origin, tmp_path) as master:
        script.body = CONTENT[::-1]
        master.file.seek(4_000_000)
        with pytest.raises(MasterIncomplete, match="changed while it was read"):
            master.file.read(10)


def test_a_part_that_is_cut_is_requested_again(origin: OriginServer, tmp_path: Path) -> None:
    script = origin.script("a.fits", body=CONTENT)
    with opened(origin, tmp_path, origin_retries=2) as master:
        script.cut_at, script.cuts = 4_010_000, 1
        at(master, 4_000_000, 60_000)
    assert len(origin.requests) == 3


def test_a_server_that_fails_later_is_an_outage(origin: OriginServer, tmp_path: Path) -> None:
    script = origin.script("a.fits", body=CONTENT)
    with opened(origin, tmp_path, origin_retries=0) as master:
        script.fails = -1
        master.file.seek(4_000_000)
        with pytest.raises(OriginFailed):
            master.file.read(10)


def test_a_url_that_expires_meanwhile_is_an_expired_ticket(origin: OriginServer, tmp_path: Path) -> None:
    script = origin.script("a.fits", body=CONTENT)
    with pytest.raises(TicketExpired):
        read_after_expiry(origin, tmp_path, script)


def read_after_expiry(origin: OriginServer, tmp_path: Path, script: Script) -> None:
    with opened(origin, tmp_path) as master:
        script.status, script.fails = 403, -1
        master.file.seek(4_000_000)
        master.file.read(10)


def test_a_file_beyond_the_limit_is_refused_before_it_is_read(origin: OriginServer, tmp_path: Path) -> None:
    with pytest.raises(TooLarge), opened(origin, tmp_path, origin_max_bytes=1_000_000):
        pass
    assert len(origin.requests) == 1


class CountingGuard:
    """Counts the places that were taken at the origin."""

    def __init__(self) -> None:
        self.admitted = 0

    @contextmanager
    def admit(self, _lease: object) -> Iterator[None]:
        self.admitted += 1
        yield


class ValidLease:
    """A lease that is never lost."""

    def abandon_if_lost(self) -> None:
        """Return at once."""


@pytest.mark.parametrize(("opener", "places"), [("open", 1), ("open_parts", 3)])
def test_each_job_that_may_request_further_parts_takes_a_place_at_the_origin(
    origin: OriginServer, tmp_path: Path, opener: str, places: int
) -> None:
    settings = load(_env_file=None, data_dir=tmp_path, archive_api_url="http://127.0.0.1:1/")
    kept = KeptMasters(FrameOrigin(settings, {"1": f"{origin.url}a.fits"}), keep=True)
    guard: Any = CountingGuard()
    lease: Any = ValidLease()
    for position in (0, 1_000_000, 3_000_000):
        with getattr(GuardedOrigin(kept, guard, lease), opener)("1") as master:
            at(master, position, 1000)
            master.complete()
    kept.close()
    assert guard.admitted == places


def test_the_next_job_reads_on_without_another_first_part(origin: OriginServer, tmp_path: Path) -> None:
    settings = load(_env_file=None, data_dir=tmp_path, archive_api_url="http://127.0.0.1:1/")
    kept = KeptMasters(FrameOrigin(settings, {"1": f"{origin.url}a.fits"}), keep=True)
    for position in (1_000_000, 1_000_500, 3_000_000):
        with kept.open_parts("1") as master:
            at(master, 0, 5000)
            at(master, position, 1000)
    with kept.open("1") as master:
        assert master.file.read() == CONTENT
        assert master.bytes_received() == SIZE
    kept.close()
    assert ranges(origin)[:3] == [f"bytes=0-{FIRST_PART - 1}", "bytes=1000000-1065535", "bytes=3000000-3065535"]
