"""Reads secrets from files: `NAME_FILE` names the file that has the secret NAME."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic_settings import PydanticBaseSettingsSource

from mezcal.errors import WrongSetting


class SecretFiles(PydanticBaseSettingsSource):
    """The source of settings that reads `NAME_FILE` for every secret. Containers get their secrets this way."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Returns the content of the file that `NAME_FILE` names, without the final newline. Raises `WrongSetting`."""
        file = os.environ.get(f"{field_name.upper()}_FILE")
        if not file or "SecretStr" not in str(field.annotation):
            return None, field_name, False
        try:
            return Path(file).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise WrongSetting(f"{field_name.upper()}_FILE names {file}: {error.strerror}") from error

    def __call__(self) -> dict[str, Any]:
        """Returns every secret that is in a file."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}
