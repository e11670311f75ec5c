"""`mezcal init`: write an `.env` with the settings that a new installation needs first, each with its meaning."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from mezcal.commands.terminal.exit_codes import OK
from mezcal.errors import CannotStart
from mezcal.runtime.up.options import origin_url
from mezcal.settings import Settings

if TYPE_CHECKING:
    import argparse

WIDTH = 100
EXAMPLES = {  # under each heading the settings that are decided first, with a value to begin from
    "Where the masters are": {
        "repo_base_url": "https://repository.example.edu/rest/",
        "auth_type": "BASIC",
        "repo_username": "mezcal",
        "repo_password": "",
        "jwt_token": "",
        "revalidate_after": "86400",
    },
    "Where the images are kept": {
        "storage_dir": "/srv/mezcal/cache",
        "storage_layout": "basic",
        "cache_max_bytes": "500g",
    },
    "Who sees them, under which name": {
        "public_url": "https://images.example.edu",
        "allowed_hosts": "images.example.edu",
        "trusted_proxies": "192.0.2.10",
        "read_tokens": "",
    },
    "Who may delete, retry and queue": {
        "api_tokens": "",
        "webhook_secrets": "",
    },
    "Clients that are many readers": {
        "client_share_exempt": "127.0.0.0/8,::1,192.0.2.20",
    },
}
INTRODUCTION = """\
Settings of mezcal. It reads this file in the folder that it is started in.
A line that begins with # is not read: remove the # of the settings that you need, and check with `mezcal check`.
A secret can be in a file of its own: JWT_TOKEN_FILE=/run/secrets/jwt_token
{all_settings}"""
PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"  # in a checkout; a wheel has no pages
DESCRIPTION = """\
Write a file .env with the settings that a new installation needs first, each with its meaning. Only its owner may
read it. A file that exists is never changed.

example: mezcal init --origin https://repository.example.edu/rest/"""
EXIT_CODES = "exit codes: 0 the file was written; 2 it was not: it exists, or the folder cannot be written."


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path(".env"), metavar="FILE", help="the file (default: %(default)s)"
    )
    parser.add_argument("--origin", metavar="URL|DIR", help="where the masters are: sets REPO_BASE_URL")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the file. Returns the exit code; raises `CannotStart` if it exists or cannot be written."""
    origin = origin_url(options.origin)
    given = {} if origin is None else {"repo_base_url": origin}
    try:
        descriptor = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CannotStart(f"{options.file} exists and was not changed; name another FILE to compare with it") from error
    except OSError as error:
        raise CannotStart(f"{options.file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text(given))
    print(f"mezcal: wrote {options.file}: fill it in, then run `mezcal check` and `mezcal up` in its folder")
    return OK


def text(given: dict[str, str]) -> str:
    """Returns the content of the file; the settings in *given* are set, all others are comments."""
    parts = [_comment(INTRODUCTION.format(all_settings=_all_settings()))]
    for heading, settings in EXAMPLES.items():
        parts.append(f"\n# --- {heading}\n")
        parts += [_setting(name, example, given.get(name)) for name, example in settings.items()]
    return "".join(parts)


def _all_settings() -> str:
    """Returns where to read more, as this installation has it."""
    if PAGE.is_file():
        return f"All settings: {PAGE}"
    return "All settings: docs/configuration.md in the release's source archive; all commands: mezcal --help"


def _setting(name: str, example: str, value: str | None) -> str:
    line = f"#{name.upper()}={example}" if value is None else f"{name.upper()}={value}"
    return f"\n{_comment(Settings.model_fields[name].description or '')}{line}\n"


def _comment(words: str) -> str:
    lines = (line for paragraph in words.splitlines() for line in textwrap.wrap(paragraph, WIDTH - 2))
    return "".join(f"# {line}\n" for line in lines)
