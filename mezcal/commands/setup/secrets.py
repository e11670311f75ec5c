"""`mezcal secrets`: random passwords and keys for a new installation, one file each."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.commands.terminal.exit_codes import OK

if TYPE_CHECKING:
    import argparse

RANDOM_BYTES = 24  # in each secret
TEMPLATES = {  # file, in a folder for each kind of reader: its content; {} is the secret
    "redis/redis_password": "{}",
    "api/api_tokens": "{}",
    "api/url_secret": "{}",
    "flower/flower_basic_auth": "mezcal:{}",
    "metrics/metrics_token": "{}",
}
READ_BY_GROUP = {"redis/redis_password"}  # Redis runs as another user, who is in this group
DESCRIPTION = f"""\
Write the random secrets that FOLDER lacks, each into a file, in one folder for each role that reads them:
{", ".join(TEMPLATES)}.
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
        path.parent.mkdir(exist_ok=True)
        try:
            file = path.open("x", encoding="ascii")
        except FileExistsError:
            continue
        with file:
            # Without a line end: made into a Kubernetes secret, the file is used as it is, by Prometheus and KEDA too.
            file.write(template.format(secrets.token_hex(RANDOM_BYTES)))
        path.chmod(0o440 if name in READ_BY_GROUP else 0o400)
        print(f"mezcal: made {path}")
    return OK
