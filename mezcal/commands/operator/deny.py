"""`mezcal deny`: a take-down that lasts, until it is lifted."""

from __future__ import annotations

import argparse
import getpass
import json
import socket
import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from mezcal.commands.arguments import add_data_dir, settings_with_broker
from mezcal.commands.terminal.exit_codes import OK, PROBLEMS
from mezcal.commands.terminal.printable import printable
from mezcal.ingest.denial import REASON_MAX, TakeDown, denied_path
from mezcal.jobs import Jobs
from mezcal.store.denials import Denial, DenialList
from mezcal.store.origin_note import own_store

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION = """\
Deny a master, or a folder that ends with /: nothing made of it is shown or made any more, and what is stored is
removed, here and in caches downstream. It lasts until it is lifted, also if the broker loses its state.

example: mezcal deny books/1/ --reason 'request of the publisher'"""

EXIT_CODES = "exit codes: 0 done; 1 a path to be lifted was not denied; 2 could not be done."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a master, or a folder/")
    parser.add_argument("--until", type=_time, metavar="TIME", help="when it ends, as 2027-01-31 or 2027-01-31T12:00")
    parser.add_argument("--reason", default="", help="why, for operators")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--lift", action="store_true", help="lift the denials of these paths")
    action.add_argument("--list", action="store_true", help="list all denials")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")
    add_data_dir(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(options: argparse.Namespace) -> int:
    """Deny, lift or list. Returns the exit code."""
    if bool(options.paths) == options.list:
        options.refuse("name a PATH to deny or to --lift, or --list alone")
    if len(options.reason) > REASON_MAX:
        options.refuse(f"--reason may have {REASON_MAX} characters")
    settings = settings_with_broker(options)
    store = own_store(settings)
    denials = DenialList(store.inventory)
    if options.list:
        return _list(denials, as_json=options.json)
    take_down = TakeDown(denials, Jobs.of(settings), store)
    paths = [denied_path(path) for path in options.paths]
    return _lift(take_down.lift, paths) if options.lift else _deny(take_down, paths, options)


def _deny(take_down: TakeDown, paths: list[str], options: argparse.Namespace) -> int:
    denials = [Denial(path, time.time(), _who(), options.reason, options.until) for path in paths]
    for denial in denials:
        take_down.deny(denial)
        print(f"denied  {printable(denial.path)}")
    take_down.wait_until_known(max(denials, key=lambda denial: denial.path.endswith("/")))
    return OK


def _lift(lift: Callable[[str, str], bool], paths: list[str]) -> int:
    results = {path: lift(path, _who()) for path in paths}
    for path, lifted in results.items():
        print(f"{'lifted' if lifted else 'not denied'}  {printable(path)}")
    return OK if all(results.values()) else PROBLEMS


def _list(denials: DenialList, *, as_json: bool) -> int:
    found = list(denials.all())
    if as_json:
        print(json.dumps({"denials": [asdict(denial) for denial in found]}, indent=1))
        return OK
    print("\n".join(_line(denial) for denial in found) or "nothing is denied")
    return OK


def _line(denial: Denial) -> str:
    until = f"  until {_local(denial.until)}" if denial.until else ""
    return f"{printable(denial.path)}  {_local(denial.at)}  {printable(denial.by)}{until}  {printable(denial.reason)}"


def _who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def _time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a time, as 2027-01-31 or 2027-01-31T12:00") from None
    if moment <= time.time():
        raise argparse.ArgumentTypeError(f"{text} is in the past")
    return moment


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
