"""Compares a master with the record of a derivative that was made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mezcal.audit.premis import EventOutcome, EventType
from mezcal.errors import Failure, MasterDamaged, MasterMissing
from mezcal.origin import DescribesMasters, MasterDescription, MasterStatus
from mezcal.origin.fixity import Digest, digest_of_file
from mezcal.origin.master import compare_validators

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.origin import Origin
    from mezcal.store.values import Sidecar

OWN_ALGORITHM = "sha-256"  # of a master of which no digest is known


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one file: the event of *kind* that describes it, with its *outcome*.

    *unanswered* says that the repository failed when it was asked.
    """

    outcome: EventOutcome
    note: str
    kind: EventType = EventType.FIXITY_CHECK
    unanswered: bool = False


class MasterAudit:
    """Asks *origin* about masters; with *full*, reads them whole.

    *admit* is called with the path before each request. It may wait, or raise a `Failure` if the origin is paused.
    """

    def __init__(self, origin: Origin, admit: Callable[[str], None], *, full: bool = False) -> None:
        self._origin, self._admit, self._full = origin, admit, full

    def compare(self, path: str, record: Sidecar) -> Finding:
        """Return what is found about the master at *path*, from which the derivative with this *record* was made."""
        recorded = Digest.parse(record.master_digest or "")
        try:
            if self._full:
                return self._read(path, record, recorded)
            self._admit(path)
            if not isinstance(self._origin, DescribesMasters):
                return Finding(EventOutcome.WARNING, "this origin describes no masters: use --full")
            return _compared(self._origin.describe(path), record, recorded)
        except MasterMissing as failure:
            return Finding(EventOutcome.FAIL, f"the master is missing: {failure.detail}")
        except MasterDamaged as failure:
            return Finding(EventOutcome.FAIL, failure.detail)
        except Failure as failure:
            return Finding(EventOutcome.WARNING, f"not compared: {failure.slug}: {failure.detail}", unanswered=True)

    def _read(self, path: str, record: Sidecar, recorded: Digest | None) -> Finding:
        """Read the whole master. One that differs is read once more: it may have been damaged on its way."""
        for attempt in range(2):
            self._admit(path)
            try:
                with self._origin.open(path) as master:
                    master.complete()
                    declared = master.verified_digest()
                    algorithm = recorded or declared
                    found = digest_of_file(master.file, algorithm.algorithm if algorithm else OWN_ALGORITHM)
                    described = MasterDescription(master.etag, master.last_modified, master.size, found)
            except MasterDamaged:
                if attempt:
                    raise
                continue
            finding = _compared(described, record, recorded or declared)
            if finding.outcome is not EventOutcome.FAIL or attempt:
                break
        return finding


def _compared(master: MasterDescription, record: Sidecar, recorded: Digest | None) -> Finding:
    status = compare_validators(
        {"ETag": master.etag or "", "Last-Modified": master.last_modified or ""},
        record.master_etag,
        record.master_last_modified,
    )
    if status is MasterStatus.CHANGED:
        return Finding(EventOutcome.WARNING, "the master was replaced since: its ETag or date is another one")
    if master.size is not None and record.master_size not in {None, master.size}:
        return Finding(EventOutcome.FAIL, f"the master has {master.size} bytes, and had {record.master_size}")
    if master.digest is None:
        return Finding(EventOutcome.WARNING, "the repository declares no digest of the master")
    return _compared_digests(master.digest, recorded)


def _compared_digests(found: Digest, recorded: Digest | None) -> Finding:
    if recorded is None:
        return Finding(EventOutcome.SUCCESS, f"{found}; none was recorded", EventType.DIGEST_CALCULATION)
    if recorded.algorithm != found.algorithm:
        return Finding(EventOutcome.WARNING, f"the master is {found}, and {recorded} was recorded: not to be compared")
    if recorded != found:
        return Finding(EventOutcome.FAIL, f"the master is {found}, and was {recorded}")
    return Finding(EventOutcome.SUCCESS, str(found))
