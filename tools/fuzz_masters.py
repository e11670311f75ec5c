"""Damages real masters and converts them: `make fuzz`, or `python -m tools.fuzz_masters --seconds 600 --seed 1`.

Conversions run in a child process, so that a crash ends only that; the parent goes on with the next master, keeps
the one that did it in `build/fuzz`, and ends with 1. Seed and number name a case: `--only 4711` runs just that one.
"""

from __future__ import annotations

import argparse
import json
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.damaged import SECONDS_MAX, Case, outcome

FINDINGS = Path("build/fuzz")
MEGABYTES_MAX = 1_500  # the largest that is allowed here, in a format that is held whole, takes half of it


def main() -> int:
    """Fuzz for as long as was asked; 1 if anything was found."""
    given = arguments()
    if given.child is not None:
        work(given.seed, given.child, given.only)
        return 0
    hunt = Hunt(given.seed, given.only)
    hunt.run(given.seconds)
    print(f"seed {given.seed}: {sum(hunt.ends.values())} masters in {hunt.seconds:.0f} s, {hunt.children} processes")
    for end, count in hunt.ends.most_common():
        print(f"  {count:7} {end}")
    print(
        f"slowest {hunt.slowest[0]:.1f} s (case {hunt.slowest[1]}), most memory {hunt.most[0]} MB (case {hunt.most[1]})"
    )
    for number, what in hunt.findings.items():
        print(f"FOUND: case {number}: {what}: {FINDINGS / str(given.seed)}-{number}")
    return 1 if hunt.findings else 0


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", type=int, help="run just the case of this number")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def work(seed: int, first: int, only: int | None) -> None:
    """In the child: convert case after case, and say on standard output what is begun and how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        number = first
        while only is None or number == only:
            say(begun=number)
            forget_peak()
            case = Case.of(seed, number)
            say(end=outcome(case, Path(folder)), megabytes=peak(), source=case.source)
            number += 1


def say(**words: Any) -> None:
    """One line to the parent."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def forget_peak() -> None:
    """Begin to count the peak of resident memory anew (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """The peak of resident memory, in megabytes."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) // 1024


@dataclass
class Hunt:
    """The parent's account."""

    seed: int
    only: int | None = None
    number: int = 0
    children: int = 0
    seconds: float = 0.0
    slowest: tuple[float, int] = (0.0, -1)
    most: tuple[int, int] = (0, -1)
    ends: Counter[str] = field(default_factory=Counter)
    findings: dict[int, str] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        """Child after child until the time is over, or the one case is done."""
        self.number = self.only or 0
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0 and (self.only is None or not self.children):
            self._child(left)
        self.seconds = time.monotonic() - began

    def _child(self, seconds: float) -> None:
        """One child for *seconds* at most, or until a master ends it."""
        self.children += 1
        command = [sys.executable, "-m", "tools.fuzz_masters", "--seed", str(self.seed), "--child", str(self.number)]
        command += [] if self.only is None else ["--only", str(self.only)]
        # a child that says nothing blocks nobody: its complaints go to a file
        with tempfile.TemporaryFile("w+") as told:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=told)  # noqa: S603 - this very file
            try:
                self._follow(child, time.monotonic() + seconds)
            finally:
                child.kill()
                child.wait()
            told.seek(0)
            sys.stderr.write(told.read()[-4000:])

    def _follow(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        assert child.stdout is not None
        began = time.monotonic()
        while began < deadline:
            if not select.select([child.stdout], [], [], 2 * SECONDS_MAX)[0]:
                self._found(f"no end after {2 * SECONDS_MAX} s")
                return
            line = child.stdout.readline()
            if not line:
                self._gone(child.wait())
                return
            words = json.loads(line)
            if "end" in words:
                self._ended(words, time.monotonic() - began)
            began = time.monotonic()

    def _ended(self, words: dict[str, Any], seconds: float) -> None:
        self.slowest = max(self.slowest, (round(seconds, 2), self.number))
        self.most = max(self.most, (words["megabytes"], self.number))
        if words["end"].startswith("WRONG") or seconds > SECONDS_MAX or words["megabytes"] > MEGABYTES_MAX:
            self._found(f"{words['end']} in {seconds:.1f} s with {words['megabytes']} MB, of {words['source']}")
        else:
            self.ends[words["end"]] += 1
            self.number += 1

    def _gone(self, code: int) -> None:
        if self.only is None or code:
            self._found(f"the process ended with {signal.Signals(-code).name if code < 0 else code}")

    def _found(self, what: str) -> None:
        """Keep the case, and go on behind it."""
        FINDINGS.mkdir(parents=True, exist_ok=True)
        (FINDINGS / f"{self.seed}-{self.number}").write_bytes(Case.of(self.seed, self.number).data)
        self.findings[self.number] = what
        self.ends["FOUND"] += 1
        print(f"case {self.number}: {what}", flush=True)
        self.number += 1


if __name__ == "__main__":
    raise SystemExit(main())
