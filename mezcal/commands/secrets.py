"""`mezcal secrets`: random passwords and keys, a file each, for an installation that has none yet."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

BYTES = 24  # of chance in each
FORMS = {  # the files, and what they hold
    "redis_password": "{}",
    "api_tokens": "{}",
    "url_secret": "{}",
    "flower_basic_auth": "mezcal:{}",
}


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    command = commands.add_parser(
        "secrets",
        help="make the passwords and keys that an installation needs",
        description=f"Write a file with a random secret for each that FOLDER lacks: {', '.join(FORMS)}.",
    )
    command.add_argument("folder", type=Path, metavar="FOLDER", help="what is in it already stays as it is")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write what is missing and say what it was; the exit code."""
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, form in FORMS.items():
        try:
            file = (options.folder / name).open("x", encoding="ascii")
        except FileExistsError:
            continue
        with file:
            file.write(form.format(secrets.token_hex(BYTES)) + "\n")
        (options.folder / name).chmod(0o444)  # who may enter the folder may read: each role has a user of its own
        print(f"mezcal: made {options.folder / name}")
    return 0
