"""The origins of an installation: that of REPO_BASE_URL, and those that ORIGINS_FILE names.

`tables` reads the file, `named` is an origin with its name, prefix and settings, `rules` has the rules between the
settings of one origin.
"""

from mezcal.settings.origins.named import REPOSITORY, NamedOrigin
from mezcal.settings.origins.tables import OriginTable, read_origins

__all__ = ["REPOSITORY", "NamedOrigin", "OriginTable", "read_origins"]
