"""Every setting, read once where a process is put together.

`table` has what there is, `kinds` what each may hold, `rules` what holds between them, `sources` reads secrets by file,
and `strangers` finds names that are nearly one of ours.
"""

from __future__ import annotations

from mezcal.errors import WrongSetting
from mezcal.settings.types import DEFAULT_MAX_PIXELS, AuthType, Layout, filter_sets, signing_key
from mezcal.settings.validation import Settings, load

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
