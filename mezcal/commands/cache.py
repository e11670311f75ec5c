"""`mezcal cache`: shows the size of the cache, trims it, verifies it, hands it back to umd-lib/mezcal."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, at_least_one, settings_of
from mezcal.commands.cache_report import CacheReport
from mezcal.commands.in_use import refuse_if_running
from mezcal.runtime.up.options import origin_url
from mezcal.settings.units import bytes_of
from mezcal.store import origin_note

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION = """\
Show how much is cached, evict what is least recently used, compare the images with their sidecars, keep the cache
of masters that have another address now, or give it back to umd-lib/mezcal.

example: mezcal cache trim --to 500GB --dry-run"""

EXIT_CODES = """\
exit codes: 0 done, nothing is wrong; 1 the bound could not be reached, or a defect or a foreign file is left;
2 could not be done."""

PROBLEMS_OF = {  # what exit code 1 means for a command, if it has one
    "trim": "the bound could not be reached",
    "verify": "a defect is left",
    "hand-back": "an image.json that is not mezcal's is left",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the commands of `mezcal cache` to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    stats = _add(commands, "stats", "show how much there is, how old it is, and the bounds", _stats)
    stats.add_argument("--count", action="store_true", help="count now, instead of showing the last count")
    trim = _add(commands, "trim", "evict what was least recently used, until the bounds are kept", _trim)
    trim.add_argument("--to", type=_bytes, metavar="BYTES", help="as 500GB or 20GiB, instead of the settings' bounds")
    trim.add_argument("--dry-run", action="store_true", help="only show what would be evicted")
    verify = _add(commands, "verify", "compare each image with its sidecar, and find files left over", _verify)
    verify.add_argument("--mend", action="store_true", help="remove what is wrong: the next request makes it again")
    verify.add_argument("--sample", type=at_least_one, metavar="N", help="verify only N images, chosen at random")
    hand_back = _add(
        commands, "hand-back", "remove mezcal's own files, before umd-lib/mezcal uses the cache", _hand_back
    )
    hand_back.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    adopt = _add(commands, "adopt", "keep the cache of masters that have another address now", _adopt)
    adopt.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="their cache in DATA_DIR, renamed")
    adopt.add_argument("--origin", metavar="URL|DIR", help="where the masters are now, instead of REPO_BASE_URL")


def _add(commands: Any, name: str, summary: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    description = f"{summary[0].upper()}{summary[1:]}."
    problems = f"1 {PROBLEMS_OF[name]}; " if name in PROBLEMS_OF else ""
    codes = f"exit codes: 0 done; {problems}2 could not be done."
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=description, epilog=codes)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_data_dir(parser)
    parser.set_defaults(run=run)
    return parser


def _bytes(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} {error}") from error


def _stats(options: argparse.Namespace) -> int:
    return CacheReport(settings_of(options), as_json=options.json).stats(count=options.count)


def _trim(options: argparse.Namespace) -> int:
    return CacheReport(settings_of(options), as_json=options.json).trim(options.to, dry_run=options.dry_run)


def _verify(options: argparse.Namespace) -> int:
    return CacheReport(settings_of(options), as_json=options.json).verify(options.sample, mend=options.mend)


def _hand_back(options: argparse.Namespace) -> int:
    settings = settings_of(options)
    refuse_if_running(settings)
    return CacheReport(settings, as_json=options.json).hand_back(dry_run=options.dry_run)


def _adopt(options: argparse.Namespace) -> int:
    given = {"repo_base_url": origin_url(options.origin)} if options.origin else {}
    settings = settings_of(options, **given)
    if options.folder is not None:
        refuse_if_running(settings)  # it may be the cache that is in use
    adoption = origin_note.adopt(settings, options.folder)
    print(json.dumps(asdict(adoption)) if options.json else adoption)
    return 0
