"""The hooks of DOWNSTREAM_URLS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed
from mezcal.downstream.delivery import open_hook
from mezcal.downstream.hooks import HookFailed
from mezcal.store import open_store

if TYPE_CHECKING:
    from mezcal.settings import Settings
    from mezcal.settings.downstream.address import HookAddress

HINT = "check its URL in DOWNSTREAM_URLS: host, port, user and password; docs/downstream.md has examples"


def hook_check(settings: Settings, hook: HookAddress) -> Check:
    """Check that *hook* can be reached. Nothing is purged."""
    return Check("hook", partial(_check_hook, settings, hook), HINT)


def _check_hook(settings: Settings, hook: HookAddress) -> str:
    try:
        return open_hook(hook, settings, open_store(settings)).probe()
    except HookFailed as error:
        raise CheckFailed(error.reason) from error
