"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.errors import BrokerDown, WrongSetting
from mezcal.runtime.up.remembered_options import settings_with_saved_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from mezcal.settings import Settings

PORT_MAX = 65_535


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Add `--data-dir`, which says which running `mezcal up` the command is for."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="data folder of the running `mezcal up`, if REDIS_URL is not set"
    )


def settings_of(options: argparse.Namespace, **given: Any) -> Settings:
    """Returns the settings of the installation that *options* name, with those *given*. Raises `WrongSetting`."""
    return settings_with_saved_options(**({"data_dir": options.data_dir} if options.data_dir else {}), **given)


def settings_with_broker(options: argparse.Namespace) -> Settings:
    """Returns the settings of the installation that *options* name.

    Raises `BrokerDown` if they name no broker, `WrongSetting` if its keys cannot be known.
    """
    settings = settings_of(options)
    if settings.redis_url is None:
        where = settings.data_dir.absolute()
        detail = f"REDIS_URL is not set, and no `mezcal up` runs in {where}"
        raise BrokerDown(f"{detail}: name the data folder of the one that runs with --data-dir")
    if not settings.origins:
        raise WrongSetting("REPO_BASE_URL is not set: each origin has a queue of its own at REDIS_URL")
    return settings


def add_address(parser: argparse.ArgumentParser, default_port: int) -> None:
    """Add `--host` and `--port`: the address to listen on."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=port, default=default_port, help="port to listen on (default: %(default)s)")


def at_least_one(text: str) -> int:
    """Parse a whole number above 0."""
    number = _whole_number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def at_least_zero(text: str) -> int:
    """Parse a whole number that is not below 0."""
    number = _whole_number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return number


def positive_number(text: str) -> float:
    """Parse a number above 0."""
    if (number := _number(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def up_to(most: float, least: float = 0) -> Callable[[str], float]:
    """Returns a parser of numbers from *least* to *most*."""

    def parse(text: str) -> float:
        if not least <= (number := _number(text)) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:g} to {most:,.0f}")
        return number

    return parse


def whole_up_to(most: int, least: int = 0) -> Callable[[str], int]:
    """Returns a parser of whole numbers from *least* to *most*."""

    def parse(text: str) -> int:
        if not least <= (number := _whole_number(text)) <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most:,}")
        return number

    return parse


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    if not 0 <= (number := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return number


def _number(text: str) -> float:
    """Parse a number. `float` takes "nan" and "inf" for numbers, too."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def port(text: str) -> int:
    """Parse a port from 1 to 65535."""
    return _port(text, 1)


def port_or_any_free(text: str) -> int:
    """Parse a port from 0 to 65535, where 0 stands for any free port."""
    return _port(text, 0)


def _port(text: str, least: int) -> int:
    number = _whole_number(text)
    if not least <= number <= PORT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not a port: {least} to {PORT_MAX}")
    return number


def _whole_number(text: str) -> int:
    """Parse a whole number: argparse itself would show the name of a function."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
