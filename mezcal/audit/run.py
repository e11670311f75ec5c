"""The walk of an audit: each derivative with its record, and its master."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mezcal.audit.masters import Finding
from mezcal.audit.premis import EventOutcome, EventType, PremisEvent, PremisObject
from mezcal.errors import BadRecipe, StoreDown
from mezcal.recipe import Mezzanine, from_json
from mezcal.store.local.layout import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.audit.masters import MasterAudit
    from mezcal.store.inventory import InventoryItem, NotesOrigin
    from mezcal.store.values import Sidecar

UNKNOWN_AGENT = "mezcal"  # of derivatives whose record has no version


@dataclass(slots=True)
class AuditCounts:
    """How many derivatives were audited so far.

    *damaged*: they or their masters; *not_compared*: the masters, of which *unanswered* because the repository failed.
    """

    audited: int = 0
    damaged: int = 0
    not_compared: int = 0
    unanswered: int = 0
    without_record: int = 0


@dataclass(slots=True)
class Audit:
    """Audits the derivatives in *inventory*. *agent* is this program, with its version.

    *cursor* is where the walk continues. It is set when all derivatives of a folder are audited: those of one folder
    may be audited twice by two runs, none is left out. "" before the first, and when the walk has ended.
    *counts_at_cursor* are those of then.
    """

    inventory: NotesOrigin
    masters: MasterAudit
    agent: str
    cursor: str = ""
    counts: AuditCounts = field(default_factory=AuditCounts)
    counts_at_cursor: AuditCounts = field(default_factory=AuditCounts)
    _last_master: tuple[tuple[object, ...], Finding] | None = None

    def events(self) -> Iterator[list[PremisEvent]]:
        """Yield the events of each derivative. Raises `StoreDown` if the store fails."""
        walk = self.inventory.walk(self.cursor)
        folder, reached = "", self.cursor
        for item in walk:
            if item.folder != folder:
                folder, self.cursor, self.counts_at_cursor = item.folder, reached, replace(self.counts)
            events = self._audit(item) if item.size is not None else []
            if events:
                yield events
            reached = walk.cursor
        self.cursor = ""

    def _audit(self, item: InventoryItem) -> list[PremisEvent]:
        record = self.inventory.sidecar(item)
        if record is None:
            self.counts.without_record += item.name == IMAGE  # another program may have the other names
            return []
        image = PremisObject("mezcal cache", str(item.image))
        finding = self._compare_image(item, record)
        if finding is None:
            return []
        events = [_creation(image, record), self._event(finding, "SHA-256 of the derivative compared", image)]
        master = self._compare_master(record)
        if master is not None:
            subject = PremisObject("URI", record.source)
            events.append(self._event(master, "digest of the master compared with that of the record", subject))
        self._count(finding, master)
        return events

    def _compare_image(self, item: InventoryItem, record: Sidecar) -> Finding | None:
        """Return what is found about the image of *item*, None if it was replaced or removed meanwhile."""
        try:
            found = self.inventory.sha256(item)
        except StoreDown as failure:
            self.inventory.sidecar(item)  # raises if a bucket fails, and not only this object
            return Finding(EventOutcome.FAIL, f"the image cannot be read: {failure.reason}")
        if found == record.sha256:
            return Finding(EventOutcome.SUCCESS, f"sha-256:{found}")
        now = self.inventory.sidecar(item)
        if found is None or now is None or now.made != record.made:
            return None
        return Finding(EventOutcome.FAIL, f"the image is sha-256:{found}, and was sha-256:{record.sha256}")

    def _compare_master(self, record: Sidecar) -> Finding | None:
        """Return what is found about the master, None for frames: the tickets with their addresses have expired."""
        try:
            recipe = from_json(record.recipe)
        except BadRecipe:
            return None
        if not isinstance(recipe, Mezzanine):
            return None
        asked = recipe.path, record.master_digest, record.master_etag, record.master_last_modified, record.master_size
        if self._last_master is None or self._last_master[0] != asked:  # all derivatives of a master are in one folder
            self._last_master = asked, self.masters.compare(recipe.path, record)
        return self._last_master[1]

    def _event(self, finding: Finding, detail: str, subject: PremisObject) -> PremisEvent:
        return PremisEvent(finding.kind, time.time(), self.agent, detail, (subject,), finding.outcome, finding.note)

    def _count(self, image: Finding, master: Finding | None) -> None:
        self.counts.audited += 1
        self.counts.damaged += EventOutcome.FAIL in {image.outcome, master.outcome if master else None}
        if master is not None:
            self.counts.not_compared += master.outcome is EventOutcome.WARNING
            self.counts.unanswered += master.unanswered


def _creation(image: PremisObject, record: Sidecar) -> PremisEvent:
    """Return the event of making the derivative, as its record has it."""
    recipe = " ".join(f"{name}={value}" for name, value in sorted(record.recipe.items()))
    digest = f"; master {record.master_digest}" if record.master_digest else ""
    detail = f"derivative made: {recipe}; recipe version {record.recipe_version}{digest}"
    objects = PremisObject("URI", record.source), PremisObject(image.kind, image.value, "outcome")
    agent = record.made_by or UNKNOWN_AGENT
    return PremisEvent(EventType.CREATION, record.made, agent, detail, objects, note=f"sha-256:{record.sha256}")
