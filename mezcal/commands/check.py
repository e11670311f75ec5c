"""`mezcal check`: whether everything that is needed is there and fit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.checks import Check, CheckFailed, Severity, essentials, local_machine, origins
from mezcal.commands.arguments import add_data_dir, settings_of
from mezcal.commands.terminal.exit_codes import OK, PROBLEMS
from mezcal.jobs import Jobs
from mezcal.settings.typos import find_typos, given_names
from mezcal.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mezcal.checks import Finding
    from mezcal.settings import Settings

DESCRIPTION = """\
Check settings, secrets, repository, broker, workers, store, decoders and clocks. Prints one line for each, with
advice where something is wrong. It changes nothing, except that it creates the folder of the cache. Run it as the
user that mezcal runs as, with the same environment.

example: mezcal check books/1/page.tif"""

EXIT_CODES = "exit codes: 0 nothing is wrong, warnings included; 1 a check failed."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("path", nargs="?", metavar="PATH", help="a master to request from the repository")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check, and tell; the exit code."""
    findings = []
    for finding in _findings(options):
        findings.append(finding)
        if not options.json:
            print(_line(finding), flush=True)
    failed = any(finding.level is Severity.FAILED for finding in findings)
    if options.json:
        told = [asdict(finding) | {"seconds": round(finding.seconds, 4)} for finding in findings]
        print(json.dumps({"status": "failed" if failed else "ok", "checks": told}, indent=1))
    return PROBLEMS if failed else OK


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    """Each finding as soon as it is there. With settings that cannot be read there is nothing else to look at."""
    read: list[Settings] = []

    def settings() -> str:
        read.append(settings_of(options))
        given = len(read[0].model_fields_set)
        told = f"{given} given" + (", .env read" if Path(".env").is_file() else ", there is no .env here")
        if odd := find_typos(given_names()):
            raise CheckFailed("; ".join((told, *odd)), level=Severity.WARNING)
        return told

    first = Check("settings", settings, "docs/configuration.md has what each may hold").finding()
    yield first
    if first.level is not Severity.FAILED:
        yield from _asked(read[0], options.path)
        yield from _of_broker(read[0])
        yield from _here(read[0])


def _asked(settings: Settings, path: str | None) -> Iterator[Finding]:
    yield local_machine.secrets().finding()
    yield origins.origin(settings).finding()
    if path is not None:
        yield origins.master(settings, path).finding()
    if settings.archive_api_url:
        yield origins.archive(settings).finding()


def _of_broker(settings: Settings) -> Iterator[Finding]:
    """Of a broker that is not there nothing else is asked."""
    if settings.redis_url is None:
        yield local_machine.no_broker(settings).finding()
        return
    jobs = Jobs.of(settings)
    broker = essentials.thorough_broker(jobs.broker).finding()
    yield broker
    if broker.level is not Severity.FAILED:
        yield local_machine.clock(jobs.broker).finding()
        yield local_machine.workers(jobs.workers).finding()


def _here(settings: Settings) -> Iterator[Finding]:
    yield essentials.thorough_store(open_store(settings)).finding()
    yield local_machine.scratch(settings).finding()
    yield local_machine.codecs().finding()


def _line(finding: Finding) -> str:
    hint = f" -> {finding.hint}" if finding.hint else ""
    return f"{finding.level:7}  {finding.name:8}  {finding.detail}{hint}"
