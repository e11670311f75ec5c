"""`mezcal warm`: have derivatives made before anybody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.commands.common import add_data_dir, at_least_one, settings_of

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    warm = commands.add_parser(
        "warm",
        help="have thumbnails made before anybody asks",
        description="Queue the sizes of THUMBNAIL_SIZES of the archive's frames, in bulk, and say what came of each.",
    )
    warm.add_argument("--frames", nargs="+", type=at_least_one, required=True, metavar="ID", help="frames' ids")
    add_data_dir(warm)
    warm.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Queue what is missing; the exit code."""
    from mezcal.jobs import Jobs  # noqa: PLC0415 - --help needs none of it
    from mezcal.store import open_store  # noqa: PLC0415
    from mezcal.warm import Warming  # noqa: PLC0415

    settings = settings_of(options)
    for told in Warming(settings, Jobs.of(settings), open_store(settings)).frames(options.frames):
        print(told)
    return 0
