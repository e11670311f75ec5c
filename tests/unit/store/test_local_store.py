"""The local store: whole or not at all, and umd-lib/mezcal's folders served as they stand."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from mezcal.errors import StoreDown, Superseded
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.store.local import store as local_store
from mezcal.store.local.files import rename
from mezcal.store.local.store import LocalStore
from mezcal.store.values import Sidecar
from tests.support.forked import forked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECIPE = Mezzanine.parse("dc/1")
JPEG = b"\xff\xd8 whole \xff\xd9"


def sidecar(size: int = len(JPEG)) -> Sidecar:
    return Sidecar(
        recipe=RECIPE.as_json(), recipe_version="1", source="http://x/dc/1", master_etag='"a"',
        master_last_modified=None, master_size=9, master_format="TIFF", size=size, width=3, height=2,
        sha256="0", made=1.0, fresh=1.0,
    )  # fmt: skip


def nobody_else() -> None:
    """Do nothing: the lease is still held."""


def put(store: LocalStore, content: bytes = JPEG, guard: Callable[[], None] = nobody_else) -> None:
    with store.draft() as draft:
        draft.write_bytes(content)
        store.put(RECIPE, draft, sidecar(len(content)), guard)


@pytest.fixture(params=list(Layout))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "cache", request.param)


def drafts(store: LocalStore) -> list[Path]:
    return sorted(store.scratch.iterdir()) if store.scratch.exists() else []


def test_what_was_put_is_found_with_its_sidecar(store: LocalStore) -> None:
    put(store)
    found, opened = store.find(RECIPE), store.open(RECIPE)
    assert found is not None
    assert found.path.read_bytes() == JPEG
    assert opened is not None
    with opened.file:
        assert opened.file.read() == JPEG
    assert opened.stored == found
    assert store.sidecar(RECIPE) == sidecar()
    assert drafts(store) == []


def test_looking_for_what_is_not_there_makes_nothing(store: LocalStore) -> None:
    assert store.find(RECIPE) is None
    assert store.open(RECIPE) is None
    assert store.sidecar(RECIPE) is None
    assert not store.root.exists()


def test_a_cache_of_umd_lib_mezcal_is_served_without_conversion(store: LocalStore) -> None:
    """Its folders contain only image.jpg, with a lock file next to them."""
    folder = store.path(RECIPE).parent
    folder.mkdir(parents=True)
    (folder / "image.jpg").write_bytes(JPEG)
    folder.with_name(folder.name + ".lock").touch()
    found = store.find(RECIPE)
    assert found is not None
    assert found.size == len(JPEG)
    assert store.sidecar(RECIPE) is None
    assert store.delete(RECIPE)


@pytest.mark.parametrize("obstacle", ["empty file", "folder", "foreign sidecar"])
def test_what_is_no_derivative_is_not_found(tmp_path: Path, obstacle: str) -> None:
    store = LocalStore(tmp_path, Layout.BASIC)
    path = store.path(RECIPE)
    path.parent.mkdir(parents=True)
    if obstacle == "folder":
        path.mkdir()
    elif obstacle == "empty file":
        path.touch()
    else:
        path.with_name("image.json").write_text("[1, 2]")
    assert store.find(RECIPE) is None
    assert store.open(RECIPE) is None
    assert store.sidecar(RECIPE) is None


def test_a_draft_that_is_not_put_is_gone_at_the_end(store: LocalStore) -> None:
    def fail_midway() -> None:
        with store.draft() as draft:
            draft.write_bytes(b"half")
            raise RuntimeError("decoder")

    with pytest.raises(RuntimeError, match="decoder"):
        fail_midway()
    assert drafts(store) == []
    assert store.find(RECIPE) is None


def test_who_was_superseded_publishes_nothing(store: LocalStore) -> None:
    def superseded() -> None:
        raise Superseded("an event came")

    put(store, b"\xff\xd8 newer \xff\xd9")
    with pytest.raises(Superseded):
        put(store, b"\xff\xd8 older \xff\xd9", superseded)
    found = store.find(RECIPE)
    assert found is not None
    assert b"newer" in found.path.read_bytes()
    assert drafts(store) == []


def test_deleting_waits_for_a_publisher_that_has_confirmed_its_lease(store: LocalStore) -> None:
    """After a lease was invalidated and the image deleted, the job's worker cannot publish."""
    deletion = threading.Thread(target=store.delete, args=(RECIPE,))

    def delete_meanwhile() -> None:
        deletion.start()
        deletion.join(timeout=0.2)
        assert deletion.is_alive()

    put(store, guard=delete_meanwhile)
    deletion.join(timeout=10)
    assert store.find(RECIPE) is None


