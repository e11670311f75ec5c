"""Decides which notices are due, and remembers which were delivered.

A notice goes out when a condition begins to need a person, once a day while it lasts, and when it is over. The record
in Redis is written after the delivery: a worker that ends in between repeats the notice, with the same id.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from mezcal.notices.conditions import Condition
from mezcal.notices.delivery import NotDelivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.jobs import NoticeState

log = logging.getLogger(__name__)

REPEAT_SECONDS = 86_400.0
TEST = Condition("test", "This is a test: nothing is wrong.", "Nothing.", "components", "docs/notices.md")


@dataclass(frozen=True, slots=True)
class KnownCondition:
    """A condition that holds *since* then. *sent* is when its last notice was delivered, 0 before the first one."""

    condition: Condition
    since: float
    sent: float = 0

    @classmethod
    def of(cls, record: dict[str, Any]) -> Self:
        """Return what `as_json` made a record of."""
        return cls(Condition(**record["condition"]), record["since"], record["sent"])

    def as_json(self) -> dict[str, Any]:
        """Return the record of it."""
        return asdict(self)

    def needs_a_person(self, now: float) -> bool:
        """Return True if it has lasted long enough."""
        return now - self.since >= self.condition.grace

    def is_due(self, now: float) -> bool:
        """Return True if a notice is due: the first one, or that of a new day."""
        return self.needs_a_person(now) and now - self.sent >= REPEAT_SECONDS


class NoticeRound:
    """One look at what holds now. *deliver* gets the id and the text of a notice, None if there is no receiver."""

    def __init__(
        self, state: NoticeState, deliver: Callable[[str, bytes], str] | None, public_url: str, now: float
    ) -> None:
        self._state, self._deliver, self._public_url, self._now = state, deliver, public_url, now

    def run(self, conditions: list[Condition]) -> bool:
        """Record *conditions*, and deliver what is due. Returns False if a delivery failed: that ends the round, and
        the next one repeats it. Raises `BrokerDown`.
        """
        known = {name: KnownCondition.of(record) for name, record in self._state.read().items()}
        held = {condition.name: self._held(condition, known.get(condition.name)) for condition in conditions}
        for name, record in held.items():
            self._state.save(name, record.as_json())
        over = [record for name, record in known.items() if name not in held]
        try:
            self._report_over(over)
            self._report_due(list(held.values()))
        except NotDelivered as error:
            log.warning("a notice is sent again in a few minutes: %s", error)
            return False
        return True

    def _held(self, condition: Condition, known: KnownCondition | None) -> KnownCondition:
        return KnownCondition(condition, known.since if known else self._now, known.sent if known else 0)

    def _report_over(self, records: list[KnownCondition]) -> None:
        for record in records:
            if record.sent and self._deliver is not None:
                self._deliver(*notice(record, "over", self._public_url, self._now))
            self._state.remove(record.condition.name)

    def _report_due(self, records: list[KnownCondition]) -> None:
        for record in records:
            if self._deliver is None or not record.is_due(self._now):
                continue
            self._deliver(*notice(record, "lasts" if record.sent else "begun", self._public_url, self._now))
            sent = KnownCondition(record.condition, record.since, self._now)
            self._state.save(record.condition.name, sent.as_json())
            log.warning("a notice was delivered: %s", record.condition.name)


def notice(record: KnownCondition, state: str, public_url: str, now: float) -> tuple[str, bytes]:
    """Return the id and the text of a notice. A repeated delivery of the same notice has the same id."""
    condition = record.condition
    words = f"{condition.name} {record.since} {record.sent} {state}"
    body = {
        "type": "mezcal.notice",
        "timestamp": _rfc3339(now),
        "data": {
            "name": condition.name,
            "state": state,
            "since": _rfc3339(record.since),
            "sentence": f"Over: {condition.sentence}" if state == "over" else condition.sentence,
            "next_step": "Nothing." if state == "over" else condition.step,
            "url": f"{public_url.rstrip('/')}/ops#{condition.section}",
            "documentation": condition.page,
        },
    }
    return f"notice_{hashlib.sha256(words.encode()).hexdigest()[:32]}", json.dumps(body).encode()


def trial_notice(public_url: str, now: float) -> tuple[str, bytes]:
    """Return the id and the text of a notice that says that it is a test."""
    return notice(KnownCondition(TEST, now), "test", public_url, now)


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
