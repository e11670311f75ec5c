"""Run as a program: a supervisor over stand-in parts, as the JSON in its first argument describes them."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from mezcal.runtime.up.log_relay import Journal
from mezcal.runtime.up.parts import Part, Rank
from mezcal.runtime.up.supervisor import Supervisor


def part(folder: Path, described: dict[str, object]) -> Part:
    """A stand-in part; it is ready when it has made its file."""
    name = str(described["name"])
    sign = folder / f"{name}.alive"
    return Part(
        name=name,
        argv=tuple(described["argv"]),  # type: ignore[arg-type]
        env=dict(os.environ),
        cwd=folder,
        ready=sign.exists,
        rank=Rank(int(str(described["rank"]))),
        grace=float(str(described["grace"])),
        leftovers=(sign,),
    )


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup, which supervisors respect
    stage = Path(sys.argv[1])
    parts = [part(stage, described) for described in json.loads(sys.argv[2])]
    sys.exit(Supervisor(parts, Journal(2)).run(lambda: print("everything is ready", flush=True)))