def test_deleting_leaves_no_empty_folder_and_spares_what_is_below(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, Layout.BASIC)
    below = Mezzanine.parse("dc/1/sub")
    put(store)
    with store.draft() as draft:
        draft.write_bytes(JPEG)
        store.put(below, draft, sidecar(), nobody_else)
    assert store.delete(RECIPE)
    assert not store.delete(RECIPE)
    assert store.find(below) is not None
    assert store.delete(below)
    assert [path.name for path in tmp_path.iterdir()] == [".mezcal"]


def test_two_versions_of_one_size_differ_in_their_entity_tags(store: LocalStore) -> None:
    put(store, b"\xff\xd8 one")
    one = store.find(RECIPE)
    put(store, b"\xff\xd8 two")
    two = store.find(RECIPE)
    assert one is not None
    assert two is not None
    assert one.etag != two.etag


def test_of_two_evicted_versions_the_newer_comes_back(store: LocalStore) -> None:
    for content in (b"\xff\xd8 older \xff\xd9", JPEG):
        put(store, content)
        assert store.evict(RECIPE)
        store.trash.seconds += 600  # the two lie in folders of different times
    opened = store.open(RECIPE)
    assert opened is not None
    with opened.file:
        assert opened.file.read() == JPEG


def test_the_entity_tag_is_what_nginx_would_give(store: LocalStore) -> None:
    put(store)
    found = store.find(RECIPE)
    assert found is not None
    status = found.path.stat()
    assert found.etag == f'"{int(status.st_mtime):x}-{status.st_size:x}"'


def test_what_is_sent_is_what_was_described_even_if_it_is_replaced(store: LocalStore) -> None:
    put(store)
    opened = store.open(RECIPE)
    put(store, b"\xff\xd8 a longer one \xff\xd9")
    assert opened is not None
    with opened.file:
        assert len(opened.file.read()) == opened.stored.size


def test_a_sweep_removes_what_a_killed_writer_left_and_nothing_else(store: LocalStore) -> None:
    code = """
import sys, time
from pathlib import Path
from mezcal.settings import Layout
from mezcal.store.local import store as local_store
from mezcal.store.local.store import LocalStore
with LocalStore(Path(sys.argv[1]), Layout.BASIC).draft() as draft:
    draft.write_bytes(b"half")
    print(draft, flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        left = Path(writer.stdout.readline().strip())
        assert store.sweep() == 0
        assert left.exists()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with store.draft() as mine:
        assert store.sweep() == 1
        assert mine.exists()
    assert not left.exists()


def test_a_sweep_between_making_and_locking_costs_only_another_try(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, swept = fcntl.flock, []

    def sweeping_flock(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(True)
            for path in store.scratch.iterdir():
                path.unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", sweeping_flock)
    put(store)
    assert swept
    assert store.find(RECIPE) is not None


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """As on a full disk, every write beyond *size* bytes fails: the kernel refuses, no part of ours is replaced."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@forked
def test_a_store_that_takes_no_more_says_so_and_keeps_what_it_has(store: LocalStore) -> None:
    put(store)
    with files_no_larger_than(0), pytest.raises(StoreDown, match="cannot be used"):
        store.check()
    assert store.find(RECIPE) is not None
    assert drafts(store) == []
    store.check()


def test_a_root_that_is_not_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = LocalStore(tmp_path / "file", Layout.BASIC)
    assert store.find(RECIPE) is None
    with pytest.raises(StoreDown, match=os.strerror(errno.ENOTDIR)):
        store.check()


