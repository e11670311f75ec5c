"""What needs a person now, for the beginning of the operator's page."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mezcal.errors import BrokerDown
from mezcal.notices.conditions import WORKERS_SILENT, present, without_broker
from mezcal.notices.rounds import KnownCondition

if TYPE_CHECKING:
    from api.context import ApiContext
    from mezcal.notices.conditions import Condition


def needs(context: ApiContext) -> list[KnownCondition]:
    """Return what needs a person now, since when it is known to; the since of what no worker has seen yet is 0."""
    jobs, store, settings = context.jobs, context.store, context.settings
    try:
        records = {name: KnownCondition.of(record) for name, record in jobs.notices.read().items()}
        conditions = present(jobs, store, settings, set(records))
    except BrokerDown:
        records, conditions = {}, without_broker(store, settings)
    return [shown for condition in conditions if (shown := _shown(condition, records.get(condition.name)))]


def _shown(condition: Condition, record: KnownCondition | None) -> KnownCondition | None:
    """Return *condition* with its time, None if it may pass by itself. Without workers that time is unknown."""
    known = KnownCondition(condition, record.since if record else 0)
    passes = condition.grace and condition.name != WORKERS_SILENT
    if passes and (record is None or not known.needs_a_person(time.time())):
        return None
    return known
