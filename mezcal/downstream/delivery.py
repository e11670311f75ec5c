"""Tells one hook of the changes that are due."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from mezcal.downstream.hold import HookHold
from mezcal.downstream.hooks import HookFailed
from mezcal.downstream.http_hooks import CantaloupeHook, PurgeHook
from mezcal.downstream.webhook import WebhookHook
from mezcal.recipe import Mezzanine
from mezcal.settings.downstream.address import CANTALOUPE, CLOUDFRONT, PURGE

if TYPE_CHECKING:
    from mezcal.downstream.hooks import Hook
    from mezcal.jobs.bulk.downstream import Change, Downstream
    from mezcal.settings import Settings
    from mezcal.settings.downstream.address import HookAddress
    from mezcal.store import Store

log = logging.getLogger(__name__)

TAKEN = 100  # changes, unless the hook is notified of more at once
AT_ONCE = 4  # deliveries to one hook: of different derivatives
RUN_SECONDS = 20.0  # after which the rest waits for the next run
FAILURES_IN_A_ROW = 3  # after which the hook is left alone for a while
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 600.0  # seconds before one change is tried again
PATIENCE_SECONDS = 86_400.0  # after which a change is given up


def open_hook(address: HookAddress, settings: Settings, store: Store) -> Hook:
    """Return the hook at *address*."""
    if address.kind == CANTALOUPE:
        return CantaloupeHook(address)
    if address.kind == PURGE:
        return PurgeHook(address)
    if address.kind == CLOUDFRONT:
        from mezcal.downstream.cloudfront import CloudFrontHook  # noqa: PLC0415 - botocore takes 20 MB of each process

        return CloudFrontHook(address, settings)
    assert settings.downstream_secret is not None  # checked with the settings
    return WebhookHook(address, settings.downstream_secret, store)


class HookDelivery:
    """Tells the hook at *address* of the *changes* that wait for it."""

    def __init__(self, address: HookAddress, hook: Hook, changes: Downstream) -> None:
        self._address, self._hook, self._changes = address, hook, changes
        self._failures = 0

    def run(self) -> bool:
        """Tell of some changes. Returns True if there may be more, and the hook accepts them.

        It tells of none while another process does. Raises `BrokerDown`, and `StoreDown` if it must know what is
        stored: the changes are notified of later then.
        """
        self._failures = 0
        with HookHold(self._changes, self._address.name) as hold:
            if hold.holder is None:
                return False
            taken = self._changes.take(self._address.name, hold.holder, max(TAKEN, self._hook.most))
            wanted = [change for change in taken if self._concerns(change)]
            return self._tell_all(wanted, hold) and bool(taken)

    def _tell_all(self, wanted: list[Change], hold: HookHold) -> bool:
        """Tell of the *wanted* changes. Returns False if some are left, or the hook is to be left alone."""
        ends = time.monotonic() + RUN_SECONDS
        most = self._hook.most
        groups = [wanted[begin : begin + most] for begin in range(0, len(wanted), most)]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for begin in range(0, len(groups), AT_ONCE):
                if time.monotonic() > ends or not hold.is_held:
                    return False
                if not all(list(threads.map(self._notify, groups[begin : begin + AT_ONCE]))):
                    return False
        return True

    def _concerns(self, change: Change) -> bool:
        recipe, address = change.recipe, self._address
        path = recipe.path if isinstance(recipe, Mezzanine) else ""
        if (not address.profiles or recipe.profile_name in address.profiles) and path.startswith(
            address.prefixes or ""
        ):
            return True
        self._changes.delivered(address.name, change, 0)
        return False

    def _notify(self, group: list[Change]) -> bool:
        """Tell of *group*. Returns False if the hook is to be left alone."""
        try:
            self._hook.notify(group)
        except HookFailed as error:
            return self._failed(group, error)
        for change in group:
            self._changes.delivered(self._address.name, change, self._address.again)
            what = (
                f"the job of {change.recipe.label} has ended" if change.ended else f"{change.recipe.label} has changed"
            )
            log.info("%s was notified that %s", self._address.shown, what)
        self._failures = 0
        self._changes.recovered(self._address.name)
        return True

    def _failed(self, group: list[Change], error: HookFailed) -> bool:
        self._failures += 1
        rests = error.unreachable or self._failures >= FAILURES_IN_A_ROW
        pause = self._changes.rest(self._address.name, error.reason, error.pause) if rests else 0.0
        log.warning("%d changes are sent later: %s", len(group), error.reason)
        for change in group:
            if time.time() - change.since > PATIENCE_SECONDS:
                self._changes.give_up(self._address.name, change, error.reason)
            else:
                self._changes.delay(self._address.name, change, error.reason, max(pause, _pause(change, error)))
        return not rests


def _pause(change: Change, error: HookFailed) -> float:
    """Return the seconds before *change* is tried again. An unreachable hook is no fault of the change."""
    return 0.0 if error.unreachable else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(change.attempts, 10))
