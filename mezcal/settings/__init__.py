"""Every setting, read once where a process is put together: what there is in `table`, what each may hold in
`kinds`, what holds between them in `rules`, secrets by file in `sources`, which
names are nearly one of ours in `strangers`.
"""

from __future__ import annotations

from mezcal.settings.kinds import DEFAULT_MAX_PIXELS, AuthType, Layout, filter_sets, signing_key
from mezcal.settings.rules import Settings, load
from mezcal.settings.sources import WrongSetting

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "AuthType",
    "Layout",
    "Settings",
    "WrongSetting",
    "filter_sets",
    "load",
    "signing_key",
]
