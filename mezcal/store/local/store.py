"""A folder of derivatives that nginx, an IIIF server or a person can read without mezcal."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import contextmanager, suppress
from functools import partial
from io import FileIO
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.recipe import Mezzanine, Profile
from mezcal.store.housekeeping.trim import surveyed_usage
from mezcal.store.inventory import InventoryItem
from mezcal.store.local.files import (
    ABSENT,
    IRREGULAR,
    as_store_down,
    described,
    ensure_new_etag,
    is_folder,
    lock_file,
    lock_within,
    open_image,
    os_errors_as_store_down,
    prune,
    rename,
    set_last_use,
    sync,
)
from mezcal.store.local.inventory import LocalInventory
from mezcal.store.local.last_use import access_times_kept
from mezcal.store.local.layout import BUILT_IN, IMAGE, OURS, FileNames, StoreLayout, by_key
from mezcal.store.local.ownership import (
    foreign_file,
    has_record,
    needs_record,
    refuse_foreign_file,
    remove_former_format,
    remove_old_folder,
    sidecar_of,
    sidecar_path,
)
from mezcal.store.local.permissions import check_owner, check_rename, folders_in
from mezcal.store.local.scratch import Scratch
from mezcal.store.local.trash import Trash, digest_of
from mezcal.store.local.verify import LocalVerifier
from mezcal.store.local.walk import FolderWalk, pages_in
from mezcal.store.usage import Usage, UsageCache
from mezcal.store.values import Described, Opened, Sidecar, StoredEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path, PurePosixPath

    from mezcal.recipe import Recipe
    from mezcal.settings import Layout
    from mezcal.store.housekeeping.verify import VerifiedItem
    from mezcal.store.values import Stored

FOLDERS_CHECKED = 50  # at the root: /readyz asks each second
TAKE_BACK_SECONDS = 5.0  # for which a request waits for the lock of an evicted derivative
SWEEP_MAX = 500  # evicted files that a sweep removes: more would delay the worker that sweeps


class LocalStore:
    """Stores `<root>/<folder>/image.jpg`, and `image.json` in the same folder; see `layout` for both names.

    *names* are those of all derivatives.
    """

    def __init__(self, root: Path, layout: Layout, pin_seconds: float = 60, names: FileNames = BUILT_IN) -> None:
        self.root = root
        self.names = names
        self._layout = StoreLayout(layout, names)
        self.scratch = root / OURS / "scratch"
        self.locks = root / OURS / "locks"
        self.trash = Trash(root / OURS / "evicted", pin_seconds)
        self._usage = UsageCache(
            lambda: ((item.name, item.size) for item in FolderWalk(root, names=names)), self._surveyed
        )

    # --- finding: no lock, one `stat`

    def path(self, recipe: Recipe) -> Path:
        """Returns where *recipe*'s derivative is, or would be."""
        return self.root / self._own(recipe)

    def _own(self, recipe: Recipe) -> PurePosixPath:
        """Returns the path of *recipe*'s derivative below the root."""
        *_, own = self._places(recipe)
        return own

    def _places(self, recipe: Recipe) -> Iterator[PurePosixPath]:
        """Yields the path of *recipe*'s derivative; if a folder is in the place of a profile's file, then its key's."""
        own = self._layout.image(recipe)
        yield own
        if needs_record(own) and is_folder(self.root / own):
            yield by_key(recipe.key) / own.name

    def find(self, recipe: Recipe) -> Stored | None:
        """Returns the derivative of *recipe*, None if there is none.

        An empty file, as umd-lib/mezcal left on a full disk, does not count, and neither does a link: it may lead out
        of the store.
        """
        return next(filter(None, map(self._find_own, self._places(recipe))), None)

    def _find_own(self, own: PurePosixPath) -> Stored | None:
        path = self.root / own
        try:
            found = described(path, path.lstat())
        except ABSENT:
            return None
        except OSError as error:
            raise as_store_down(error) from error
        return found if has_record(self.root, own) else None

    def describe(self, recipe: Recipe) -> Described | None:
        """Returns the derivative of *recipe* with its sidecar."""
        stored, own = self.find(recipe), self._own(recipe)
        if stored is None or foreign_file(self.root, own) is not None:
            return None
        return Described(stored, sidecar_of(self.root / own))

    def sidecar(self, recipe: Recipe) -> Sidecar | None:
        """Returns the sidecar of *recipe*'s derivative. Derivatives of umd-lib/mezcal have none."""
        return sidecar_of(self.path(recipe))

    def open(self, recipe: Recipe) -> Opened | None:
        """Open the derivative of *recipe*, None if there is none. The open file stays the same if it is replaced."""
        return next(filter(None, map(self._open_own, self._places(recipe))), None)

    def open_by_key(self, key: str, file_name: str = IMAGE) -> Opened | None:
        """Open a thumbnail of which only the key and the name of its file are known; *key* must be one."""
        return self._open_own(by_key(key) / file_name)

    def _open_own(self, own: PurePosixPath) -> Opened | None:
        return self._open_at(own) or (self._open_at(own) if self._take_back(own) else None)

    def _open_at(self, own: PurePosixPath) -> Opened | None:
        path = self.root / own
        if not has_record(self.root, own):
            return None
        try:
            file = FileIO(path, opener=open_image)
        except ABSENT:
            return None
        except OSError as error:
            if error.errno in IRREGULAR:
                return None
            raise as_store_down(error) from error
        status = os.fstat(file.fileno())
        stored = described(path, status)
        if stored is None:
            file.close()
            return None
        set_last_use(file.fileno(), status)
        return Opened(stored, cast("BinaryIO", file))

    def others(self, recipe: Recipe) -> list[Mezzanine]:
        """Returns the other derivatives of *recipe*'s master that are stored, or were evicted a moment ago.

        A page of which nothing is stored but what was evicted is not found.
        """
        if not isinstance(recipe, Mezzanine):
            return []
        with os_errors_as_store_down():
            pictures = [recipe.main(), *pages_in(self.root, recipe.path)]
            each = (picture.in_profile(Profile.of_file(name)) for picture in pictures for name in self.names.of_masters)
            return [other for other in each if other != recipe and self._can_be_opened(self._own(other))]

    def _can_be_opened(self, own: PurePosixPath) -> bool:
        image = self.root / own
        return (image.is_file() and foreign_file(self.root, own) is None) or self.trash.has(own)

    # --- publishing: a scratch file, synced, renamed

    def draft(self) -> AbstractContextManager[Path]:
        """Create a scratch file in the store's own file system, removed at the end unless it was published."""
        return Scratch(self.scratch).draft()

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft* as *recipe*'s derivative.

        *guard* raises `Superseded` if the lease is lost. It is called under the recipe's publishing lock, which
        `delete` takes too: a job that was fenced off before a deletion cannot publish after it.

        The process may die between the two renames. Where there is an image already, it is renamed first: the sidecar
        is too old then, which costs one revalidation; in the other order the old image would count as fresh. A first
        image comes last: without its sidecar it would never be revalidated.
        """
        own = self._free_place(recipe)
        path = self.root / own
        with os_errors_as_store_down(), self.draft() as sidecar_draft:
            sidecar_draft.write_bytes(sidecar.as_bytes())
            sync(sidecar_draft)
            sync(draft)
            with self.publishing(own):
                guard()
                remove_former_format(self.root, own)
                refuse_foreign_file(self.root, own)
                ensure_new_etag(draft, path)
                stored = described(path, draft.stat())  # now, because it may be deleted right after
                if stored is None:
                    raise StoreDown("the picture is empty: it was not written to the end")
                self.trash.forget(own)  # else an older version might come back, perhaps with the new sidecar
                both = [(draft, path), (sidecar_draft, sidecar_path(path))]
                for made, place in both if path.exists() else reversed(both):
                    rename(made, place)
        with suppress(StoreDown):  # it is published
            self._delete_old(recipe, own)
        return stored

    def _free_place(self, recipe: Recipe) -> PurePosixPath:
        """Returns where to publish *recipe*'s derivative. Removes an old folder of derivatives that is in its place."""
        own = self._layout.image(recipe)
        if needs_record(own) and is_folder(self.root / own):
            remove_old_folder(self.root / own, self.names)
        return self._own(recipe)

    def delete(self, recipe: Recipe) -> bool:
        """Delete *recipe*'s derivative and the folders it leaves empty. Returns True if there was one.

        It is deleted from its old place, too, where umd-lib/mezcal stored it and another set of profiles may find it.
        """
        own = self._own(recipe)
        existed = self._delete_own(own)
        return self._delete_old(recipe, own) or existed

    def _delete_old(self, recipe: Recipe, own: PurePosixPath) -> bool:
        """Delete what an older mezcal, or one with other profiles, stored of *recipe* in another place than *own*."""
        elsewhere = [by_key(recipe.key) / own.name] if needs_record(own) else []
        old = [*self._layout.old_images(recipe), *elsewhere]
        present = [each for each in old if (self.root / each).is_file()]
        return sum(map(self._delete_own, present)) > 0

    def _delete_own(self, own: PurePosixPath) -> bool:
        path = self.root / own
        with os_errors_as_store_down(), self.publishing(own):
            self.trash.forget(own)
            existed = remove_former_format(self.root, own)
            if foreign_file(self.root, own) is not None:
                return existed
            with suppress(*ABSENT):
                path.unlink()
                existed = True
            with suppress(*ABSENT):
                sidecar_path(path).unlink()
            prune(path.parent, self.root)
        return existed

    @contextmanager
    def publishing(self, own: PurePosixPath, patience: float | None = None) -> Iterator[None]:
        """Let one process at a time publish the derivative *own*, on all hosts that share the store.

        Raises `StoreDown` after *patience* seconds, if given: a worker whose link to Redis has just broken may hold the
        lock until its request times out.
        """
        descriptor = lock_file(self.locks, digest_of(own)[:2])
        try:
            lock_within(descriptor, patience)
            yield
        finally:
            os.close(descriptor)

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Replace the sidecar of *recipe*'s derivative. Returns False if another one was stored meanwhile."""
        own = self._own(recipe)
        with os_errors_as_store_down(), self.draft() as draft, self.publishing(own):
            now = sidecar_of(self.root / own)
            if now is None or now.made != sidecar.made:
                return False
            draft.write_bytes(sidecar.as_bytes())
            sync(draft)
            rename(draft, sidecar_path(self.root / own))
        return True

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless a derivative could be stored now."""
        with self.draft() as draft, os_errors_as_store_down():
            draft.write_bytes(b"\xff")
            check_owner(self.root, islice(folders_in(self.root), FOLDERS_CHECKED))

    def check_folders(self, most: int) -> None:
        """Raise `StoreDown` if a derivative could not be stored in one of the first *most* folders."""
        with os_errors_as_store_down():
            check_owner(self.root, islice((item.folder for item in FolderWalk(self.root, names=self.names)), most))

    def check_rename(self) -> None:
        """Raise `StoreDown` unless renaming over a file replaces it within one file system, as publishing needs."""
        with self.draft() as new, self.draft() as old, os_errors_as_store_down():
            check_rename(new, old, self.root)

    # --- housekeeping

    @property
    def inventory(self) -> LocalInventory:
        """The folders of the store with sizes and times of last use."""
        return LocalInventory(self)

    def evict(self, recipe: Recipe) -> bool:
        """Move *recipe*'s derivative to the trash, however recently it was used. Returns True if there was one."""
        own = self._own(recipe)
        item = InventoryItem(str(own.parent), own.name)
        return bool(self.inventory.evict(item, before=float("inf")))

    def _take_back(self, own: PurePosixPath) -> bool:
        """Move the derivative of *own* back from the trash. Returns False if it is not there."""
        if not self.trash.has(own):
            return False
        with os_errors_as_store_down(), self.publishing(own, TAKE_BACK_SECONDS):
            if foreign_file(self.root, own) is not None:
                return False
            self.trash.take_back(own, self.root / own)
        return True

    def make_free_space(self, needed: int) -> bool:
        """Free *needed* bytes by evicting the least recently used. Returns True if writing is worth another attempt."""
        return self.inventory.make_free_space(needed)

    def note_use(self, recipe: Recipe) -> bool:
        """Note that *recipe*'s derivative was used now. Returns False if there is none."""
        try:
            descriptor = open_image(str(self.path(recipe)), os.O_RDONLY)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return False
            set_last_use(descriptor, status)
        finally:
            os.close(descriptor)
        return True

    def last_use_source(self, *, use_log: bool) -> str:
        """Returns how the last use of a derivative is known. *use_log*: nginx writes CACHE_USE_LOG."""
        try:
            kept = access_times_kept(self.root / OURS)
        except OSError:
            return "nothing: the cache cannot be written"
        return "access times" if kept else "marks" if use_log else "marks of the API alone"

    def sweep(self) -> int:
        """Remove the drafts of dead writers, and some files of the trash. Returns how many drafts."""
        removed = Scratch(self.scratch).sweep()
        with os_errors_as_store_down():
            self.trash.empty(SWEEP_MAX)
        return removed

    def expire(self) -> int:
        """Do nothing: sweeps and trims empty the trash."""
        return 0

    def verify(self, sample: int | None = None, *, mend: bool = False) -> Iterator[VerifiedItem]:
        """Read each derivative, or *sample* of them, and compare it with its sidecar."""
        return LocalVerifier(self, mend=mend).verify(sample)

    def entries(self) -> Iterator[StoredEntry]:
        """Yields every derivative, without those in the trash."""
        for item in FolderWalk(self.root, names=self.names):
            if item.size and foreign_file(self.root, item.image) is None:
                read_sidecar = partial(sidecar_of, self.root / item.image)
                yield StoredEntry(str(item.image), item.size, item.modified, read_sidecar)

    def usage(self) -> Usage | None:
        """Returns what the store holds, at most ten seconds old. Of a large one, what the last survey counted."""
        return self._usage.usage()

    def _surveyed(self) -> Usage | None:
        return surveyed_usage(self.inventory.load_state())

    def free_bytes(self) -> int:
        """Returns how many bytes the file system can still store."""
        with os_errors_as_store_down():
            self.root.mkdir(parents=True, exist_ok=True)
            return shutil.disk_usage(self.root).free