def test_usage_counts_derivatives_and_their_bytes(store: LocalStore) -> None:
    assert store.usage() is not None
    put(store)
    fresh = LocalStore(store.root, Layout.BASIC).usage()
    assert fresh is not None
    assert (fresh.derivatives, fresh.bytes) == (1, len(JPEG))
    assert store.free_bytes() > 0


class PowerCut(BaseException):
    """The process ends here; no handler of the product may catch it."""


def test_a_death_between_the_renames_leaves_no_image_that_is_never_revalidated(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[str] = []
    rename = local_store.rename

    def rename_one(draft: Path, path: Path) -> None:
        if renamed:
            raise PowerCut
        renamed.append(path.name)
        rename(draft, path)

    monkeypatch.setattr(local_store, "rename", rename_one)
    with pytest.raises(PowerCut):
        put(store)
    assert store.find(RECIPE) is None, "it is made again"
    monkeypatch.undo()
    put(store)
    before = store.sidecar(RECIPE)
    renamed.clear()
    monkeypatch.setattr(local_store, "rename", rename_one)
    with pytest.raises(PowerCut):
        put(store, JPEG + b" changed")
    found = store.find(RECIPE)
    assert found is not None
    assert found.size == len(JPEG + b" changed")
    assert store.sidecar(RECIPE) == before, "an old one costs one revalidation"


def test_a_draft_that_cannot_be_removed_is_given_to_the_sweep(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk became read-only, or fails: no descriptor may stay open, whose lock would keep the sweep away."""

    def failing_unlink(_path: Path, **_: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(Path, "unlink", failing_unlink)
    with pytest.raises(OSError, match="input/output"), store.draft():
        pass
    monkeypatch.undo()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert store.sweep() == 1


def test_an_evicted_derivative_is_not_waited_for_while_a_worker_holds_the_lock(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_store, "TAKE_BACK_SECONDS", 0.1)
    put(store)
    assert store.evict(RECIPE)
    own = store.path(RECIPE).relative_to(store.root)
    with store.publishing(PurePosixPath(own)), pytest.raises(StoreDown, match="try again"):
        store.open(RECIPE)
    opened = store.open(RECIPE)
    assert opened is not None
    opened.file.close()


@pytest.mark.parametrize("renames", [0, 1])
def test_a_process_that_dies_between_the_renames_of_an_image_leaves_one_that_is_made_again(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """A first image without its sidecar would never be compared with its master."""
    left = iter([True] * renames)

    def dying(draft: Path, path: Path) -> None:
        if not next(left, False):
            raise KeyboardInterrupt
        rename(draft, path)

    with monkeypatch.context() as patch:
        patch.setattr("mezcal.store.local.store.rename", dying)
        with pytest.raises(KeyboardInterrupt):
            put(store)
    assert store.find(RECIPE) is None
    put(store)
    described = store.describe(RECIPE)
    assert described is not None
    assert described.sidecar is not None


def test_a_trash_that_cannot_be_read_is_a_failure_of_the_store(tmp_path: Path) -> None:
    """The API answers only failures with 503: at any other error the server closed the connection without an answer."""
    store = LocalStore(tmp_path, Layout.BASIC)
    store.trash.root.parent.mkdir(parents=True, exist_ok=True)
    store.trash.root.symlink_to(store.trash.root.name)  # a loop
    for look in (store.open, store.others):
        with pytest.raises(StoreDown):
            look(RECIPE)


def test_a_process_that_dies_while_it_takes_back_an_image_leaves_it_in_the_trash(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store)
    assert store.evict(RECIPE)
    left = iter([True])

    def dying(draft: Path, path: Path) -> None:
        if not next(left, False):
            raise KeyboardInterrupt
        rename(draft, path)

    with monkeypatch.context() as patch:
        patch.setattr("mezcal.store.local.trash.rename", dying)
        with pytest.raises(KeyboardInterrupt):
            store.open(RECIPE)
    opened = store.open(RECIPE)
    assert opened is not None
    opened.file.close()
    assert store.sidecar(RECIPE) is not None
