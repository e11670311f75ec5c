"""The worker's app with one chore more, which writes a line each time.

`celery -A tests.faults.support.chore_app worker`
"""

from __future__ import annotations

import os
from pathlib import Path

from worker.app import app
from worker.chores import chore

__all__ = ["app"]


@chore(every=1)
def note() -> None:
    with Path(os.environ["CHORES_DONE"]).open("a") as file:
        file.write(f"{os.getppid()}\n")
