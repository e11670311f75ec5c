"""Print nginx.conf for the settings of the environment.

`python -m mezcal.runtime.nginx [LISTEN] [API] [FOLDER] [HITS]`
"""

from __future__ import annotations

import sys
from pathlib import Path

from mezcal.runtime.nginx import NginxConfig, configuration
from mezcal.settings import load


def main(listen: str = "80", api: str = "api:5000", run: str = "/tmp/nginx", hits: str = "") -> None:  # noqa: S108 - nginx makes it
    """Print the configuration for these addresses and folders. *hits* is the file that NGINX_HIT_LOG names."""
    print(configuration(load(), NginxConfig(listen, api, Path(run), hits=Path(hits) if hits else None)), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
