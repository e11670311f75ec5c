"""What an operator should know of each hook, for the command and the operator's page."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mezcal.recipe import from_json

if TYPE_CHECKING:
    from mezcal.jobs import Jobs
    from mezcal.settings import Settings
    from mezcal.settings.downstream.address import HookAddress


@dataclass(frozen=True, slots=True)
class UndeliveredChange:
    """A change of which a hook was not notified within a day. *at* is when it was given up, in seconds since 1970."""

    label: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class HookReport:
    """One hook: how many changes wait, the *fault* that keeps them waiting *since* then, and what was given up.

    *lost* are the ended jobs that were not kept, because too many waited.
    """

    hook: str
    waiting: int
    fault: str | None
    since: float | None
    failed: list[UndeliveredChange]
    lost: int

    @property
    def is_well(self) -> bool:
        """True if it is notified of changes, and was notified of all."""
        return not (self.fault or self.failed or self.lost)

    def as_json(self) -> dict[str, Any]:
        """Return it as the command prints it."""
        return asdict(self)


def hook_reports(jobs: Jobs, settings: Settings) -> list[HookReport]:
    """Return a report for each hook of DOWNSTREAM_URLS. Raises `BrokerDown`."""
    return [_report(jobs, hook) for hook in settings.hooks]


def retry_all(jobs: Jobs, settings: Settings) -> int:
    """Have all hooks notified at once of what waits and of what was given up. Returns how many were given up."""
    return sum(jobs.downstream.retry(hook.name) for hook in settings.hooks)


def _report(jobs: Jobs, hook: HookAddress) -> HookReport:
    status = jobs.downstream.status(hook.name)
    failed = [
        UndeliveredChange(from_json(json.loads(each["recipe"])).label, each["reason"], each["at"] / 1000)
        for each in jobs.downstream.failed(hook.name)
    ]
    since = status.since if status.fault else None
    return HookReport(hook.shown, status.waiting, status.fault, since, failed, status.lost)
