"""The option `--from`: lists of masters, one a line, that a command reads."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from mezcal.ingest.names import MasterNames
from mezcal.origin import open_origin

if TYPE_CHECKING:
    from mezcal.settings import Settings


def add_lists(parser: argparse.ArgumentParser) -> None:
    """Add `--from` to *parser*. `open_list` opens a list that it names."""
    parser.add_argument(
        "--from",
        dest="lists",
        action="append",
        default=[],
        type=_readable,
        metavar="FILE",
        help="a list of masters, one a line; - is stdin",
    )


def add_profiles(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--profile` to *parser*, whose help is *text*."""
    parser.add_argument("--profile", dest="profiles", action="append", default=[], metavar="NAME", help=text)


def open_list(name: str) -> TextIO:
    """Open the list *name*, `-` for stdin. Bytes that are not UTF-8 are kept, and refused later as a path."""
    return open(0 if name == "-" else name, encoding="utf-8", errors="surrogateescape", newline="\n")  # noqa: PTH123


def names_for(settings: Settings) -> MasterNames:
    """Returns what understands the names of masters for the origin of *settings*."""
    return MasterNames(open_origin(settings) if settings.origins else None)


def _readable(name: str) -> str:
    if name != "-" and not (os.access(name, os.R_OK) and not Path(name).is_dir()):
        raise argparse.ArgumentTypeError(f"{name} is not a file that can be read")
    return name
