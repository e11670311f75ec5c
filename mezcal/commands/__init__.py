"""The commands beside `mezcal up`, a module each: `add` puts it into the parser, what it does imports late.

A wrong setting or a failure that a command does not settle itself ends it with one line and exit code 2.
"""

from __future__ import annotations

from mezcal.commands import cache, failures, warm

COMMANDS = (warm, failures, cache)  # in the order of `mezcal --help`
