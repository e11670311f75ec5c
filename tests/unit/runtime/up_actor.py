"""Run as a program: a stand-in part that notes what happens to it. Arguments: its name, its oddities."""

import os
import signal
import subprocess
import sys
from pathlib import Path

NAME, *ODD = sys.argv[1:]


def note(event: str) -> None:
    with Path("events").open("a") as file:
        file.write(f"{NAME} {event} {os.getpid()}\n")


def asked_to_stop(*_: object) -> None:
    note("asked")
    if "stubborn" not in ODD:
        note("ended")
        sys.exit(0)


signal.signal(signal.SIGTERM, asked_to_stop)
note("began")
print(f"{NAME} says hello", flush=True)
if "doomed" in ODD:
    print("no such setting: FOO", file=sys.stderr)
    sys.exit(3)
if "parent" in ODD:
    child = subprocess.Popen([sys.executable, __file__, f"{NAME}-child", "stubborn"])
if "late" in ODD:
    while not Path("go").exists():
        signal.sigtimedwait([], 0.01)
Path(f"{NAME}.alive").touch()
note("ready")
while True:
    signal.pause()
