"""The description of the HTTP interface, read from `openapi.yaml`."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from importlib.resources import files
from typing import Any

import yaml

REQUIRES = "x-requires"  # names the setting without which a path does not exist


@cache
def document(*, archive: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of this installation. *archive* includes the thumbnails of a science archive."""
    described: dict[str, Any] = yaml.safe_load(files("api").joinpath("openapi.yaml").read_text(encoding="utf-8"))
    described["info"]["version"] = metadata.version("mezcal")
    described["paths"] = {
        path: {name: value for name, value in item.items() if name != REQUIRES}
        for path, item in described["paths"].items()
        if archive or REQUIRES not in item
    }
    return described
