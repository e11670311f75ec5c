"""Take-down: denies masters, and removes what was made of them, here and downstream."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mezcal.errors import BadRecipe, Denied, MasterMissing, StoreDown
from mezcal.ingest.purge import purge
from mezcal.recipe import Mezzanine, from_json
from mezcal.recipe.path import plain_path
from mezcal.store.denials import CHECK_SECONDS, Denial, DenialList

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.errors import Failure
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.store import DerivativeStore

log = logging.getLogger(__name__)

REASON_MAX = 1000  # characters
KNOWN_SECONDS = CHECK_SECONDS + 0.5  # in which each process has read the denials


def denied_path(text: str) -> str:
    """Return the path of a master, or of a folder with its final slash, that *text* names. Raises `BadRecipe`."""
    if text.endswith("/") and text.strip("/"):
        return plain_path(text.rstrip("/")) + "/"
    if not text.strip("/"):
        raise BadRecipe("a denial names a master or a folder, not the whole repository")
    return plain_path(text)


def names_of(recipe: Recipe) -> list[str]:
    """Return the names that deny *recipe*: its path; of a thumbnail its frames, with and without endings."""
    if isinstance(recipe, Mezzanine):
        return [recipe.path]
    return [name for frame in recipe.frames for name in dict.fromkeys((frame.name, frame.name.partition(".")[0]))]


def _is_folder(denial: Denial) -> bool:
    return denial.path.endswith("/")


class Denier:
    """Refuses what is denied. *status* is DENIED_STATUS."""

    def __init__(self, store: DerivativeStore, status: int) -> None:
        self.denials = DenialList(store.inventory)
        self._status = status

    def is_denied(self, recipe: Recipe) -> bool:
        """Return True if *recipe* is denied, by what was known some seconds ago. Raises `StoreDown`."""
        return any(self._find(name) for name in names_of(recipe))

    def check(self, recipe: Recipe) -> None:
        """Raise `Denied`, or `MasterMissing` with the status 404, if *recipe* is denied. Raises `StoreDown`."""
        if any(self._find(name) for name in names_of(recipe)):
            raise self._failure()

    def check_now(self, recipe: Recipe) -> None:
        """Do the same with all denials up to now: for those who publish."""
        try:
            denied = any(self.denials.find_now(name) for name in names_of(recipe))
        except ValueError as error:
            raise StoreDown(str(error)) from error
        if denied:
            raise Denied("this image was denied: mezcal deny --list says by whom")

    def _find(self, name: str) -> Denial | None:
        try:
            return self.denials.find(name)
        except ValueError as error:
            raise StoreDown(str(error)) from error

    def _failure(self) -> Failure:
        if self._status == MasterMissing.status:
            return MasterMissing("the repository has no such master")
        return Denied("this image may not be shown")


class TakeDown:
    """Denies masters and lifts denials. All methods raise `BrokerDown` or `StoreDown`: repeat the call then."""

    def __init__(self, denials: DenialList, jobs: Jobs, store: DerivativeStore) -> None:
        self._denials, self._jobs, self._store = denials, jobs, store

    def deny(self, denial: Denial) -> None:
        """Deny, then remove what there is. A worker removes what is in a folder: that reads the whole store.

        nginx asks the API until all is removed, also if a step fails or this process dies: a worker ends it then.
        """
        inventory = self._store.inventory
        alone = inventory.removal() is None
        note = inventory.begin_removal()  # before the denial: nothing else would find out that files of it are here
        self._denials.deny(denial)
        if _is_folder(denial):
            inventory.begin_removal()  # another note: a walk that began before the denial does not end this one
        self._copy()
        log.warning("denied by %s: %s", denial.by, denial.path, extra={"fields": {"reason": denial.reason}})
        self._jobs.denials.request_removal()
        if not _is_folder(denial):
            purge(Mezzanine(denial.path), self._jobs, self._store)
            if alone and note is not None:
                inventory.end_removal(note)

    def lift(self, path: str, by: str) -> bool:
        """Lift the denial of *path*. Returns False if there is none."""
        lifted = self._denials.lift(path)
        self._copy()
        if lifted:
            log.warning("denial lifted by %s: %s", by, path)
        return lifted

    def wait_until_known(self, denial: Denial) -> None:
        """Wait until each process that shows images knows *denial*, if its files are not removed yet."""
        if _is_folder(denial):
            time.sleep(KNOWN_SECONDS)

    def remove_denied(self) -> int:
        """Remove all that is stored and denied, here and downstream. Reads the whole store. Returns how much.

        Removes nothing while another process does.
        """
        inventory = self._store.inventory
        with inventory.removing() as is_ours:
            if not is_ours:
                return 0
            note, removed = inventory.removal(), 0
            for recipe in self._stored():
                now = time.time()
                if any(self._denials.current().find(name, now) for name in names_of(recipe)):
                    removed += purge(recipe, self._jobs, self._store)
            if note is not None:
                inventory.end_removal(note)
        return removed

    def restore(self) -> None:
        """Keep the copy in Redis up to date, or write it to a store that has none, as a new one has."""
        copy = self._jobs.denials.copy()
        if copy and self._store.inventory.denials_version() is None:
            self._store.inventory.begin_removal()  # of what was published while there were no denials
            self._store.inventory.change_denials(lambda data: data if data is not None else copy)
            log.warning("the store had no denials: they were restored from the queue")
        self._copy()

    def _copy(self) -> None:
        content = self._store.inventory.load_denials()
        if content is not None:
            self._jobs.denials.save_copy(content)

    def _stored(self) -> Iterator[Recipe]:
        """Yield all stored derivatives whose recipes are known."""
        for entry in self._store.entries():
            sidecar = entry.sidecar()
            try:
                if sidecar is not None:
                    yield from_json(sidecar.recipe)
                else:
                    yield Mezzanine.parse(entry.name.rpartition("/")[0])
            except BadRecipe:
                continue
