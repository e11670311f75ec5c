"""What follows when the master of a stored derivative may have changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from mezcal.ingest.purge import purge
from mezcal.jobs import Lane
from mezcal.origin import MasterStatus

if TYPE_CHECKING:
    from mezcal.jobs import Jobs, Record
    from mezcal.origin import Origin
    from mezcal.recipe import Mezzanine
    from mezcal.store import Sidecar, Store
    from mezcal.store.values import Described


LOOK_AGAIN_SECONDS = 45.0  # after the second failure of a master, then doubled


class RevalidationResult(StrEnum):
    """What a revalidation found, as metrics and logs name it."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"  # the master has changed: the derivative is queued to be made again
    OUTDATED = "outdated"  # other settings made it: the derivative is queued to be made again
    GONE = "gone"  # the master is gone: all its derivatives are deleted


@dataclass(frozen=True, slots=True)
class Revalidation:
    """Revalidates derivatives; *recipe_version* is that of derivatives made with the settings of now."""

    origin: Origin
    jobs: Jobs
    store: Store
    recipe_version: str

    def run(self, recipe: Mezzanine, described: Described | None, lane: Lane = Lane.BULK) -> RevalidationResult:
        """Ask the origin about the master of *recipe*, whose derivative is *described*, and do what follows.

        The derivative is made again in *lane*, unless the changed master has failed already.

        Without a derivative, a remembered failure is looked at. A derivative whose sidecar is damaged is made again.
        Raises the origin's failure, and `Busy` if the derivative is to be made again and too many jobs are queued. The
        stored derivative is kept then, and stays old: it is revalidated again.
        """
        if described is None:
            return self._look_again(recipe)
        sidecar = described.sidecar
        if sidecar is None:
            self.jobs.changed(recipe)
            return RevalidationResult.OUTDATED
        status = self._ask(recipe, sidecar.master_etag, sidecar.master_last_modified)
        if status is MasterStatus.GONE:
            purge(recipe.main(), self.jobs, self.store)
            return RevalidationResult.GONE
        outdated = is_outdated(sidecar, self.recipe_version)
        if status is MasterStatus.CHANGED and self._has_failed(recipe):
            return RevalidationResult.UNCHANGED
        if outdated or status is MasterStatus.CHANGED:
            self.jobs.changed(recipe, lane)
            return RevalidationResult.OUTDATED if outdated else RevalidationResult.CHANGED
        self.store.refresh(recipe, replace(sidecar, fresh=time.time()))
        return RevalidationResult.UNCHANGED

    def _ask(self, recipe: Mezzanine, etag: str | None, last_modified: str | None) -> MasterStatus:
        """Ask the origin. Its breaker counts masters: one that does not answer may have hundreds of pages."""
        main = recipe.main()
        with self.jobs.origin_guard.watch(main.as_json(), main.key):
            return self.origin.revalidate(recipe.path, etag, last_modified)

    def _has_failed(self, recipe: Mezzanine) -> bool:
        """Return True if a failure is remembered of the very master that the origin has now."""
        record = self.jobs.read(recipe.key)
        if record is None or record.failure is None or not any(record.failure.validators):
            return False
        return self._ask(recipe, *record.failure.validators) is MasterStatus.UNCHANGED

    def _look_again(self, recipe: Mezzanine) -> RevalidationResult:
        """Ask the origin about the master of a remembered failure. If it has changed or is gone, forget the failure.

        Raises the origin's failure.
        """
        record = self.jobs.read(recipe.key)
        if record is None or record.failure is None or not _may_look_again(record):
            return RevalidationResult.UNCHANGED
        status = self._ask(recipe, *record.failure.validators)
        if status is MasterStatus.GONE:
            self.jobs.forget_failure(recipe.key)
            return RevalidationResult.GONE
        if status is MasterStatus.CHANGED:
            self.jobs.retry(recipe.key)
            return RevalidationResult.CHANGED
        return RevalidationResult.UNCHANGED


def is_outdated(sidecar: Sidecar, recipe_version: str | None) -> bool:
    """Return True if other settings made the derivative of *sidecar*; *recipe_version* is that of the present ones."""
    return sidecar.recipe_version != recipe_version


def _may_look_again(record: Record) -> bool:
    """Return False for a while after a master failed again: some servers name other validators each time."""
    repeated = len(record.history) - 2
    return repeated < 0 or time.time() - (record.ended or 0) > LOOK_AGAIN_SECONDS * 2**repeated
