"""`mezcal secrets`: random passwords and keys for a new installation, one file each."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.commands.terminal.exit_codes import OK

if TYPE_CHECKING:
    import argparse

RANDOM_BYTES = 24  # in each secret
TEMPLATES = {  # file name: its content; {} is the secret
    "redis_password": "{}",
    "api_tokens": "{}",
    "url_secret": "{}",
    "flower_basic_auth": "mezcal:{}",
}
DESCRIPTION = f"""\
Write a file with a random secret for each that FOLDER lacks: {", ".join(TEMPLATES)}.
Files that exist stay as they are.

example: mezcal secrets ./secrets"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description = DESCRIPTION
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the files are written; created if needed")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the secrets that are missing and print their files. Returns the exit code."""
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, template in TEMPLATES.items():
        path = options.folder / name
        try:
            file = path.open("x", encoding="ascii")
        except FileExistsError:
            continue
        with file:
            file.write(template.format(secrets.token_hex(RANDOM_BYTES)) + "\n")
        path.chmod(0o444)  # the folder's mode protects it: each role runs as another user and has to read it
        print(f"mezcal: made {path}")
    return OK
