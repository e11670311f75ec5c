"""The chore that sends notices of what needs a person."""

from __future__ import annotations

import time
from functools import partial

from mezcal.notices.conditions import present
from mezcal.notices.delivery import can_deliver, deliver
from mezcal.notices.rounds import NoticeRound
from worker.app import context
from worker.chores import chore

LOOK_SECONDS = 60.0
AFTER_FAILURE_SECONDS = 300.0  # a receiver that hangs holds up a process for seconds, so it is seldom tried


@chore(every=LOOK_SECONDS)
def send_notices() -> None:
    """Look at what needs a person, and send the notices that are due."""
    ctx = context()
    send = partial(deliver, ctx.settings) if can_deliver(ctx.settings) else None
    conditions = present(ctx.jobs, ctx.store, ctx.settings, set(ctx.jobs.notices.read()))
    this_round = NoticeRound(ctx.jobs.notices, send, ctx.settings.public_url or "", time.time())
    if not this_round.run(conditions):
        ctx.jobs.chores.postpone(send_notices.__name__, AFTER_FAILURE_SECONDS)
