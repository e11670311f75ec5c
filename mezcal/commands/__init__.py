"""The commands beside `mezcal up`, a module each: `add` puts it into the parser, what it does imports late.

A wrong setting or a failure that a command does not settle itself ends it with one line and exit code 2.
"""

from __future__ import annotations

from mezcal.commands import cache, check, failures, purge, secrets, warm
from mezcal.commands.roles import api, beat, flower, healthy, worker

COMMANDS = (
    warm,
    purge,
    failures,
    cache,
    check,
    api,
    worker,
    beat,
    flower,
    healthy,
    secrets,
)  # in the order of --help
