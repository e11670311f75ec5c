"""The settings, read from the environment and `.env` once, when a process is put together.

`fields` has the table, `types` the values that a setting may have, `validation` the rules between settings,
`secret_files` the variables `NAME_FILE`, and `typos` finds variables whose name is nearly that of a setting.
"""

from __future__ import annotations

from mezcal.errors import WrongSetting
from mezcal.settings.types import AuthType, Layout, filter_sets, signing_key, split_command
from mezcal.settings.validation import Settings, load

__all__ = [
    "AuthType",
    "Layout",
    "Settings",
    "WrongSetting",
    "filter_sets",
    "load",
    "signing_key",
    "split_command",
]
