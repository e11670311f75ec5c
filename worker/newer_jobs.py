"""Jobs that a newer version has queued during an upgrade, of recipes that this version does not know."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from mezcal.jobs.state.leases import Lease
from mezcal.recipe import known_recipe

if TYPE_CHECKING:
    from mezcal.jobs import Claim
    from mezcal.jobs.state.table import JobTable

log = logging.getLogger(__name__)

LEFT_SECONDS = 2.0  # until a worker may begin the job again, at least: a client may wait for it
LEFT_SECONDS_MAX = 60.0  # at most
LEFT_SHARE = 0.1  # of the job's age: after a return to the older version, such jobs must not keep its workers busy


def left_to_newer(claim: Claim, table: JobTable) -> bool:
    """Give the job back, without counting the attempt, if this version does not know its recipe. Returns True then.

    A recipe is not known either if it is read as another one: this version would make the wrong derivative.
    """
    recipe = known_recipe(claim.recipe)
    if recipe is not None and recipe.key == claim.key:
        return False
    record = table.read(claim.key)
    age = 0.0 if record is None else time.time() - record.asked
    log.warning("the job %s is left to a worker of a newer version: its recipe is not known here", claim.key)
    with Lease(table, claim).kept() as lease:
        lease.delay(min(max(LEFT_SECONDS, LEFT_SHARE * age), LEFT_SECONDS_MAX))
    return True
