"""The commands beside `mezcal up`, a module each: `add` puts it into the parser, what it does imports late.

A wrong setting or a failure that a command does not settle itself ends it with one line and exit code 2.
"""

from __future__ import annotations

from mezcal.commands import cache, check, failures, purge, warm

COMMANDS = (warm, purge, failures, cache, check)  # in the order of `mezcal --help`
