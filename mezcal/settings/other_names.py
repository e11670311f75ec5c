"""The names that other programs give to our settings, so that their `.env` works here as it is.

They come from the newer lines of umd-lib/mezcal (`MEZCAL_..`), from its oldest release and from clients of AWS. Each
other name may also end in `_FILE`, which names a file with the value.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic_settings import PydanticBaseSettingsSource

from mezcal.errors import WrongSetting
from mezcal.settings.secret_files import secret_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "repo_base_url": ("MEZCAL_REPO_BASE_URL", "MEZCAL_FCREPO_ENDPOINT"),
    "repo_internal_url": ("MEZCAL_FCREPO_ORIGIN",),
    "jwt_secret": ("MEZCAL_JWT_SECRET", "MEZCAL_FCREPO_JWT_SECRET"),
    "jwt_token": ("MEZCAL_JWT_TOKEN", "MEZCAL_FCREPO_JWT_TOKEN"),
    "repo_username": ("MEZCAL_REPO_USERNAME", "MEZCAL_FCREPO_USERNAME"),
    "repo_password": ("MEZCAL_REPO_PASSWORD", "MEZCAL_FCREPO_PASSWORD"),
    "storage": ("MEZCAL_STORAGE_BACKEND",),
    "storage_dir": ("MEZCAL_STORAGE_DIR",),
    "storage_layout": ("DIRECTORY_LAYOUT", "MEZCAL_STORAGE_LAYOUT"),
    "aws_bucket": ("MEZCAL_S3_BUCKET",),
    "aws_prefix": ("MEZCAL_S3_PREFIX",),
    "s3_url_seconds": ("MEZCAL_S3_PRESIGNED_URL_EXPIRY",),
    "max_image_pixels": ("MEZCAL_MAX_IMAGE_PIXELS",),
}
OTHER_NAMES_GIVEN = frozenset(name for names in OTHER_NAMES.values() for name in names)
RESERVED = ("MEZCAL_", "FCREPO_")  # an unknown name that begins so is a mistake: nothing else reads it

# Read by mezcal, but not settings.
INTERNAL_NAMES = (
    "WORKER_HEARTBEAT",
    "ROLE_SIGN",
    "MEZCAL_METRICS_DIR",
    "MEZCAL_MEMORY_BUDGET",
    "MEZCAL_SHARED_FILES",
    "MEZCAL_WORKER_PARTNER",
)
COMPOSE_NAMES = ("MEZCAL_PORT", "MEZCAL_VERSION")  # docker-compose.yml
# What Kubernetes and Docker set for each service beside a container, by the service's name.
OF_A_SERVICE = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_\d+_.*)")


class OtherNames(PydanticBaseSettingsSource):
    """The source of settings that are given by other names in *variables*: the environment, or the `.env` file.

    It comes after the settings' own names in the same place. Raises `WrongSetting` if two names of one setting have
    different values, and for an unknown name that begins with `MEZCAL_` or `FCREPO_`.
    """

    def __init__(self, settings_class: Any, variables: Mapping[str, str | None]) -> None:
        super().__init__(settings_class)
        self._given = {name.upper(): value for name, value in variables.items() if value}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's form
        """Returns the value that other names give to the setting. Raises `WrongSetting`."""
        values = dict(self._values(field_name))
        if len(set(values.values())) > 1:
            raise WrongSetting(f"{' and '.join(values)} are names of one setting and differ: remove all but one")
        return next(iter(values.values()), None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Returns every setting that is given by another name, and what follows from it."""
        if strangers := unknown_names(self._given, known_names(self.settings_cls.model_fields)):
            raise WrongSetting("; ".join(strangers))
        found = {name: self.get_field_value(None, name)[0] for name in OTHER_NAMES}
        return {name: value for name, value in found.items() if value is not None}

    def _values(self, setting: str) -> Iterator[tuple[str, str]]:
        for name in (setting.upper(), *OTHER_NAMES[setting]):
            if value := self._given.get(name) or self._content(name, f"{name}_FILE"):
                yield name, _uniform(setting, value.strip())

    def _content(self, name: str, variable: str) -> str | None:
        file = self._given.get(variable)
        return secret_in(variable, file) if file and name in OTHER_NAMES_GIVEN else None


class Implied(PydanticBaseSettingsSource):
    """The weakest source: what names of other programs imply, in the environment or in `.env`."""

    def __init__(self, settings_class: Any, *places: Mapping[str, str | None]) -> None:
        super().__init__(settings_class)
        self._given: dict[str, str] = {}
        for variables in reversed(places):
            self._given |= {name.upper(): value for name, value in variables.items() if value}

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's form
        """Returns the value that is implied for the setting."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Returns the implied settings: containers of AWS have AWS_REGION; a backend of umd-lib/mezcal redirects."""
        implied = {"aws_default_region": self._given.get("AWS_REGION")}
        if self._given.get("MEZCAL_STORAGE_BACKEND", "").strip().lower() == "s3":
            implied["s3_serve"] = "redirect"
        return {name: value for name, value in implied.items() if value}


def _uniform(setting: str, value: str) -> str:
    match setting:
        case "storage" | "storage_layout":
            return value.lower()
        case "repo_base_url" | "repo_internal_url":
            return value.rstrip("/")
        case "aws_prefix":  # umd-lib/mezcal puts a slash behind it; ours begins the names just as it is
            return value.rstrip("/") + "/"
    return value


def spelled(setting: str) -> tuple[str, ...]:
    """Returns all names of the variable that gives *setting* (a field), its own first."""
    return setting.upper(), *OTHER_NAMES.get(setting, ()), *(("AWS_REGION",) if setting == "aws_default_region" else ())


def known_names(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield every name that mezcal reads: settings, their other names, and `NAME_FILE`."""
    yield from INTERNAL_NAMES
    for name, field in fields.items():
        yield from spelled(name)
        yield from (f"{other}_FILE" for other in OTHER_NAMES.get(name, ()))
        if "SecretStr" in str(field.annotation):
            yield f"{name.upper()}_FILE"


def unknown_names(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Returns a sentence for each of *given* that begins as our names do and is none of *known*."""
    readable = {*known, *COMPOSE_NAMES}
    strangers = sorted(
        name.upper()
        for name in given
        if name.upper().startswith(RESERVED)
        and name.upper() not in readable
        and not OF_A_SERVICE.fullmatch(name.upper())
    )
    return [_sentence(name, readable) for name in strangers]


def _sentence(name: str, readable: Iterable[str]) -> str:
    candidates = {other.removeprefix("MEZCAL_"): other for other in sorted(readable)}
    near = get_close_matches(name.removeprefix("MEZCAL_"), candidates, n=1, cutoff=0.75)
    hint = f"did you mean {candidates[near[0]]}?" if near else "remove it, or see docs/configuration.md"
    return f"{name} is not a setting of mezcal; {hint}"
