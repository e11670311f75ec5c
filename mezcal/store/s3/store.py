"""The store in a bucket: the local store's names under a prefix, each image with its sidecar as metadata."""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from mezcal.errors import StoreDown
from mezcal.recipe import MEDIA_TYPES, Mezzanine, Profile, profiles_of
from mezcal.store.housekeeping.trim import surveyed_usage
from mezcal.store.local.layout import BY_KEY, IMAGE, OURS, FileNames, StoreLayout, by_key, pages
from mezcal.store.local.scratch import Scratch
from mezcal.store.s3.bucket import Bucket, Fields, NotSupported, ObjectChanged
from mezcal.store.s3.capabilities import Capabilities, features, probe, uploads_feature
from mezcal.store.s3.client import S3Client
from mezcal.store.s3.client.cors import cors_feature, gives_urls
from mezcal.store.s3.inventory import S3Inventory
from mezcal.store.s3.object_metadata import EVICTED, as_metadata, from_metadata, is_own_object, number
from mezcal.store.s3.other_bucket import OtherBucket
from mezcal.store.s3.prefixes import CHECK, without_others
from mezcal.store.s3.publishing import Publication
from mezcal.store.s3.remote_file import S3File
from mezcal.store.s3.trash import BucketTrash
from mezcal.store.s3.verify import S3Verifier
from mezcal.store.usage import Usage, UsageCache
from mezcal.store.values import Described, Opened, Stored, StoredEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mezcal.recipe import Recipe
    from mezcal.settings import Settings
    from mezcal.store.housekeeping.verify import VerifiedItem
    from mezcal.store.protocols import ServerFeature
    from mezcal.store.s3.bucket import StoredObject
    from mezcal.store.values import Sidecar

log = logging.getLogger(__name__)

KEY_BYTES_MAX = 1024  # of an object's whole name
CHECK_SECONDS = 10.0  # for which a store that could be written is taken to be writable
URL_SECONDS = 300  # of a URL that is tried
USAGE_SECONDS = 60.0  # S3 charges for every thousand names listed
DAY = 86_400
WEEK = 7 * DAY  # the longest that a signature may be valid
ABANDONED_SECONDS = 6 * 3600  # a multipart upload that began earlier is aborted


