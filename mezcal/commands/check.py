"""`mezcal check`: test what an installation needs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.checks import SETTING_HINT, Check, CheckFailed, Severity
from mezcal.checks.broker import (
    clock_check,
    former_queue_check,
    missing_broker_check,
    thorough_broker_check,
    unusable_broker_check,
    workers_check,
)
from mezcal.checks.downstream import hook_check
from mezcal.checks.local_machine import codecs_check, nginx_check, overcommit_check, secrets_check
from mezcal.checks.notices import notice_check
from mezcal.checks.origins import archive_check, master_check, origin_checks
from mezcal.checks.queues import queue_check
from mezcal.checks.registration import registration_check
from mezcal.checks.store import left_behind_check, scratch_check, server_findings, thorough_store_check
from mezcal.commands.arguments import add_data_dir, settings_of
from mezcal.commands.terminal.exit_codes import OK, PROBLEMS
from mezcal.errors import BrokerDown
from mezcal.jobs import FormerQueue, Jobs
from mezcal.settings.typos import find_typos, given_names
from mezcal.store import open_store
from mezcal.store.origin_note import OriginNote, cache_left_behind

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mezcal.checks import Finding
    from mezcal.settings import Settings

ON_THIS_MACHINE = ("redis+socket://", "unix://")  # how the URL of a broker begins that this machine's memory is for

DESCRIPTION = """\
Check settings, secrets, repository, broker, workers, store, decoders, clocks and nginx. Prints one line for each, with
advice where something is wrong. It changes nothing, except that it creates the folder of the cache. Run it as the
user that mezcal runs as, with the same environment.

example: mezcal check books/1/page.tif"""

EXIT_CODES = "exit codes: 0 nothing is wrong, warnings included; 1 a check failed."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("path", nargs="?", metavar="PATH", help="a master to request from the repository")
    parser.add_argument("--notice", action="store_true", help="send a test notice to NOTICE_URL or NOTICE_COMMAND")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data_dir(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the checks and print each finding. Returns the exit code."""
    findings = []
    for finding in _findings(options):
        findings.append(finding)
        if not options.json:
            print(_line(finding), flush=True)
    failed = any(finding.level is Severity.FAILED for finding in findings)
    if options.json:
        checks = [asdict(finding) | {"seconds": round(finding.seconds, 4)} for finding in findings]
        print(json.dumps({"status": "failed" if failed else "ok", "checks": checks}, indent=1))
    return PROBLEMS if failed else OK


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    """Yield each finding when its check ends. If the settings cannot be read, nothing else is checked."""
    loaded: list[Settings] = []

    def load_settings() -> str:
        loaded.append(settings_of(options))
        return _describe(loaded[0])

    finding = Check("settings", load_settings, SETTING_HINT).run()
    yield finding
    if finding.level is not Severity.FAILED:
        yield from _check_origins(loaded[0], options.path)
        yield from _check_jobs(loaded[0])
        yield from _check_queues(loaded[0])
        yield from _check_machine(loaded[0])
        for hook in loaded[0].hooks:
            yield hook_check(loaded[0], hook).run()
        if options.notice:
            yield notice_check(loaded[0]).run()


def _describe(settings: Settings) -> str:
    detail = f"{len(settings.model_fields_set)} set, " + (".env read" if Path(".env").is_file() else "no .env here")
    detail += f", Redis keys begin with {settings.redis_prefix}"
    if typos := find_typos(given_names()):
        raise CheckFailed("; ".join((detail, *typos)), level=Severity.WARNING)
    return detail


def _check_origins(settings: Settings, path: str | None) -> Iterator[Finding]:
    yield secrets_check().run()
    checks = origin_checks(settings)
    with ThreadPoolExecutor(len(checks)) as pool:  # an origin that does not answer holds up no other
        yield from pool.map(Check.run, checks)
    if path is not None:
        yield master_check(settings, path).run()
    if settings.archive_api_url:
        yield archive_check(settings).run()


def _check_jobs(settings: Settings) -> Iterator[Finding]:
    """Check the broker, and if it answers, its clock and the workers."""
    if settings.redis_url is None:
        yield missing_broker_check(settings).run()
        return
    try:
        jobs = Jobs.of(settings)
    except BrokerDown as unusable:
        yield unusable_broker_check(unusable).run()
        return
    broker = thorough_broker_check(jobs.broker).run()
    yield broker
    if broker.level is not Severity.FAILED:
        yield clock_check(jobs.broker).run()
        yield workers_check(jobs.workers).run()
        former = former_queue_check(FormerQueue.of(settings)).run()
        if former.level is not Severity.OK:
            yield former
        if settings.archive_bucket is not None:
            yield registration_check(jobs.registrations, settings).run()


def _check_queues(settings: Settings) -> Iterator[Finding]:
    for url in settings.listen_urls:
        yield queue_check(settings, url.get_secret_value()).run()


def _check_machine(settings: Settings) -> Iterator[Finding]:
    store = open_store(settings)
    writable = thorough_store_check(store, OriginNote(settings, store)).run()
    yield writable
    if writable.level is not Severity.FAILED:
        yield from server_findings(store)
    if (folder := cache_left_behind(settings)) is not None:
        yield left_behind_check(folder).run()
    yield scratch_check(settings).run()
    yield codecs_check().run()
    if settings.redis_url is not None and settings.redis_url.get_secret_value().startswith(ON_THIS_MACHINE):
        yield overcommit_check().run()
    yield nginx_check(settings).run()


def _line(finding: Finding) -> str:
    hint = f" -> {finding.hint}" if finding.hint else ""
    return f"{finding.level:7}  {finding.name:8}  {finding.detail}{hint}"
