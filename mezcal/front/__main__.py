"""Print nginx.conf for the settings of the environment: `python -m mezcal.front [LISTEN] [API] [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from mezcal.front import Front, configuration
from mezcal.settings import load


def main(listen: str = "80", api: str = "api:5000", run: str = "/tmp/nginx") -> None:  # noqa: S108 - nginx makes it
    """Print it for the given places."""
    print(configuration(load(), Front(listen, api, Path(run))), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
