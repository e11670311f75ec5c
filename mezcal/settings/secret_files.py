"""Reads secrets from files: `NAME_FILE` names the file that has the secret NAME."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_settings import PydanticBaseSettingsSource

from mezcal.errors import WrongSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

HINT = "write the secret into that file, and let the user that mezcal runs as read it"


class SecretFiles(PydanticBaseSettingsSource):
    """The source of settings that reads `NAME_FILE` for every secret. *variables* are the environment, or `.env`.

    Containers get their secrets this way. It comes after the settings' own names in the same place.
    """

    def __init__(self, settings_class: Any, variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_class)
        self._given = {name.upper(): value for name, value in variables.items() if value}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Returns the content of the file that `NAME_FILE` names, without the final newline. Raises `WrongSetting`."""
        name = f"{field_name.upper()}_FILE"
        file = self._given.get(name)
        if not file or "SecretStr" not in str(field.annotation):
            return None, field_name, False
        return secret_in(name, file), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Returns every secret that is in a file, except those that a stronger source gives."""
        fields = {
            name: field for name, field in self.settings_cls.model_fields.items() if name not in self.current_state
        }
        found = {name: self.get_field_value(field, name)[0] for name, field in fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def secret_in(name: str, file: str) -> str:
    """Returns the secret in *file*, which the variable *name* names. Raises `WrongSetting` if there is none."""
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise WrongSetting(f"{name} names {file}, which is not text in UTF-8", HINT) from None
    except OSError as error:
        raise WrongSetting(f"{name} names {file}: {error.strerror}", HINT) from error
    if not secret:  # an empty READ_TOKENS would let everybody read
        raise WrongSetting(f"{name} names {file}, which is empty", HINT)
    return secret
