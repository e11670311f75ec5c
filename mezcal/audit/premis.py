"""Events of the PREMIS Data Dictionary 3.0 as JSON: its names, and the terms and URIs of the Library of Congress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, uuid5

VOCABULARY = "http://id.loc.gov/vocabulary/preservation"
IDS = uuid5(NAMESPACE_URL, "https://github.com/umd-lib/mezcal")  # of events: the same event has the same one


class EventType(StrEnum):
    """The types of events, by their codes in the vocabulary `eventType`."""

    CREATION = "cre"
    FIXITY_CHECK = "fix"
    DIGEST_CALCULATION = "mes"


class EventOutcome(StrEnum):
    """The outcomes of events, by their codes in the vocabulary `eventOutcome`."""

    SUCCESS = "suc"
    FAIL = "fai"
    WARNING = "war"  # nothing is damaged, but nothing could be compared, either


LABELS = {
    EventType.CREATION: "creation",
    EventType.FIXITY_CHECK: "fixity check",
    EventType.DIGEST_CALCULATION: "message digest calculation",
    EventOutcome.SUCCESS: "success",
    EventOutcome.FAIL: "fail",
    EventOutcome.WARNING: "warning",
}


@dataclass(frozen=True, slots=True)
class PremisObject:
    """What an event is about: a URI or a name, and its *role*: `source` or `outcome`."""

    kind: str
    value: str
    role: str = "source"

    def as_json(self) -> dict[str, Any]:
        """Return the linkingObjectIdentifier."""
        role = _term("eventRelatedObjectRole", self.role[:3], self.role)
        return {
            "linkingObjectIdentifierType": self.kind,
            "linkingObjectIdentifierValue": self.value,
            "linkingObjectRole": [role],
        }


@dataclass(frozen=True, slots=True)
class PremisEvent:
    """One event at the time *at*, in seconds since 1970. *agent* is the program, with its version."""

    kind: EventType
    at: float
    agent: str
    detail: str
    objects: tuple[PremisObject, ...]
    outcome: EventOutcome = EventOutcome.SUCCESS
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the event as the Data Dictionary names its parts."""
        moment = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        outcome: dict[str, Any] = {"eventOutcome": _term("eventOutcome", self.outcome, LABELS[self.outcome])}
        if self.note:
            outcome["eventOutcomeDetail"] = [{"eventOutcomeDetailNote": self.note}]
        named = " ".join([self.kind, moment, *(each.value for each in self.objects)])
        return {
            "eventIdentifier": {"eventIdentifierType": "UUID", "eventIdentifierValue": str(uuid5(IDS, named))},
            "eventType": _term("eventType", self.kind, LABELS[self.kind]),
            "eventDateTime": moment,
            "eventDetailInformation": [{"eventDetail": self.detail}],
            "eventOutcomeInformation": [outcome],
            "linkingAgentIdentifier": [
                {
                    "linkingAgentIdentifierType": "software",
                    "linkingAgentIdentifierValue": self.agent,
                    "linkingAgentRole": [_term("eventRelatedAgentRole", "exe", "executing program")],
                }
            ],
            "linkingObjectIdentifier": [each.as_json() for each in self.objects],
        }


def _term(vocabulary: str, code: str, label: str) -> dict[str, str]:
    """Return a term as PREMIS' XML has it: its text, and the attributes that say what it means."""
    uri = f"{VOCABULARY}/{vocabulary}"
    return {"value": label, "authority": vocabulary, "authorityURI": uri, "valueURI": f"{uri}/{code}"}
