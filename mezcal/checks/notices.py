"""Whether a notice arrives."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed
from mezcal.notices.delivery import NotDelivered, deliver
from mezcal.notices.rounds import trial_notice

if TYPE_CHECKING:
    from mezcal.settings import Settings

HINT = "check NOTICE_URL and NOTICE_SECRET, or NOTICE_COMMAND: docs/notices.md"


def notice_check(settings: Settings) -> Check:
    """Send a test notice."""

    def send() -> str:
        try:
            return f"a test notice was sent: {deliver(settings, *trial_notice(settings.public_url or '', time.time()))}"
        except NotDelivered as error:
            raise CheckFailed(str(error)) from error

    return Check("notice", send, HINT)
