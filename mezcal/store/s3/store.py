"""The store in a bucket: the local store's names under a prefix, each image with its sidecar as metadata."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.recipe import Mezzanine
from mezcal.store.housekeeping.trim import TrimState
from mezcal.store.local.layout import BY_KEY, IMAGE, OURS, by_key, folder, pages
from mezcal.store.local.scratch import Scratch
from mezcal.store.s3.bucket import Bucket, Fields, ObjectChanged
from mezcal.store.s3.client import S3Client
from mezcal.store.s3.inventory import S3Inventory
from mezcal.store.s3.metadata import EVICTED, as_metadata, from_metadata, number
from mezcal.store.s3.prefixes import CHECK, without_others
from mezcal.store.s3.publishing import Publication, supports_conditions, unchanged
from mezcal.store.s3.remote_file import Distant
from mezcal.store.s3.trash import BucketTrash
from mezcal.store.usage import Counted, Usage
from mezcal.store.values import Opened, Stored, StoredEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.recipe import Recipe
    from mezcal.settings import Settings
    from mezcal.store.s3.bucket import StoredObject
    from mezcal.store.values import Sidecar

log = logging.getLogger(__name__)

KEY_MAX = 1024  # bytes of an object's whole name
CHECKED_SECONDS = 10.0  # for which a store that could be written is taken to be writable
USAGE_SECONDS = 60.0  # S3 charges for every thousand names that are listed
DAY = 86_400
WEEK = 7 * DAY  # the most that a signature may last
ABANDONED = 6 * 3600  # seconds after which nobody completes an upload in parts


class S3Store:
    """`<prefix><folder>/image.jpg`; see `layout` for the folder. One per process: it keeps its connections."""

    def __init__(self, settings: Settings) -> None:
        prefix = settings.aws_prefix.strip("/")
        self.bucket = Bucket(S3Client(settings), f"{prefix}/" if prefix else "")
        self._layout = settings.storage_layout
        self.pin_seconds = settings.pin_seconds
        self.fields: Fields = {"ContentType": "image/jpeg", "CacheControl": settings.image_cache_control}
        self.trash = BucketTrash(self.bucket, self.fields)
        self._most = KEY_MAX - len(self.bucket.prefix.encode()) - len(f"/{IMAGE}")
        self._scratch = Scratch((settings.tmp_dir or settings.cache_dir / OURS) / "scratch")
        self._counted = Counted(self._count, USAGE_SECONDS)
        self._lock = threading.Lock()
        self._checked_until = 0.0
        self._conditional: bool | None = None

    # --- finding: one HEAD

    def name(self, recipe: Recipe) -> str:
        """The name below the prefix of *recipe*'s derivative."""
        return f"{folder(recipe, self._layout, self._most)}/{IMAGE}"

    def find(self, recipe: Recipe) -> Stored | None:
        """The derivative of *recipe*, None if there is none, or an empty one."""
        found = self.bucket.head(self.name(recipe))
        return self._described(found) if found and EVICTED not in found.metadata else None

    def open(self, recipe: Recipe) -> Opened | None:
        """As `find`; its bytes are fetched when they are read, and come back if they were put aside just now."""
        return self._opened(self.name(recipe))

    def open_key(self, key: str) -> Opened | None:
        """As `open`, for a thumbnail of which only the key is known."""
        return self._opened(f"{by_key(key)}/{IMAGE}")

    def _opened(self, name: str) -> Opened | None:
        found = self.bucket.head(name)
        if found is not None and EVICTED in found.metadata:
            found = self.trash.restore(found)
        stored = self._described(found) if found else None
        if found is None or stored is None:
            return None
        distant = Distant(self.bucket, found, self._scratch.folder, partial(self._opened, name))
        return Opened(stored, cast("BinaryIO", distant))

    def _described(self, found: StoredObject) -> Stored | None:
        """With a time and a tag that a refresh leaves alone; S3's own, of an object that is not ours."""
        digest = found.metadata.get("sha256")
        modified = int(number(found.metadata, "made") or found.modified)
        path = PurePosixPath(self.bucket.prefix + found.name)
        tag = f'"{digest[:32]}"' if digest else found.etag.removeprefix("W/")
        noted = number(found.metadata, "fresh")
        return Stored(path, found.size, modified, tag, noted or found.modified) if found.size else None

    def sidecar(self, recipe: Recipe) -> Sidecar | None:
        """What is known of *recipe*'s derivative; None for an object that is not ours."""
        found = self.bucket.head(self.name(recipe))
        return from_metadata(found.metadata, recipe.as_json()) if found else None

    def pages(self, recipe: Recipe) -> list[Mezzanine]:
        """The pages of *recipe*'s master that are stored, or were a moment ago."""
        if not isinstance(recipe, Mezzanine):
            return []
        names = (found.name.split("/")[-2:] for found in self.bucket.list(f"{pages(recipe.path)}/"))
        return [Mezzanine(recipe.path, int(page)) for page, image in names if page.isdecimal() and image == IMAGE]

    def link_key(self, key: str, method: str = "GET") -> str | None:
        """A URL of a thumbnail that is the same all day, UTC, and good for six days after it: a week is S3's bound."""
        today = time.time() // DAY * DAY
        return self.bucket.presigned_url(f"{by_key(key)}/{IMAGE}", method, today, WEEK)

    # --- publishing: a local draft, then one object that appears whole

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A local file, removed at the end. A store that could not take it is found out here, before the work."""
        self.check()
        with self._scratch.draft() as path:
            yield path

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft* as *recipe*'s derivative, unless *guard* raises `Superseded`; see `publishing`."""
        if not draft.stat().st_size:
            raise StoreDown("the picture is empty: it was not written to the end")
        name, fields = self.name(recipe), {**self.fields, "Metadata": as_metadata(sidecar)}
        Publication(self.bucket, name, draft, sidecar, fields, guard, self.conditional).publish()
        path = PurePosixPath(self.bucket.prefix + name)
        return Stored(path, sidecar.size, int(sidecar.made), f'"{sidecar.sha256[:32]}"', sidecar.fresh)

    def delete(self, recipe: Recipe) -> bool:
        """Forget *recipe*'s derivative; whether there was one."""
        name = self.name(recipe)
        found = self.bucket.head(name)
        if found is not None:
            self.bucket.delete(name)
        return found is not None and EVICTED not in found.metadata

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Note anew what is known of *recipe*'s derivative, unless another one was stored meanwhile."""
        found = self.bucket.head(self.name(recipe))
        if found is None or number(found.metadata, "made") != sidecar.made:
            return False
        mark = {EVICTED: found.metadata[EVICTED]} if EVICTED in found.metadata else {}
        condition = unchanged(found) if self.conditional else {}
        fields = {**self.fields, "Metadata": as_metadata(sidecar) | mark}
        try:
            self.bucket.replace_metadata(found, fields, condition)
        except ObjectChanged:
            return False
        return True

    # --- evicting: what a HEAD, or a URL given out, has announced is there for PIN_SECONDS

    def evict(self, recipe: Recipe) -> bool:
        """Mark *recipe*'s derivative; `expire` removes it after PIN_SECONDS, unless it is asked for meanwhile."""
        found = self.bucket.head(self.name(recipe))
        return found is not None and self.trash.put(found)

    def expire(self) -> int:
        """Remove what was evicted PIN_SECONDS ago, and uploads in parts whose writers died."""
        gone = self.trash.empty(time.time() - self.pin_seconds)
        return gone + self.bucket.abort_uploads(time.time() - ABANDONED, f"/{IMAGE}")  # last: it takes a right

    @property
    def shelf(self) -> S3Inventory:
        """The same store by names, for whoever keeps it within its bounds."""
        return S3Inventory(self)

    # --- keeping house

    def make_room(self, needed: int) -> bool:  # noqa: ARG002 - other stores can
        """False: nothing of the store is on the disk that is full."""
        return False

    def sweep(self) -> int:
        """Remove the drafts on this host whose writers are dead."""
        return self._scratch.sweep()

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless an object could be written a moment ago."""
        if time.monotonic() < self._checked_until:
            return
        if not self._tried():
            self.bucket.put(CHECK, b"")
        self._checked_until = time.monotonic() + CHECKED_SECONDS

    @property
    def conditional(self) -> bool:
        """Whether the server knows conditional writes."""
        self._tried()
        return bool(self._conditional)

    def _tried(self) -> bool:
        """Try conditional writes, once in a process; whether it was now."""
        with self._lock:
            if self._conditional is not None:
                return False
            self._conditional = supports_conditions(self.bucket, f"{CHECK}-{os.urandom(8).hex()}")
            return True

    def entries(self, after: str = "") -> Iterator[StoredEntry]:
        """Every derivative behind the name *after*, in the order of names, a thousand for each request."""
        for found in self.images(after):
            if found.size:
                yield StoredEntry(found.name, found.size, found.modified, None, partial(self._sidecar_at, found.name))

    def images(self, after: str = "") -> Iterator[StoredObject]:
        """As `entries`, those without a byte too, which somebody else has put there."""
        for found in without_others(self.bucket, self.bucket.list(after=after), after):
            ours = found.name.startswith(f"{OURS}/") and not found.name.startswith(f"{OURS}/{BY_KEY}/")
            if found.name.endswith(f"/{IMAGE}") and not ours:
                yield found

    def trials(self) -> Iterator[StoredObject]:
        """What processes write to find out whether the server knows conditional writes, and remove again."""
        return self.bucket.list(f"{CHECK}-")

    def _sidecar_at(self, name: str) -> Sidecar | None:
        found = self.bucket.head(name)
        return from_metadata(found.metadata) if found else None

    def usage(self) -> Usage | None:
        """What the store holds, at most a minute old; of a large one, what the last survey counted."""
        return self._counted.now(self._surveyed)

    def _surveyed(self) -> Usage | None:
        survey = TrimState.from_bytes(self.shelf.notes()).survey
        return Usage(survey.derivatives, survey.image_bytes) if survey else None

    def _count(self, seconds: float) -> Usage | None:
        deadline = time.monotonic() + seconds
        number = total = 0
        for entry in self.entries():
            number, total = number + 1, total + entry.size
            if time.monotonic() > deadline:
                return None
        return Usage(number, total)

    def free_bytes(self) -> None:
        """None: a bucket has no bound that could be asked for."""
        return
