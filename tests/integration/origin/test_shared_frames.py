"""Whole files of frames that the processes of a worker share: who downloads one, who waits, and what is left."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from mezcal.errors import MasterDamaged, OriginFailed
from mezcal.origin.archive import FrameOrigin, frame_files, shared_frames
from mezcal.origin.archive.frame_table import FrameRow, FrameState, FrameTable
from mezcal.origin.archive.shared_frames import FrameSharing, SharedFrames, WantedFrame
from mezcal.origin.kept_masters import KeptMasters
from mezcal.runtime.shared_files import FILES, SharedFiles
from mezcal.settings import load
from tests.support.archive_server import ArchiveServer
from tests.support.forked import exit_code, fork
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.origin import Master
    from mezcal.origin.archive.frame_slot import FrameSlot
    from mezcal.settings import Settings

SIZE = 3_000_000
CONTENT = np.random.default_rng(1).bytes(SIZE)


@pytest.fixture
def archive() -> Iterator[ArchiveServer]:
    with ArchiveServer() as running:
        yield running


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return load(_env_file=None, data_dir=tmp_path, archive_api_url="http://127.0.0.1:1/")


@pytest.fixture
def files(given: Settings) -> Iterator[SharedFiles]:
    made = SharedFiles.create(given)
    assert made is not None
    yield made
    assert not list(given.scratch_dir.iterdir()), "the files have no names"
    for descriptor in made.descriptors:
        os.close(descriptor)


@pytest.fixture
def frames(files: SharedFiles) -> SharedFrames:
    return SharedFrames(files)


@pytest.fixture
def number(archive: ArchiveServer, tmp_path: Path) -> int:
    return add(archive, tmp_path)


def add(archive: ArchiveServer, folder: Path, content: bytes = CONTENT) -> int:
    path = folder / f"{len(archive.frames)}.fits"
    path.write_bytes(content)
    return archive.add(path)


def on_disk(files: SharedFiles) -> int:
    """Returns the bytes of all shared files."""
    return sum(os.fstat(descriptor).st_size for descriptor in files.files)


@contextmanager
def opened(
    given: Settings, archive: ArchiveServer, number: int, sharing: FrameSharing, *, parts: bool = False
) -> Iterator[Master]:
    origin = FrameOrigin(given, {str(number): archive.shown(number)["url"]}, sharing=sharing)
    with (origin.open_parts if parts else origin.open)(str(number)) as master:
        yield master


def sharing_of(frames: SharedFrames, number: int, version: str = "v1", **options: Any) -> FrameSharing:
    return FrameSharing(frames, {str(number): version}, **options)


def reader(
    given: Settings, archive: ArchiveServer, number: int, frames: SharedFrames, *, parts: bool = False, **options: Any
) -> Callable[[], None]:
    """Returns a job that reads all of a frame."""

    def read() -> None:
        with opened(given, archive, number, sharing_of(frames, number, **options), parts=parts) as master:
            assert master.file.read() == CONTENT
            master.complete()

    return read


def test_processes_that_need_a_frame_at_once_share_one_download(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    archive.hold.clear()
    children = [fork(reader(given, archive, number, frames, parts=place % 2 == 0)) for place in range(8)]
    until(lambda: archive.count("/files/"), what="the download")
    archive.hold.set()
    assert [exit_code(child) for child in children] == [0] * 8
    assert archive.count("/files/") == 1


def test_a_later_process_needs_no_request_and_knows_as_much(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    with opened(given, archive, number, sharing_of(frames, number)) as master:
        master.complete()
        first = master
        assert not master.shared
    with opened(given, archive, number, sharing_of(frames, number), parts=True) as master:
        assert (master.shared, master.size, master.source) == (True, SIZE, first.source)
        assert (master.etag, master.last_modified, master.content_type) == (
            *(first.etag, first.last_modified),
            "application/octet-stream",
        )
        master.file.seek(-10, os.SEEK_END)
        assert master.file.read() == CONTENT[-10:]
        assert master.open_again is not None
        assert master.open_again().read(9) == CONTENT[:9]
        left = master.file
    with pytest.raises(ValueError, match="closed"):
        left.read(1)
    assert archive.count("/files/") == 1


def test_the_jobs_of_one_process_need_no_place_for_a_frame_that_is_there(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    ticket = {str(number): archive.shown(number)["url"]}
    kept = KeptMasters(FrameOrigin(given, ticket, sharing=sharing_of(frames, number)), keep=True)
    assert not kept.holds(str(number))
    reader(given, archive, number, frames)()
    assert kept.holds(str(number))
    for _ in range(2):
        with kept.open(str(number)) as master:
            assert master.file.read() == CONTENT
    kept.close()
    assert archive.count("/files/") == 1


def test_a_job_that_opens_a_frame_twice_does_not_wait_for_itself(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    archive.halfway.clear()
    once = opened(given, archive, number, sharing_of(frames, number))
    with once as master, opened(given, archive, number, sharing_of(frames, number)):
        assert archive.count("/files/") == 2, "only what has arrived is shared"
        archive.halfway.set()
        master.complete()
    with opened(given, archive, number, sharing_of(frames, number)):
        reader(given, archive, number, frames)()
    assert archive.count("/files/") == 3


@pytest.mark.parametrize("version", ["v2", ""])
def test_another_version_is_another_file_and_one_without_a_version_is_never_shared(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int, version: str
) -> None:
    reader(given, archive, number, frames)()
    for _ in range(2):
        reader(given, archive, number, frames, version=version)()
    assert archive.count("/files/") == (2 if version else 3)


def test_what_was_downloaded_before_a_change_is_not_used(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    reader(given, archive, number, frames)()
    changed = time.monotonic_ns()
    for _ in range(2):
        reader(given, archive, number, frames, since=changed)()
    assert archive.count("/files/") == 2


def test_a_file_that_a_retry_did_not_trust_serves_no_other_job_either(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, tmp_path: Path
) -> None:
    number = add(archive, tmp_path, b"damaged on its way")
    with opened(given, archive, number, sharing_of(frames, number)) as master:
        assert master.file.read() != CONTENT
    (tmp_path / "0.fits").write_bytes(CONTENT)
    for since in (time.monotonic_ns(), 0):
        reader(given, archive, number, frames, since=since)()
    assert archive.count("/files/") == 2


def test_a_frame_that_arrives_just_now_is_not_taken_for_one_of_a_killed_process(
    frames: SharedFrames, files: SharedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving = FrameRow(FrameState.ARRIVING, b"sixteen letters.")
    table, (is_locked, locked), (may_end, end) = FrameTable(files.table, FILES), os.pipe(), os.pipe()

    def fill() -> None:
        assert table.lock(0)
        table.write(0, arriving)
        os.write(locked, b" ")
        os.read(may_end, 1)
        table.write(0, arriving._replace(state=FrameState.WHOLE))

    process = fork(fill)
    os.read(is_locked, 1)

    def read_before_the_arrival(_table: FrameTable) -> list[FrameRow]:
        rows = read(table)
        monkeypatch.undo()
        os.write(end, b" ")
        assert exit_code(process) == 0
        return rows

    read = FrameTable.rows
    monkeypatch.setattr(FrameTable, "rows", read_before_the_arrival)
    slot = frames.take(WantedFrame(arriving.name), time.monotonic() + 60)
    assert slot is not None
    assert slot.is_whole
    slot.close()


def test_a_process_that_is_killed_leaves_nothing_and_another_downloads_the_frame(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, number: int
) -> None:
    archive.hold.clear()
    first = fork(reader(given, archive, number, frames))
    until(lambda: archive.count("/files/"), what="the download")
    second = fork(reader(given, archive, number, frames))
    os.kill(first, signal.SIGKILL)
    assert exit_code(first) == -signal.SIGKILL
    until(lambda: archive.count("/files/") == 2, what="the second download")
    os.kill(second, signal.SIGKILL)
    assert exit_code(second) == -signal.SIGKILL
    frames.expire()
    assert on_disk(files) == 0
    archive.hold.set()
    reader(given, archive, number, frames)()
    assert archive.count("/files/") == 3


def test_a_download_that_fails_leaves_nothing_and_fails_for_its_own_job_alone(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, number: int
) -> None:
    given = given.model_copy(update={"origin_retries": 0})
    archive.script(f"/files/{number}", status=500)
    with pytest.raises(OriginFailed):
        reader(given, archive, number, frames)()
    assert on_disk(files) == 0
    archive.script(f"/files/{number}")
    reader(given, archive, number, frames)()
    assert archive.count("/files/") == 2


def test_a_file_that_differs_from_its_digest_is_never_shared(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, number: int
) -> None:
    archive.digests[number] = f"sha-256=:{base64.b64encode(hashlib.sha256(b'another file').digest()).decode()}:"
    for attempt in (1, 2):
        with pytest.raises(MasterDamaged):
            reader(given, archive, number, frames)()
        assert on_disk(files) == 0
        assert archive.count("/files/") == attempt
    archive.digests[number] = f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"
    for _ in range(2):
        reader(given, archive, number, frames)()
    assert archive.count("/files/") == 3


def test_a_process_that_is_stopped_holds_up_no_other_for_long(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_files, "WAIT_SECONDS", 0.2)
    archive.hold.clear()
    first = fork(reader(given, archive, number, frames))
    until(lambda: archive.count("/files/"), what="the download")
    os.kill(first, signal.SIGSTOP)
    archive.hold.set()
    reader(given, archive, number, frames)()
    os.kill(first, signal.SIGCONT)
    assert exit_code(first) == 0
    assert archive.count("/files/") == 2


class NotedSharing(FrameSharing):
    """Notes the seconds for which a job may wait for each frame."""

    patience: ClassVar[list[float]] = []

    def take(self, frame_id: str, deadline: float, *, in_parts: bool) -> FrameSlot | None:
        self.patience.append(deadline - time.monotonic())
        return super().take(frame_id, deadline, in_parts=in_parts)


def test_a_job_of_many_frames_does_not_wait_for_each_of_them(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_files, "WAIT_SECONDS", 0.2)
    ticket = {str(number): archive.shown(number)["url"] for number in (add(archive, tmp_path) for _ in range(2))}
    archive.hold.clear()

    def read_all() -> None:
        origin = FrameOrigin(given, ticket, sharing=NotedSharing(frames, dict.fromkeys(ticket, "v1")))
        with ExitStack() as stack:
            for path in ticket:
                stack.enter_context(origin.open(path)).complete()

    stopped = [fork(reader(given, archive, int(path), frames)) for path in ticket]
    until(lambda: archive.count("/files/") == 2, what="the downloads")
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    archive.hold.set()
    read_all()
    assert NotedSharing.patience[0] > 0 > NotedSharing.patience[1]
    for process in stopped:
        os.kill(process, signal.SIGCONT)
        assert exit_code(process) == 0


def test_files_are_kept_for_some_minutes(
    given: Settings,
    archive: ArchiveServer,
    frames: SharedFrames,
    files: SharedFiles,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader(given, archive, number, frames)()
    frames.expire()
    assert on_disk(files) > SIZE
    monkeypatch.setattr(shared_frames, "KEPT_SECONDS", 0)
    with opened(given, archive, number, sharing_of(frames, number)) as master:
        in_other_process(frames.expire)
        assert master.file.read() == CONTENT, "it is read until the job ends"
    in_other_process(frames.expire)
    assert on_disk(files) == 0


def in_other_process(work: Callable[[], object]) -> None:
    assert exit_code(fork(work)) == 0


def test_the_space_is_bounded_and_the_oldest_file_is_evicted(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, tmp_path: Path
) -> None:
    frames.most_bytes = int(2.5 * SIZE)
    numbers = [add(archive, tmp_path) for _ in range(3)]
    for number in numbers:
        reader(given, archive, number, frames)()
        assert on_disk(files) <= frames.most_bytes
    reader(given, archive, numbers[2], frames)()
    reader(given, archive, numbers[1], frames)()
    reader(given, archive, numbers[0], frames)()
    assert [archive.count(f"/files/{number}") for number in numbers] == [2, 1, 1]


def test_a_file_that_is_read_is_not_evicted(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, tmp_path: Path
) -> None:
    frames.most_bytes = int(1.5 * SIZE)
    one, other = (add(archive, tmp_path) for _ in range(2))
    reader(given, archive, one, frames)()
    with opened(given, archive, one, sharing_of(frames, one)) as master:
        in_other_process(reader(given, archive, other, frames))
        in_other_process(reader(given, archive, other, frames))
        assert master.file.read() == CONTENT
    assert (archive.count(f"/files/{one}"), archive.count(f"/files/{other}")) == (1, 2)


def test_jobs_of_the_bulk_lane_evict_nothing(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, tmp_path: Path
) -> None:
    frames.most_bytes = int(1.5 * SIZE)
    one, other = (add(archive, tmp_path) for _ in range(2))
    reader(given, archive, one, frames, evicts=False)()
    for _ in range(2):
        reader(given, archive, other, frames, evicts=False)()
    reader(given, archive, one, frames)()
    assert (archive.count(f"/files/{one}"), archive.count(f"/files/{other}")) == (1, 2)


def test_no_process_waits_for_a_frame_that_is_too_large_to_keep(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, number: int
) -> None:
    frames.most_bytes = SIZE - 1
    with opened(given, archive, number, sharing_of(frames, number)):
        in_other_process(reader(given, archive, number, frames))
    assert archive.count("/files/") == 2
    assert on_disk(files) == 0


def test_more_frames_than_files_are_shared_as_far_as_files_go(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, tmp_path: Path
) -> None:
    numbers = [add(archive, tmp_path, b"SIMPLE" + bytes([place])) for place in range(FILES + 1)]
    for number in [*numbers, numbers[-1], numbers[0]]:
        with opened(given, archive, number, sharing_of(frames, number)) as master:
            master.complete()
    assert archive.count(f"/files/{numbers[-1]}") == 1
    assert archive.count(f"/files/{numbers[0]}") == 2


def test_parts_are_not_kept_and_hold_up_no_other(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    archive.ranges = True
    with opened(given, archive, number, sharing_of(frames, number), parts=True) as master:
        assert master.in_parts
        in_other_process(reader(given, archive, number, frames))
    assert archive.count("/files/") == 2
    with opened(given, archive, number, sharing_of(frames, number), parts=True) as master:
        assert master.shared, "the whole file is there"
    assert archive.count("/files/") == 2


def test_a_cutout_does_not_wait_for_a_whole_frame_that_comes_in_parts_too(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, number: int
) -> None:
    archive.ranges = True
    archive.halfway.clear()
    with opened(given, archive, number, sharing_of(frames, number)) as whole:
        assert whole.sends_parts
        in_other_process(lambda: read_part(given, archive, number, frames))
        assert whole.completed_at() is None
        archive.halfway.set()
        whole.complete()


def read_part(given: Settings, archive: ArchiveServer, number: int, frames: SharedFrames) -> None:
    with opened(given, archive, number, sharing_of(frames, number), parts=True) as master:
        assert master.in_parts


def test_a_frame_for_which_the_disk_has_no_space_is_not_kept(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, number: int
) -> None:
    full = os.open("/dev/full", os.O_RDWR)
    for descriptor in files.files:
        os.dup2(full, descriptor)
    os.close(full)
    for _ in range(2):
        reader(given, archive, number, frames)()
    assert archive.count("/files/") == 2


def test_a_full_disk_frees_the_shared_files_first(
    given: Settings, archive: ArchiveServer, frames: SharedFrames, files: SharedFiles, number: int
) -> None:
    reader(given, archive, number, frames)()
    asked: list[int] = []

    def evict(needed: int) -> bool:
        asked.append(needed)
        return True

    free = sharing_of(frames, number).frees_first(evict)
    assert free(10)
    assert (on_disk(files), asked) == (0, [])
    assert free(10)
    assert asked == [10]
