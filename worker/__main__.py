"""The program of a worker: Celery's worker without the `celery` command.

That command imports all others of Celery, and Flower: 0.2 s of each start, and 13 MB in each worker.
"""

from __future__ import annotations

import argparse
import sys
import warnings

from celery.platforms import SecurityWarning
from celery.utils.nodenames import host_format

from worker.app import app


def main() -> int:
    """Run a worker until a signal ends it. Returns the exit code."""
    options = parser().parse_args()
    warnings.simplefilter("ignore", SecurityWarning)  # `mezcal up` says it in one line, and `mezcal check`
    running = app.Worker(
        hostname=host_format(options.hostname),
        pool_cls="prefork",
        concurrency=options.concurrency,
        queues=options.queues,
        loglevel=options.loglevel,
        quiet=True,  # no banner in the log
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,  # it would wait for an absent broker in the event loop, for ever; housekeeping sends it
    )
    running.start()
    return int(running.exitcode or 0)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the options, which are named as those of `celery worker`."""
    options = argparse.ArgumentParser(prog="python -m worker", allow_abbrev=False)
    options.add_argument("--concurrency", type=int, required=True, help="number of pool processes")
    options.add_argument("--queues", required=True, help="the queues in strict order, with commas between them")
    options.add_argument("--hostname", required=True, help="name of the node; %%h is the name of the host")
    options.add_argument("--loglevel", default="INFO")
    return options


if __name__ == "__main__":
    sys.exit(main())
