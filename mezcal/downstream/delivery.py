"""Tells one hook of the changes that are due."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mezcal.downstream.hooks import HookFailed
from mezcal.downstream.http_hooks import CantaloupeHook, PurgeHook, WebhookHook
from mezcal.settings.downstream.address import CANTALOUPE, CLOUDFRONT, PURGE

if TYPE_CHECKING:
    from mezcal.downstream.hooks import Hook
    from mezcal.jobs.bulk.downstream import Change, Downstream
    from mezcal.settings import Settings
    from mezcal.settings.downstream.address import HookAddress
    from mezcal.store import Store

log = logging.getLogger(__name__)

TAKEN = 20  # changes, unless the hook is notified of more at once
HELD_SECONDS = 60.0  # for which nobody else may deliver them
RUN_SECONDS = 25.0  # after which the rest is given back: one more delivery may take some requests of ten seconds
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
    return WebhookHook(address, settings.downstream_secret, lambda recipe: store.find(recipe) is not None)


class HookDelivery:
    """Tells the hook at *address* of the *changes* that wait for it."""

    def __init__(self, address: HookAddress, hook: Hook, changes: Downstream) -> None:
        self._address, self._hook, self._changes = address, hook, changes
        self._failures = 0

    def run(self) -> bool:
        """Tell of some changes. Returns True if there may be more, and the hook accepts them.

        Raises `BrokerDown`, and `StoreDown` if it must know what is stored: the changes are notified of later then.
        """
        self._failures = 0
        taken = self._changes.take(self._address.name, max(TAKEN, self._hook.most), HELD_SECONDS)
        ends = time.monotonic() + RUN_SECONDS
        wanted = [change for change in taken if self._concerns(change)]
        while wanted:
            group, wanted = wanted[: self._hook.most], wanted[self._hook.most :]
            if not self._notify(group) or time.monotonic() > ends:
                self._release(wanted)
                return False
        return bool(taken)

    def _concerns(self, change: Change) -> bool:
        profiles = self._address.profiles
        if profiles and change.recipe.profile.name not in profiles:
            self._changes.delivered(self._address.name, change, 0)
            return False
        return True

    def _notify(self, group: list[Change]) -> bool:
        """Tell of *group*. Returns False if the hook is to be left alone."""
        try:
            self._hook.notify(group)
        except HookFailed as error:
            return self._failed(group, error)
        for change in group:
            self._changes.delivered(self._address.name, change, self._address.again)
            log.info("%s was notified that %s has changed", self._address.shown, change.recipe.label)
        self._failures = 0
        self._changes.recovered(self._address.name)
        return True

    def _failed(self, group: list[Change], error: HookFailed) -> bool:
        self._failures += 1
        rests = error.unreachable or self._failures >= FAILURES_IN_A_ROW
        pause = self._changes.rest(self._address.name, error.reason) if rests else 0.0
        log.warning("%d changes are sent later: %s", len(group), error.reason)
        for change in group:
            if time.time() - change.since > PATIENCE_SECONDS:
                self._changes.give_up(self._address.name, change, error.reason)
            else:
                self._changes.delay(self._address.name, change, error.reason, max(pause, _pause(change, error)))
        return not rests

    def _release(self, rest: list[Change]) -> None:
        for change in rest:
            self._changes.release(self._address.name, change)


def _pause(change: Change, error: HookFailed) -> float:
    """Return the seconds before *change* is tried again. An unreachable hook is no fault of the change."""
    return 0.0 if error.unreachable else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(change.attempts, 10))
