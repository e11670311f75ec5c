"""Damages masters and converts them: `make fuzz`, or `python -m tools.fuzz_masters --seconds 600 --seed 1`.

Conversions run in a child process. If it crashes, the parent saves the master in `build/fuzz`, continues with the next
one, and exits with 1. Seed and number identify a case: `--only 4711` runs that case alone.
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
MEGABYTES_MAX = 1_500  # the largest accepted master that is held whole takes half of it


def main() -> int:
    """Fuzz for the given time. Returns 1 if anything was found."""
    given = arguments()
    if given.child is not None:
        work(given.seed, given.child, given.only)
        return 0
    fuzzer = Fuzzer(given.seed, given.only)
    fuzzer.run(given.seconds)
    print(
        f"seed {given.seed}: {sum(fuzzer.ends.values())} masters in {fuzzer.seconds:.0f} s, {fuzzer.children} processes"
    )
    for end, count in fuzzer.ends.most_common():
        print(f"  {count:7} {end}")
    (slowest, slow_case), (most, large_case) = fuzzer.slowest, fuzzer.most
    print(f"slowest {slowest:.1f} s (case {slow_case}), most memory {most} MB (case {large_case})")
    for number, what in fuzzer.findings.items():
        print(f"FOUND: case {number}: {what}: {FINDINGS / str(given.seed)}-{number}")
    return 1 if fuzzer.findings else 0


def arguments() -> argparse.Namespace:
    """Returns the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", type=int, help="run just the case of this number")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def work(seed: int, first: int, only: int | None) -> None:
    """Convert case after case in the child. Reports each start and end on standard output."""
    with tempfile.TemporaryDirectory() as folder:
        number = first
        while only is None or number == only:
            report(begun=number)
            reset_peak()
            case = Case.of(seed, number)
            report(end=outcome(case, Path(folder)), megabytes=peak(), source=case.source)
            number += 1


def report(**fields: Any) -> None:
    """Send one line to the parent."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def reset_peak() -> None:
    """Reset the peak of resident memory (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int:
    """Returns the peak of resident memory, in megabytes."""
    return int(Path("/proc/self/status").read_text(encoding="ascii").split("VmHWM:")[1].split()[0]) // 1024


@dataclass
class Fuzzer:
    """The parent: runs children, counts how cases end, and saves those with findings."""

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
        """Run child after child until the time has passed, or until the one case is done."""
        self.number = self.only or 0
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0 and (self.only is None or not self.children):
            self._run_child(left)
        self.seconds = time.monotonic() - began

    def _run_child(self, seconds: float) -> None:
        """Run one child for *seconds* at most, or until a master ends it."""
        self.children += 1
        command = [sys.executable, "-m", "tools.fuzz_masters", "--seed", str(self.seed), "--child", str(self.number)]
        command += [] if self.only is None else ["--only", str(self.only)]
        # standard error goes to a file: a full pipe would block the child
        with tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
            try:
                self._follow(child, time.monotonic() + seconds)
            finally:
                child.kill()
                child.wait()
            errors.seek(0)
            sys.stderr.write(errors.read()[-4000:])

    def _follow(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        assert child.stdout is not None
        began = time.monotonic()
        while began < deadline:
            if not select.select([child.stdout], [], [], 2 * SECONDS_MAX)[0]:
                self._found(f"no end after {2 * SECONDS_MAX} s")
                return
            line = child.stdout.readline()
            if not line:
                self._exited(child.wait())
                return
            fields = json.loads(line)
            if "end" in fields:
                self._ended(fields, time.monotonic() - began)
            began = time.monotonic()

    def _ended(self, fields: dict[str, Any], seconds: float) -> None:
        self.slowest = max(self.slowest, (round(seconds, 2), self.number))
        self.most = max(self.most, (fields["megabytes"], self.number))
        if fields["end"].startswith("WRONG") or seconds > SECONDS_MAX or fields["megabytes"] > MEGABYTES_MAX:
            self._found(f"{fields['end']} in {seconds:.1f} s with {fields['megabytes']} MB, of {fields['source']}")
        else:
            self.ends[fields["end"]] += 1
            self.number += 1

    def _exited(self, code: int) -> None:
        if self.only is None or code:
            self._found(f"the process ended with {signal.Signals(-code).name if code < 0 else code}")

    def _found(self, what: str) -> None:
        """Save the case, and continue with the next one."""
        FINDINGS.mkdir(parents=True, exist_ok=True)
        (FINDINGS / f"{self.seed}-{self.number}").write_bytes(Case.of(self.seed, self.number).data)
        self.findings[self.number] = what
        self.ends["FOUND"] += 1
        print(f"case {self.number}: {what}", flush=True)
        self.number += 1


if __name__ == "__main__":
    raise SystemExit(main())
