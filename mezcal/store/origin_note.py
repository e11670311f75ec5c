"""The origin note of a store: whose derivatives it holds, so that no other origin's are served from it.

A store without one gets it when mezcal first starts with it. If it holds derivatives already, some of their sidecars
must name masters of the origin; those of umd-lib/mezcal have no sidecars, and are adopted.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from mezcal.errors import CannotStart, Failure, StoreDown, WrongSetting
from mezcal.recipe import Mezzanine
from mezcal.settings import Layout
from mezcal.settings.origin_identity import OriginIdentity
from mezcal.store import open_store
from mezcal.store.local.layout import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore, StoredEntry

EXAMINED = 20  # derivatives of a store without a note: a request each at a bucket
EXAMINE_SECONDS = 5.0  # that the derivatives of new origins are looked for
CLAIM_SECONDS = 10.0  # that a start waits for a store
CHECK_SECONDS = 5.0  # for which a note that was right is not read again
ADOPT = "mezcal cache adopt"


class ForeignStore(CannotStart):
    """The store has derivatives of another origin. *remedy* says what to do about it."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True, slots=True)
class Note:
    """The content of the note: the *origin*, and when it was written, in seconds since 1970."""

    origin: OriginIdentity
    written: float

    def as_bytes(self) -> bytes:
        """Returns the content of the note's file."""
        values: dict[str, Any] = {"repository": self.origin.repository, "archive": self.origin.archive}
        values |= {"others": dict(self.origin.others)} if self.origin.others else {}
        values |= {"written": self.written}
        return json.dumps(values, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Note | None:
        """Returns the note in *data*, None if there is none that can be read."""
        try:
            values: dict[str, Any] = json.loads(data or b"")
            others = tuple(sorted(dict(values.get("others", {})).items()))
            origin = OriginIdentity(str(values["repository"]), values.get("archive"), others)
            return cls(origin, float(values["written"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


class OriginNote:
    """The note of *store*, for the origin of *settings*. All methods raise `StoreDown` if the store fails."""

    def __init__(self, settings: Settings, store: DerivativeStore) -> None:
        self._store = store
        self._origin = settings.origin_identity
        self._named = bool(settings.origins)
        self._place = place_of(settings)
        self._by_path = settings.storage_layout is Layout.BASIC
        self._variable = "AWS_PREFIX" if settings.storage == "s3" else "STORAGE_DIR"
        self._lock = threading.Lock()
        self._right_until = 0.0

    def check(self) -> None:
        """Raise `ForeignStore` if the note names another origin. A store without a note may be used."""
        with self._lock:
            if not self._named or time.monotonic() < self._right_until:
                return
            note = self._read()
            if note is not None and not note.origin.accepts(self._origin):
                raise self._refusal(f"is that of {note.origin}, not of {self._origin}")
            self._right_until = time.monotonic() + CHECK_SECONDS

    def claim(self) -> str | None:
        """Do the same as `check`, and write the note if there is none, or if it lacks one of the origins.

        Returns a line for the log if derivatives were adopted.
        """
        self.check()
        content = self._store.inventory.load_origin_note()
        note = Note.from_bytes(content)
        known = OriginIdentity("") if note is None else note.origin
        named = known.extended_by(self._origin)
        if note is not None and named == known:
            return None
        adopted = self._examine(known) and note is None
        if not self._write(named, replace=content is not None):  # damaged, or it lacks one
            self._right_until = 0.0
            self.check()  # another process was first
        elif adopted:
            return f"the cache {self._place} had no note of its origin: it is now that of {self._origin}"
        return None

    def adopt(self) -> OriginIdentity | None:
        """Write the note, whatever there was. Returns the origin that it named."""
        note = self._read()
        self._write(self._origin, replace=True)
        return note.origin if note else None

    def _read(self) -> Note | None:
        return Note.from_bytes(self._store.inventory.load_origin_note())

    def _write(self, origin: OriginIdentity, *, replace: bool) -> bool:
        note = Note(origin, time.time())
        return self._store.inventory.save_origin_note(note.as_bytes(), replace=replace)

    def _examine(self, known: OriginIdentity) -> bool:
        """Returns True if there are derivatives of masters whose origin is not *known*.

        Raises `ForeignStore` if one of the first of them is of another origin than its path says.
        """
        entry = None
        for entry in islice(self._entries_of_new(known), EXAMINED):
            sidecar = entry.sidecar()
            if sidecar is None or sidecar.recipe.get("kind") != Mezzanine.kind:
                continue
            path = str(sidecar.recipe.get("path", ""))
            if known.owner_of(path) != self._origin.owner_of(path) and not self._origin.has_master(
                sidecar.source, path
            ):
                raise self._refusal(f"has an image of {sidecar.source}, which is not of {self._origin}")
        return entry is not None

    def _entries_of_new(self, known: OriginIdentity) -> Iterator[StoredEntry]:
        """Yield the derivatives of origins that are not *known*, as far as the names of their folders tell.

        Those after `EXAMINE_SECONDS` are not looked at: a store of millions does not hold up a start.
        """
        ends = time.monotonic() + EXAMINE_SECONDS
        for entry in self._store.entries():
            if not self._by_path or known.owner_of(entry.name) != self._origin.owner_of(entry.name):
                yield entry
            if time.monotonic() > ends:
                return

    def _refusal(self, reason: str) -> ForeignStore:
        is_named = self._origin.repository not in {"", "samples"} and not self._origin.others
        origin = f" --origin '{self._origin.repository}'" if is_named else ""
        same = "these are the same masters at a new address, or the former address was a mistake"
        remedy = f"set another {self._variable}; or, if {same}, run once: "
        return ForeignStore(f"the cache {self._place} {reason}", f"{remedy}{ADOPT}{origin}")


def place_of(settings: Settings) -> str:
    """Returns where the store of *settings* is, for people."""
    if settings.storage == "s3":
        return f"s3://{settings.aws_bucket}/{settings.aws_prefix.strip('/')}"
    return str(settings.cache_dir)


def own_store(settings: Settings) -> DerivativeStore:
    """Returns the store of *settings* for a command. Raises `ForeignStore` if it is another origin's."""
    store = open_store(settings)
    OriginNote(settings, store).check()
    return store


def claim_store(settings: Settings) -> str | None:
    """Claim the store for the origin, as each role does when it starts. Returns a line for the log, None for none.

    Raises `ForeignStore` if it is another origin's. A store that cannot be reached or written, or takes too long, does
    not stop a start: `/readyz` compares the note as soon as it can be read.
    """
    claimed: Future[str | None] = Future()

    def claim() -> None:
        try:
            claimed.set_result(OriginNote(settings, open_store(settings)).claim())
        except (CannotStart, Failure, WrongSetting) as error:
            claimed.set_exception(error)

    threading.Thread(target=claim, daemon=True).start()
    try:
        return claimed.result(CLAIM_SECONDS)
    except (StoreDown, TimeoutError) as error:
        reason = str(error) or "it does not answer"
        return f"the origin note of the cache {place_of(settings)} is not written: {reason}"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What `adopt` did: the cache at *place* was that of *former*, None if it had no note, and is that of *now*."""

    place: str
    former: str | None
    now: str

    def __str__(self) -> str:
        if self.former == self.now:
            return f"the cache {self.place} is that of {self.now} already"
        before = f"was that of {self.former}" if self.former else "had no note of its origin"
        return f"the cache {self.place} {before}; it is now that of {self.now}"


def adopt(settings: Settings, folder: Path | None = None) -> Adoption:
    """Make the store that of the origin of *settings*. *folder* is a cache in DATA_DIR, which gets the origin's name.

    Raises `WrongSetting`, `StoreDown`.
    """
    if not settings.origins:
        raise WrongSetting("REPO_BASE_URL is not set: say by --origin where the masters are now")
    if folder is not None:
        _rename(folder.absolute(), settings)
    former = OriginNote(settings, open_store(settings)).adopt()
    return Adoption(place_of(settings), str(former) if former else None, str(settings.origin_identity))


def cache_left_behind(settings: Settings) -> Path | None:
    """Returns the cache in DATA_DIR of an installation that had only origins with a prefix, if it is not used now.

    An origin for all other paths, as REPO_BASE_URL, gives the cache another name.
    """
    former = settings.data_dir.absolute() / OriginIdentity("").folder_name
    is_named_by_origin = settings.storage == "local" and settings.storage_dir is None
    if not is_named_by_origin or not settings.origin_identity.others or former == settings.cache_dir:
        return None
    return former if former.is_dir() else None


def _rename(folder: Path, settings: Settings) -> None:
    target = settings.cache_dir
    if settings.storage != "local" or settings.storage_dir is not None:
        raise WrongSetting("STORAGE_DIR or a bucket is set: only without them can a folder be named")
    if not remove_unused_cache(settings):
        raise WrongSetting(f"{target} exists: remove it first if its images may be lost")
    try:
        folder.rename(target)
    except OSError as error:
        raise WrongSetting(f"{folder} cannot be renamed to {target}: {error.strerror}") from error


def remove_unused_cache(settings: Settings) -> bool:
    """Remove the cache folder if it holds no image and nothing of others, as a command leaves it that only looks.

    Returns True if there is none now.
    """
    folder = settings.cache_dir
    if not os.path.lexists(folder):
        return True
    try:
        if any(entry.name != OURS for entry in folder.iterdir()) or any(open_store(settings).entries()):
            return False
        shutil.rmtree(folder / OURS, ignore_errors=True)
        folder.rmdir()
    except (OSError, StoreDown):  # a mount point, for example
        return False
    return True
