"""What several commands ask of their options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.settings import Settings


def add_data_dir(command: argparse.ArgumentParser) -> None:
    """Let *command* be pointed at one `mezcal up` of several."""
    command.add_argument("--data-dir", type=Path, metavar="DIR", help="of the `mezcal up` to ask, without REDIS_URL")


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings of the installation that *options* mean; raises `WrongSetting`."""
    from mezcal.runtime.up.remembered_options import settings_beside  # noqa: PLC0415 - --help needs none of it

    return settings_beside(**({"data_dir": options.data_dir} if options.data_dir else {}))


def at_least_one(text: str) -> int:
    """An option's whole number above 0."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def add_place(command: argparse.ArgumentParser, port: int) -> None:
    """Let *command* be told where to listen."""
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    command.add_argument("--port", type=_port, default=port, help="(default: %(default)s)")


def near(host: str, port: int) -> str:
    """The URL at which this machine reaches what listens at *host*: a wildcard by its loopback address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError(f"{text} is no port: 1 to 65535")
    return number


def add_lists(command: argparse.ArgumentParser) -> None:
    """Let *command* read masters from lists; `opened` gives them."""
    command.add_argument(
        "--from",
        dest="lists",
        action="append",
        default=[],
        type=_readable,
        metavar="FILE",
        help="a list of masters, one a line; - is stdin",
    )


def opened(name: str) -> Any:
    """The list *name*; bytes that are no UTF-8 are kept, and refused as a path."""
    return open(0 if name == "-" else name, encoding="utf-8", errors="surrogateescape", newline="\n")  # noqa: PTH123


def path_of(settings: Settings) -> Callable[[str], str | None]:
    """What knows the path of a URL of the repository; without REPO_BASE_URL there are no such URLs."""
    from mezcal.origin import open_origin  # noqa: PLC0415

    return open_origin(settings).path_of if settings.repo_base_url else lambda _: None


def _readable(name: str) -> str:
    if name != "-" and not (os.access(name, os.R_OK) and not Path(name).is_dir()):
        raise argparse.ArgumentTypeError(f"{name} is no file that can be read")
    return name
