"""Where settings come from besides the environment: secrets by file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic_settings import PydanticBaseSettingsSource

from mezcal.errors import WrongSetting


class SecretFiles(PydanticBaseSettingsSource):
    """`NAME_FILE` for every secret: a container's way of handing one over without an environment entry."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """The content of the file that `NAME_FILE` names, less the final newline."""
        named = os.environ.get(f"{field_name.upper()}_FILE")
        if named is None or "SecretStr" not in str(field.annotation):
            return None, field_name, False
        try:
            return Path(named).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise WrongSetting(f"{field_name.upper()}_FILE names {named}: {error.strerror}") from error

    def __call__(self) -> dict[str, Any]:
        """Every secret that came by file."""
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}