class S3Store:
    """`<prefix><folder>/image.jpg`; see `layout` for the folder. One per process: it keeps its connections."""

    def __init__(self, settings: Settings) -> None:
        prefix = settings.aws_prefix.strip("/")
        self._settings = settings
        self.bucket = Bucket(S3Client(settings), f"{prefix}/" if prefix else "")
        self.names = FileNames.of(profiles_of(settings).values())
        self.trash = BucketTrash(self.bucket, self.fields, self.capabilities)
        self.pin_seconds = settings.pin_seconds
        longest = max(len(f"/{name}") for name in self.names.images)
        path_bytes = KEY_BYTES_MAX - len(self.bucket.prefix.encode()) - longest
        self._layout = StoreLayout(settings.storage_layout, self.names, path_bytes)
        self._scratch = Scratch((settings.tmp_dir or settings.cache_dir / OURS) / "scratch")
        self._usage = UsageCache(
            lambda: ((image.name.rpartition("/")[2], image.size) for image in self.images()),
            self._surveyed,
            USAGE_SECONDS,
        )
        self._lock = threading.Lock()
        self._writable_until = 0.0
        self._capabilities: Capabilities | None = None
        self._lists_uploads = True

    def fields(self, name: str) -> Fields:
        """Returns the headers of the object *name*, for whoever fetches it without mezcal."""
        media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        return {"ContentType": media_type, "CacheControl": self._settings.image_cache_control}

    # --- finding: one HEAD

    def name(self, recipe: Recipe) -> str:
        """Returns the name below the prefix of *recipe*'s derivative."""
        return str(self._layout.image(recipe))

    def find(self, recipe: Recipe) -> Stored | None:
        """Returns the derivative of *recipe*, None if there is none, or an empty or evicted one."""
        described = self.describe(recipe)
        return described.stored if described else None

    def describe(self, recipe: Recipe) -> Described | None:
        """Returns the derivative of *recipe* with its sidecar, which the same HEAD returns."""
        found = self._head_own(self.name(recipe))
        if found is None or EVICTED in found.metadata:
            return None
        stored = self._stored(found)
        return Described(stored, from_metadata(found.metadata, recipe.as_json())) if stored else None

    def _head_own(self, name: str) -> StoredObject | None:
        """Returns the object *name*, None if there is none, or another program's."""
        found = self.bucket.head(name)
        return found if found is not None and is_own_object(found) else None

    def sidecar(self, recipe: Recipe) -> Sidecar | None:
        """Returns the sidecar of *recipe*'s derivative, None for an object that is not ours."""
        return self.sidecar_at(self.name(recipe), recipe)

    def sidecar_at(self, name: str, recipe: Recipe | None = None) -> Sidecar | None:
        """Returns the sidecar of the object *name*. *recipe* is used if the object has none, which may be too long."""
        found = self.bucket.head(name)
        return from_metadata(found.metadata, recipe.as_json() if recipe else None) if found else None

    def open(self, recipe: Recipe) -> Opened | None:
        """Open the derivative of *recipe*: its bytes are fetched when they are read. Removes an eviction mark."""
        return self._open(self.name(recipe))

    def open_by_key(self, key: str, file_name: str = IMAGE) -> Opened | None:
        """Open a thumbnail of which only the key and the name of its file are known; *key* must be one."""
        return self._open(f"{by_key(key)}/{file_name}")

    def _open(self, name: str) -> Opened | None:
        found = self._head_own(name)
        if found is not None and found.size and EVICTED in found.metadata:
            found = self.trash.restore(found)
        stored = self._stored(found) if found else None
        if found is None or stored is None:
            return None
        file = S3File(self.bucket, found, self._scratch.folder, partial(self._open, name))
        return Opened(stored, cast("BinaryIO", file), file)

    def _stored(self, found: StoredObject) -> Stored | None:
        """Returns *found* with a time and an entity tag that a refresh does not change; S3's own if it is not ours."""
        digest = found.metadata.get("sha256")
        modified = int(number(found.metadata, "made") or found.modified)
        path = PurePosixPath(self.bucket.prefix + found.name)
        tag = f'"{digest[:32]}"' if digest else found.etag.removeprefix("W/")
        return Stored(path, found.size, modified, tag, number(found.metadata, "fresh")) if found.size else None

    def others(self, recipe: Recipe) -> list[Mezzanine]:
        """Returns the other derivatives of *recipe*'s master that are stored, or were a moment ago."""
        if not isinstance(recipe, Mezzanine):
            return []
        found = [*self._profiles_of(recipe.main()), *self._pages_of(recipe)]
        return [other for other in found if other != recipe]

    def _profiles_of(self, main: Mezzanine) -> Iterator[Mezzanine]:
        """Yields the stored derivatives of *main*'s picture. In its folder there may be a million masters."""
        each = (main.in_profile(Profile.of_file(name)) for name in self.names.of_masters)
        return (recipe for recipe in each if self._head_own(self.name(recipe)) is not None)

    def _pages_of(self, recipe: Mezzanine) -> Iterator[Mezzanine]:
        for found in self.bucket.list(f"{pages(recipe.path)}/"):
            page, _, image = found.name.rpartition("/")
            number = page.rpartition("/")[2]
            if number.isdecimal() and image in self.names.of_masters:
                yield Mezzanine(recipe.path, int(number), Profile.of_file(image))

    def presigned_url(self, key: str, method: str = "GET", file_name: str = IMAGE) -> str:
        """Returns a URL of the thumbnail *key* that is the same all day, UTC, and valid for six days after it."""
        today = time.time() // DAY * DAY
        return self.bucket.presigned_url(f"{by_key(key)}/{file_name}", method, today, WEEK)

    def other_bucket(self, name: str) -> OtherBucket:
        """Returns the bucket *name* of the same server, for copies that are given away."""
        return OtherBucket(self._settings, name)

    # --- publishing: a local draft, then one object that appears whole

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Create a local file, removed at the end. Raises `StoreDown` here, before the work, if none can be stored."""
        self.check()
        with self._scratch.draft() as path:
            yield path

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft* as *recipe*'s derivative, unless *guard* raises `Superseded`; see `publishing`."""
        if not draft.stat().st_size:
            raise StoreDown("the picture is empty: it was not written to the end")
        name = self.name(recipe)
        fields = {**self.fields(name), "Metadata": as_metadata(sidecar)}
        Publication(self.bucket, self.trash, name, draft, sidecar, fields, guard, self.capabilities()).publish()
        with suppress(StoreDown):  # it is published
            self._delete_old(recipe)
        path = PurePosixPath(self.bucket.prefix + name)
        return Stored(path, sidecar.size, int(sidecar.made), f'"{sidecar.sha256[:32]}"', sidecar.fresh)

    def delete(self, recipe: Recipe) -> bool:
        """Delete *recipe*'s derivative, also from its old place. Returns True if there was one that was not evicted."""
        existed = self._delete_own(self.name(recipe))
        return self._delete_old(recipe) or existed

    def _delete_old(self, recipe: Recipe) -> bool:
        """Delete *recipe*'s derivative from where umd-lib/mezcal stored it: other profiles may find it there again."""
        return sum(self._delete_own(str(name)) for name in self._layout.old_images(recipe)) > 0

    def _delete_own(self, name: str) -> bool:
        found = self._head_own(name)
        if found is not None:
            self.bucket.delete(name)
        return found is not None and EVICTED not in found.metadata

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Replace the sidecar of *recipe*'s derivative. Returns False if another one was stored meanwhile."""
        found = self.bucket.head(self.name(recipe))
        if found is None or number(found.metadata, "made") != sidecar.made:
            return False
        mark = {EVICTED: found.metadata[EVICTED]} if EVICTED in found.metadata else {}
        condition = self.capabilities().unchanged(found)
        try:
            self.trash.replace_metadata(found, as_metadata(sidecar) | mark, condition)
        except ObjectChanged:
            return False
        return True

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless an object could be written a moment ago."""
        if time.monotonic() < self._writable_until:
            return
        if not self._probe():
            self.bucket.put(CHECK, b"")
        self._writable_until = time.monotonic() + CHECK_SECONDS

    def capabilities(self) -> Capabilities:
        """Returns which conditions the server honours; it is tried once in a process. Raises `StoreDown`."""
        self._probe()
        assert self._capabilities is not None
        return self._capabilities

    def server_features(self) -> list[ServerFeature]:
        """Returns what the server can do, for `mezcal check`."""
        found = [*features(self.capabilities()), uploads_feature(self.bucket)]
        if gives_urls(self._settings):
            url = self.bucket.presigned_url(CHECK, "GET", time.time(), URL_SECONDS)
            found.append(cors_feature(url, self._settings))
        return found

    def _probe(self) -> bool:
        """Try the server's conditions, once in a process. Returns True if it was done by this call."""
        with self._lock:
            if self._capabilities is not None:
                return False
            self._capabilities = probe(self.bucket, f"{CHECK}-{os.urandom(8).hex()}")
            return True

    # --- housekeeping

    @property
    def inventory(self) -> S3Inventory:
        """The objects of the store with sizes and times."""
        return S3Inventory(self)

    def evict(self, recipe: Recipe) -> bool:
        """Mark *recipe*'s derivative; `expire` removes it after PIN_SECONDS, unless it is opened meanwhile."""
        found = self._head_own(self.name(recipe))
        return found is not None and self.trash.put(found)

    def expire(self) -> int:
        """Remove what was evicted PIN_SECONDS ago, and multipart uploads of dead writers. Returns how many."""
        removed = self.trash.empty(time.time() - self.pin_seconds)
        return removed + self._abort_uploads()  # last: it needs a right

    def _abort_uploads(self) -> int:
        """Abort the multipart uploads of dead writers. Returns 0 if the server does not list them."""
        if self._lists_uploads:
            try:
                return self.bucket.abort_uploads(time.time() - ABANDONED_SECONDS, self._is_image)
            except NotSupported:
                self._lists_uploads = False
                log.warning("the object store lists no incomplete uploads: let a lifecycle rule of the bucket end them")
        return 0

    def sweep(self) -> int:
        """Remove the drafts of dead writers on this host. Returns how many."""
        return self._scratch.sweep()

    def verify(self, sample: int | None = None, *, mend: bool = False) -> Iterator[VerifiedItem]:
        """Fetch each derivative, or *sample* of them, and compare it with its metadata."""
        return S3Verifier(self, mend=mend).verify(sample)

    def last_use_source(self, *, use_log: bool) -> str:  # noqa: ARG002 - the protocol's
        """Returns how the last use of a derivative is known: S3 does not tell."""
        return "when it was made or found fresh"

    def entries(self, after: str = "") -> Iterator[StoredEntry]:
        """Yields every derivative after the name *after*, in the order of names, a thousand for each request.

        A profile's costs a request of its own: a listing does not tell if it is another program's.
        """
        for image in self.images(after):
            read_sidecar = partial(self.sidecar_at, image.name)
            if image.name.rpartition("/")[2] != IMAGE:
                found = self._head_own(image.name)
                if found is None:
                    continue
                read_sidecar = partial(from_metadata, found.metadata)
            if image.size:
                yield StoredEntry(image.name, image.size, image.modified, read_sidecar)

    def images(self, after: str = "") -> Iterator[StoredObject]:
        """Yields what may be derivatives by their names, a thousand for each request.

        Those without bytes, and some of a profile, are other programs'.
        """
        for found in without_others(self.bucket, self.bucket.list(after=after), after):
            internal = found.name.startswith(f"{OURS}/") and not found.name.startswith(f"{OURS}/{BY_KEY}/")
            if self._is_image(found.name) and not internal:
                yield found

    def _is_image(self, name: str) -> bool:
        folder, _, image = name.rpartition("/")
        return bool(folder) and image in self.names.images

    def trials(self) -> Iterator[StoredObject]:
        """Yields what processes write, and remove again, to find out if the server supports conditional writes."""
        return self.bucket.list(f"{CHECK}-")

    def usage(self) -> Usage | None:
        """Returns what the store holds, at most a minute old. Of a large one, what the last survey counted."""
        return self._usage.usage()

    def _surveyed(self) -> Usage | None:
        return surveyed_usage(self.inventory.load_state())

    def free_bytes(self) -> None:
        """Returns None: a bucket has no limit."""
        return
