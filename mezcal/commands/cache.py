"""`mezcal cache`: what the cache holds, making it smaller, and whether what it holds is sound."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, at_least_one, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_CODES = (
    "exit codes: 0 done, or nothing is wrong; 1 the bound was not reached, or a fault is left; 2 it cannot be done"
)


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    cache = commands.add_parser("cache", help="look at the cache, trim it, verify it", epilog=EXIT_CODES)
    wishes = cache.add_subparsers(metavar="WISH", required=True)
    stats = _wish(wishes, "stats", "how much there is, how old, and what the bounds are", _stats)
    stats.add_argument("--count", action="store_true", help="count now, instead of saying what was counted last")
    trim = _wish(wishes, "trim", "evict what was used least lately, until the bounds are kept", _trim)
    trim.add_argument("--to", type=_bytes, metavar="BYTES", help="as 500GB or 20GiB, instead of the settings' bounds")
    trim.add_argument("--dry-run", action="store_true", help="only say what would go")
    verify = _wish(wishes, "verify", "compare each image with its sidecar, and find what is left over", _verify)
    verify.add_argument("--mend", action="store_true", help="remove what is wrong: it is made anew when asked for")
    verify.add_argument("--sample", type=at_least_one, metavar="N", help="look at N images, chosen at random")


def _wish(wishes: Any, name: str, does: str, work: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = wishes.add_parser(
        name, help=does, description=f"Say {does}." if name == "stats" else None, epilog=EXIT_CODES
    )
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    add_data_dir(parser)
    parser.set_defaults(run=work)
    return parser


def _bytes(text: str) -> int:
    from mezcal.settings.units import bytes_of  # noqa: PLC0415 - --help needs none of it

    try:
        return bytes_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} {error}") from error


def _stats(options: argparse.Namespace) -> int:
    from mezcal.commands.cache_report import CacheReport  # noqa: PLC0415

    return CacheReport(settings_of(options), as_json=options.json).stats(count=options.count)


def _trim(options: argparse.Namespace) -> int:
    from mezcal.commands.cache_report import CacheReport  # noqa: PLC0415

    return CacheReport(settings_of(options), as_json=options.json).trim(options.to, dry_run=options.dry_run)


def _verify(options: argparse.Namespace) -> int:
    from mezcal.commands.cache_report import CacheReport  # noqa: PLC0415

    return CacheReport(settings_of(options), as_json=options.json).verify(options.sample, mend=options.mend)
