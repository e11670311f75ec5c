"""`mezcal flower`: the dashboard by itself; beyond this machine only with a password."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mezcal.commands.common import add_place, near

if TYPE_CHECKING:
    import argparse

FLOWER = """\
Show workers and tasks in a browser, in the foreground. FLOWER_BASIC_AUTH, as user:password, or FLOWER_BASIC_AUTH_FILE,
which names a file with it, says who may look; without it the dashboard listens on loopback only. Its /metrics and
/healthcheck ask for no password: leave the port on an internal network all the same."""
AUTH = "FLOWER_BASIC_AUTH"


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    flower = commands.add_parser("flower", help="run the dashboard, for an installation of several", description=FLOWER)
    add_place(flower, 5555)
    flower.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Become Flower."""
    from mezcal import roles  # noqa: PLC0415 - --help needs none of it
    from mezcal.jobs.server import redis_url  # noqa: PLC0415
    from mezcal.settings import WrongSetting, load  # noqa: PLC0415

    settings = load()
    redis_url(settings)  # refuses to start without, in one line
    env = with_auth(dict(os.environ))
    if not (env.get(AUTH) or is_loopback(options.host)):
        raise WrongSetting(f"{AUTH} is unset: {options.host} is more than this machine, so say user:password")
    state = settings.data_dir.absolute() / "flower"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv = roles.flower(options.host, options.port, state / "state")
    return roles.become(argv, roles.Sign(url=f"{near(options.host, options.port)}/healthcheck"), env)


def with_auth(env: dict[str, str]) -> dict[str, str]:
    """*env*, with the credentials that FLOWER_BASIC_AUTH_FILE names: Flower itself reads no such file."""
    from mezcal.settings import WrongSetting  # noqa: PLC0415

    named = env.get(f"{AUTH}_FILE")
    if not named or env.get(AUTH):
        return env
    try:
        return {**env, AUTH: Path(named).read_text(encoding="utf-8").strip()}
    except OSError as error:
        raise WrongSetting(f"{AUTH}_FILE names {named}: {error.strerror}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at *host*."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
