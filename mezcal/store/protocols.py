"""The interfaces of a store: for serving and making derivatives, and for housekeeping."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mezcal.recipe import Mezzanine, Recipe
    from mezcal.store.housekeeping.verify import VerifiedItem
    from mezcal.store.inventory import NotesOrigin
    from mezcal.store.s3.other_bucket import OtherBucket
    from mezcal.store.usage import Usage
    from mezcal.store.values import Described, Opened, Sidecar, Stored, StoredEntry


class Store(Protocol):
    """Finds, opens, publishes and deletes derivatives.

    A derivative appears whole or not at all, and finding one takes no lock. Every method raises `StoreDown` if the
    store fails.
    """

    def find(self, recipe: Recipe) -> Stored | None:
        """Returns the derivative of *recipe*, None if there is none. Costs one `stat`, or one request to a bucket."""

    def describe(self, recipe: Recipe) -> Described | None:
        """Returns the derivative of *recipe* with its sidecar. Costs as much as `find`, and a small file."""

    def sidecar(self, recipe: Recipe) -> Sidecar | None:
        """Returns the sidecar of *recipe*'s derivative, None if there is none."""

    def open(self, recipe: Recipe) -> Opened | None:
        """Open the derivative of *recipe*. Brings it back from the trash if it was evicted within PIN_SECONDS."""

    def open_by_key(self, key: str, file_name: str = ..., /) -> Opened | None:
        """Open a thumbnail of which only the key and the name of its file are known; *key* must be one.

        Without *file_name* it is a JPEG.
        """

    def others(self, recipe: Recipe) -> list[Mezzanine]:
        """Returns the other stored derivatives of *recipe*'s master and its pages; none for a thumbnail."""

    def draft(self) -> AbstractContextManager[Path]:
        """Create a local file to write a derivative to, removed at the end. Fails here if the store is not writable."""

    def put(self, recipe: Recipe, draft: Path, sidecar: Sidecar, guard: Callable[[], None]) -> Stored:
        """Publish *draft* as *recipe*'s derivative, unless *guard* raises `Superseded`."""

    def delete(self, recipe: Recipe) -> bool:
        """Delete the derivative, also from the trash. Returns True if there was one that was not in the trash."""

    def refresh(self, recipe: Recipe, sidecar: Sidecar) -> bool:
        """Replace the sidecar. Returns False if another derivative was stored meanwhile, or none is."""

    def check(self) -> None:
        """Raise `StoreDown`, with the reason, unless a derivative could be stored now."""


class Housekeeping(Protocol):
    """Cleans, counts and verifies a store. Every method raises `StoreDown` if the store fails."""

    @property
    def inventory(self) -> NotesOrigin:
        """The store as folders with sizes and times of last use, for `Trim`."""

    def evict(self, recipe: Recipe) -> bool:
        """Move the derivative to the trash, however recently it was used. Returns True if there was one.

        `find` no longer returns it. `open` brings it back within PIN_SECONDS, so that a GET after a HEAD finds it.
        """

    def sweep(self) -> int:
        """Remove, quickly, the drafts of dead writers on this host. Returns how many files."""

    def expire(self) -> int:
        """Remove what was evicted PIN_SECONDS ago or never published. May take long. Returns how many objects."""

    def entries(self) -> Iterator[StoredEntry]:
        """Yields every derivative in no promised order, and never holds all in memory.

        Derivatives that are added or removed meanwhile may be yielded or not.
        """

    def usage(self) -> Usage | None:
        """Returns what the store holds, None if counting takes too long and no survey has ended yet."""

    def free_bytes(self) -> int | None:
        """Returns how many bytes can still be stored, None if the store has no limit."""

    def verify(self, sample: int | None = None, *, mend: bool = False) -> Iterator[VerifiedItem]:
        """Read each derivative, or *sample* of them chosen at random, and compare it with its sidecar.

        With *mend*, defects are removed.
        """

    def last_use_source(self, *, use_log: bool) -> str:
        """Returns how the last use of a derivative is known, for people. *use_log*: nginx writes CACHE_USE_LOG."""


class DerivativeStore(Store, Housekeeping, Protocol):
    """A whole store, as `open_store` returns it."""


# --- features of some stores


@runtime_checkable
class SignsUrls(Protocol):
    """A store from which clients can fetch derivatives themselves."""

    def presigned_url(self, key: str, method: str = "GET", file_name: str = ..., /) -> str:
        """Returns a URL at the store by which anyone may fetch the thumbnail *key*, the same all day, UTC.

        Without *file_name* it is a JPEG.
        """


@runtime_checkable
class GivesCopies(Protocol):
    """A store whose server has other buckets, too."""

    def other_bucket(self, name: str) -> OtherBucket:
        """Returns the bucket *name* of the same server."""


@runtime_checkable
class MakesFreeSpace(Protocol):
    """A store on a local disk, where evicting makes space at once."""

    def free_bytes(self) -> int:
        """Returns how many bytes the file system can still store."""

    def make_free_space(self, needed: int) -> bool:
        """Free at least *needed* bytes. Returns True if writing is worth another attempt."""


@runtime_checkable
class NotesUse(Protocol):
    """A store whose last uses are the access times of files."""

    def note_use(self, recipe: Recipe) -> bool:
        """Note that *recipe*'s derivative was used now. Returns False if there is none."""


@runtime_checkable
class PublishesByRename(Protocol):
    """A store that publishes by renaming, which must replace a whole file in one step."""

    def check_rename(self) -> None:
        """Raise `StoreDown`, with what to do, unless renaming over a file replaces it within one file system."""

    def check_folders(self, most: int) -> None:
        """Raise `StoreDown`, with what to do, if nothing could be stored in one of the first *most* folders."""


class ServerFeature(NamedTuple):
    """Something that not every server of a kind has: its *name*, what was found, and a *hint* if that is a lack."""

    name: str
    detail: str
    hint: str = ""


@runtime_checkable
class DependsOnServer(Protocol):
    """A store at a server whose features differ from version to version."""

    def server_features(self) -> list[ServerFeature]:
        """Try what the server can do. Raises `StoreDown`."""
