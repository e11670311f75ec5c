"""`mezcal check`: whether everything that is needed is there and fit."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, settings_of
from mezcal.commands.exit_codes import UNWELL, WELL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.checks import Finding
    from mezcal.settings import Settings

DESCRIPTION = """\
Look at configuration, secrets, repository, broker, workers, store, decoders and clocks: a line each, and what to do
where something is wrong. It changes nothing, but makes the cache's folder if there is none. Run it as the user that
mezcal runs as, with the same environment."""

EXIT_CODES = "exit codes: 0 all is well, warnings included; 1 a check failed."


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    check = commands.add_parser(
        "check",
        help="see whether everything needed is there and fit",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("path", nargs="?", metavar="PATH", help="a master to ask the repository for")
    check.add_argument("--json", action="store_true", help="as JSON")
    add_data_dir(check)
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check, and tell; the exit code."""
    from mezcal.checks import Severity  # noqa: PLC0415 - --help needs none of it

    findings = []
    for finding in _findings(options):
        findings.append(finding)
        if not options.json:
            print(_line(finding), flush=True)
    failed = any(finding.level is Severity.FAILED for finding in findings)
    if options.json:
        told = [asdict(finding) | {"seconds": round(finding.seconds, 4)} for finding in findings]
        print(json.dumps({"status": "failed" if failed else "ok", "checks": told}, indent=1))
    return UNWELL if failed else WELL


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    """Each finding as soon as it is there. With settings that cannot be read there is nothing else to look at."""
    from mezcal.checks import Check, CheckFailed, Severity  # noqa: PLC0415
    from mezcal.settings.typos import given_names, strangers  # noqa: PLC0415

    read: list[Settings] = []

    def settings() -> str:
        read.append(settings_of(options))
        given = len(read[0].model_fields_set)
        told = f"{given} given" + (", .env read" if Path(".env").is_file() else ", there is no .env here")
        if odd := strangers(given_names()):
            raise CheckFailed("; ".join((told, *odd)), level=Severity.WARNING)
        return told

    first = Check("settings", settings, "docs/configuration.md has what each may hold").finding()
    yield first
    if first.level is not Severity.FAILED:
        yield from _asked(read[0], options.path)
        yield from _of_broker(read[0])
        yield from _here(read[0])


def _asked(settings: Settings, path: str | None) -> Iterator[Finding]:
    from mezcal.checks import local_machine, origins  # noqa: PLC0415

    yield local_machine.secrets().finding()
    yield origins.origin(settings).finding()
    if path is not None:
        yield origins.master(settings, path).finding()
    if settings.archive_api_url:
        yield origins.archive(settings).finding()


def _of_broker(settings: Settings) -> Iterator[Finding]:
    """Of a broker that is not there nothing else is asked."""
    from mezcal.checks import Severity, essentials, local_machine  # noqa: PLC0415
    from mezcal.jobs import JobPolicy, JobTable, Keys  # noqa: PLC0415
    from mezcal.jobs.transport.celery_pipe import connect  # noqa: PLC0415

    if settings.redis_url is None:
        yield local_machine.no_broker(settings).finding()
        return
    table = JobTable(connect(settings), Keys(settings.key_prefix), JobPolicy.of(settings))
    broker = essentials.thorough_broker(table.redis).finding()
    yield broker
    if broker.level is not Severity.FAILED:
        yield local_machine.clock(table.redis).finding()
        yield local_machine.workers(table).finding()


def _here(settings: Settings) -> Iterator[Finding]:
    from mezcal.checks import essentials, local_machine  # noqa: PLC0415
    from mezcal.store import open_store  # noqa: PLC0415

    yield essentials.thorough_store(open_store(settings)).finding()
    yield local_machine.scratch(settings).finding()
    yield local_machine.codecs().finding()


def _line(finding: Finding) -> str:
    hint = f" -> {finding.hint}" if finding.hint else ""
    return f"{finding.level:7}  {finding.name:8}  {finding.detail}{hint}"
