"""`mezcal audit`: compares the cache and its masters with what was recorded, and writes PREMIS events."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mezcal.audit import Audit, AuditCounts, MasterAudit
from mezcal.audit.premis import EventOutcome
from mezcal.commands.arguments import add_data_dir, positive_number, settings_of
from mezcal.commands.terminal.exit_codes import INTERRUPTED, OK, PROBLEMS
from mezcal.commands.terminal.interrupts import Interrupts
from mezcal.commands.terminal.printable import printable
from mezcal.commands.terminal.progress_bar import progress_bar
from mezcal.derive import program
from mezcal.errors import BrokerDown, WrongSetting
from mezcal.jobs import Jobs
from mezcal.jobs.origin_guard import origin_paused
from mezcal.origin import open_origin
from mezcal.store.origin_note import own_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mezcal.audit.premis import PremisEvent
    from mezcal.commands.terminal.progress_bar import ProgressBar
    from mezcal.settings import Settings
    from mezcal.settings.origins import NamedOrigin

DESCRIPTION = """\
Compare each cached image with the SHA-256 in its record, and ask the repository whether its master is still the one
that it was made from. The result is written as PREMIS events, a JSON object in each line.

example: mezcal audit --output audit-2027.jsonl --state audit-2027.state"""

EXIT_CODES = """\
exit codes: 0 nothing is damaged; 1 something is damaged or missing, or the repository failed when it was asked;
2 could not be done; 130 ended by Ctrl-C or SIGTERM: with --state, the same command continues."""

RATE = 5.0  # requests per second: a year has time for 150 million
SAVE_SECONDS = 5.0
POLL_SECONDS = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("--full", action="store_true", help="read each master whole and hash it, instead of asking")
    parser.add_argument(
        "--rate",
        type=positive_number,
        default=RATE,
        metavar="N",
        help="ask the repository for at most N masters a second (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="append the events to FILE, instead of printing them"
    )
    parser.add_argument("--state", type=Path, metavar="FILE", help="remember in FILE how far the audit has come")
    add_data_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Audit the cache. Returns the exit code."""
    settings = settings_of(options)
    inventory = own_store(settings).inventory
    masters = MasterAudit(open_origin(settings), Admission(settings, options.rate), full=options.full)
    state = AuditState(options.state)
    audit = Audit(inventory, masters, program(), *state.load())
    interrupts = Interrupts()
    try:
        with _output(options.output) as file, progress_bar("audit") as bar, interrupts.raised():
            _write(audit, file, bar, state)
    except KeyboardInterrupt:
        state.save(audit)
        kept = f"; the same command continues: {state.path} has where" if state.path else ""
        print(f"interrupted: {_summary(audit.counts)}{kept}", file=sys.stderr)
        return INTERRUPTED
    state.remove()
    print(_summary(audit.counts), file=sys.stderr)
    return PROBLEMS if audit.counts.damaged or audit.counts.unanswered else OK


def _write(audit: Audit, file: TextIO, bar: ProgressBar, state: AuditState) -> None:
    saved = time.monotonic()
    for events in audit.events():
        file.write("".join(f"{json.dumps(event.as_json(), ensure_ascii=False)}\n" for event in events))
        _report(events)
        counts = audit.counts
        bar.show(counts.audited, damaged=counts.damaged, unanswered=counts.unanswered)
        if time.monotonic() - saved > SAVE_SECONDS:
            file.flush()  # before the state says that they are written
            state.save(audit)
            saved = time.monotonic()


def _report(events: list[PremisEvent]) -> None:
    """Print what is damaged beside the progress."""
    for event in events:
        if event.outcome is EventOutcome.FAIL:
            print(printable(f"damaged  {event.objects[0].value}: {event.note}", 500), file=sys.stderr)


def _summary(counts: AuditCounts) -> str:
    record = f", {counts.without_record:,} without a record" if counts.without_record else ""
    unanswered = f" ({counts.unanswered:,} because the repository failed)" if counts.unanswered else ""
    compared = f"{counts.not_compared:,} masters not compared{unanswered}"
    return f"{counts.audited:,} audited: {counts.damaged:,} damaged, {compared}{record}"


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("a", encoding="utf-8")
    except OSError as error:
        raise WrongSetting(f"--output {path} cannot be written: {error.strerror}") from None
    with file:
        yield file


class Admission:
    """Lets one request a time pass, at most *rate* a second, and none to an origin that is paused or fully used."""

    def __init__(self, settings: Settings, rate: float) -> None:
        self._jobs = Jobs.of(settings) if settings.redis_url is not None and settings.origins else None
        self._settings = settings
        self._pause = 1 / rate
        self._next = time.monotonic()

    def __call__(self, path: str) -> None:
        """Wait until a request for the master at *path* may be sent.

        Raises `OriginPaused` if its origin is paused and there are others, which the audit goes on with.
        """
        time.sleep(max(0.0, self._next - time.monotonic()))
        origin = self._settings.origin_of(path)
        while origin is not None and not self._is_free(origin):
            time.sleep(POLL_SECONDS)
        self._next = time.monotonic() + self._pause

    def _is_free(self, origin: NamedOrigin) -> bool:
        """Return True if *origin* gets requests now. Without Redis that is unknown, and no job reads from it."""
        if self._jobs is None or not origin.limits_name:
            return True
        try:
            circuit = self._jobs.circuit(origin.limits_name)
        except BrokerDown:
            return True
        if circuit.state == "open" and self._settings.origins_file:
            raise origin_paused(circuit.seconds)
        places = origin.settings.origin_concurrency
        return circuit.state != "open" and not (places and circuit.places_taken >= places)


class AuditState:
    """The file *path* that has how far an audit has come, and its counts; None for an audit that cannot continue."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def load(self) -> tuple[str, AuditCounts]:
        """Return where to continue, "" at the beginning. Raises `WrongSetting` if the file is not one of an audit."""
        if self.path is None or not self.path.exists():
            return "", AuditCounts()
        try:
            values = json.loads(self.path.read_text(encoding="utf-8"))
            return str(values["cursor"]), AuditCounts(**values["counts"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "name another file, or delete it to begin again"
            raise WrongSetting(f"--state {self.path} is not the state of an audit: {error}", hint) from None

    def save(self, audit: Audit) -> None:
        """Replace the file in one step."""
        if self.path is None:
            return
        values = {"cursor": audit.cursor, "counts": asdict(audit.counts_at_cursor)}
        draft = self.path.with_name(f"{self.path.name}.new")
        try:
            draft.write_text(json.dumps(values), encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            raise WrongSetting(f"--state {self.path} cannot be written: {error.strerror}") from None

    def remove(self) -> None:
        """Remove the file: the audit has ended."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
