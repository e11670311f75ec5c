"""Reads the settings, and checks the rules between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from pydantic import PrivateAttr, ValidationError, model_validator
from pydantic_settings import DotEnvSettingsSource, SettingsConfigDict

from mezcal.errors import WrongSetting
from mezcal.settings.downstream.address import WEBHOOK, HookAddress
from mezcal.settings.fields import SettingFields
from mezcal.settings.origin_identity import OriginIdentity
from mezcal.settings.origins import REPOSITORY, NamedOrigin, OriginTable, read_origins
from mezcal.settings.origins.rules import check_repository, implied_auth_type
from mezcal.settings.other_names import Implied, OtherNames
from mezcal.settings.profiles import ProfileFields, read_profiles
from mezcal.settings.rules import NOT_SHOWN, reason_of, shown
from mezcal.settings.secret_files import SecretFiles
from mezcal.settings.types import DEFAULT_MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

# Without REVALIDATE_AFTER, for folders alone: comparing a file costs nearly nothing, and no folder sends events.
FOLDER_HIT_SECONDS = 30  # and as long again until the next request: an edited master is shown within a minute
FOLDER_UNASKED_SECONDS = 20 * 3600  # the walk through a large store takes some hours: each image within a day


class Settings(SettingFields):
    """The settings of one process; `SettingFields` has the fields."""

    model_config = SettingsConfigDict(defer_build=False)
    _profiles: dict[str, ProfileFields] = PrivateAttr(default_factory=dict)
    _origin_tables: tuple[OriginTable, ...] = PrivateAttr(())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: EnvSettingsSource,  # type: ignore[override]  # what pydantic gives
        dotenv_settings: DotEnvSettingsSource,  # type: ignore[override]
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic calls it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Returns the sources, the strongest first: arguments, the environment, `.env`.

        In each of the last two: NAME, then NAME_FILE, then the names of other programs.
        """
        return (
            init_settings,
            env_settings,
            SecretFiles(settings_cls, env_settings.env_vars),
            OtherNames(settings_cls, env_settings.env_vars),
            dotenv_settings,
            SecretFiles(settings_cls, dotenv_settings.env_vars),
            OtherNames(settings_cls, dotenv_settings.env_vars),
            Implied(settings_cls, env_settings.env_vars, dotenv_settings.env_vars),
        )

    @model_validator(mode="before")
    @classmethod
    def _credential_implies_auth_type(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not values.get("auth_type") and (implied := implied_auth_type(values)):
            values["auth_type"] = implied
        return values

    @model_validator(mode="before")
    @classmethod
    def _bucket_implies_s3(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("aws_bucket") and not values.get("storage"):
            values["storage"] = "s3"
        return values

    @model_validator(mode="after")
    def _check_s3(self) -> Self:
        if self.storage == "s3" and not self.aws_bucket:
            raise ValueError("STORAGE is s3, so AWS_BUCKET must name the bucket")
        if self.storage == "s3" and self.sendfile_header:
            raise ValueError("SENDFILE_HEADER needs STORAGE=local: a bucket has no files that a server could send")
        return self

    @model_validator(mode="after")
    def _check_registration(self) -> Self:
        if self.archive_bucket is None:
            return self
        if self.archive_api_url is None:
            raise ValueError("ARCHIVE_BUCKET needs ARCHIVE_API_URL")
        if self.storage != "s3":
            raise ValueError("ARCHIVE_BUCKET needs STORAGE=s3: it is a bucket of the same server, for the same key")
        name = self.archive_thumbnail_name
        if "{size}" not in name or "{basename}" not in name:
            raise ValueError("ARCHIVE_THUMBNAIL_NAME needs {basename} and {size}, or names are not unique")
        return self

    @model_validator(mode="after")
    def _check_repository(self) -> Self:
        check_repository(self)
        return self

    @model_validator(mode="after")
    def _read_origins(self) -> Self:
        self._origin_tables = read_origins(self)
        return self

    @model_validator(mode="after")
    def _check_notices(self) -> Self:
        if self.notice_url and not self.notice_secret:
            raise ValueError("NOTICE_URL needs NOTICE_SECRET, the key that signs the notices")
        if self.notice_url and self.notice_command:
            raise ValueError("NOTICE_URL and NOTICE_COMMAND are both set: set one of them")
        return self

    @model_validator(mode="after")
    def _check_downstream(self) -> Self:
        for hook in self.hooks:
            if hook.kind == WEBHOOK and not self.downstream_secret:
                raise ValueError("DOWNSTREAM_URLS has a webhook, so DOWNSTREAM_SECRET must be set: it signs the calls")
        return self

    @model_validator(mode="after")
    def _read_profiles(self) -> Self:
        self._profiles = read_profiles(self)
        return self

    @model_validator(mode="after")
    def _check_event_profiles(self) -> Self:
        if not self.event_profiles:
            raise ValueError(f"EVENT_PROFILES has no name: the profiles are {', '.join(self._profiles)}")
        for name in self.event_profiles:
            if name not in self._profiles:
                raise ValueError(f"EVENT_PROFILES has {name}: the profiles are {', '.join(self._profiles)}")
        return self

    @property
    def profiles(self) -> dict[str, ProfileFields]:
        """All profiles by their names, `mezzanine` among them."""
        return self._profiles

    @property
    def hooks(self) -> tuple[HookAddress, ...]:
        """The hooks of DOWNSTREAM_URLS."""
        return tuple(HookAddress.parse(url.get_secret_value()) for url in self.downstream_urls)

    @property
    def origins(self) -> tuple[NamedOrigin, ...]:
        """All origins of masters, the longest prefix first; none if neither REPO_BASE_URL nor ORIGINS_FILE is set."""
        if not self._tables:
            return () if self.repo_base_url is None else (NamedOrigin(REPOSITORY, "", self),)
        scratch = self.scratch_dir  # found out once: it depends on all origins
        named = [NamedOrigin(table.name, table.prefix, self._alone(table.values, scratch)) for table in self._tables]
        if self.repo_base_url is not None:
            named.append(NamedOrigin(REPOSITORY, "", self._alone({}, scratch)))
        return tuple(sorted(named, key=lambda origin: len(origin.prefix), reverse=True))

    def origin_of(self, path: str) -> NamedOrigin | None:
        """The origin that has the masters whose paths begin as *path* does, None if none has."""
        return next((origin for origin in self.origins if origin.has(path)), None)

    @property
    def _tables(self) -> tuple[OriginTable, ...]:
        return self._origin_tables if self.origins_file else ()

    def _alone(self, values: Mapping[str, Any], scratch: Path) -> Settings:
        """These settings for one origin alone, to which *values* belong. The folder *scratch* is that of all."""
        return self.model_copy(update={**values, "origins_file": None, "tmp_dir": scratch})

    @property
    def cache_dir(self) -> Path:
        """The root folder of the store, as an absolute path. In DATA_DIR each origin has one of its own."""
        return (self.storage_dir or self.data_dir / self.origin_identity.folder_name).absolute()

    @property
    def origin_identity(self) -> OriginIdentity:
        """Which origin this installation is for."""
        urls = {table.prefix: table.url for table in self._tables}
        return OriginIdentity.of(self.repo_base_url or urls.pop("", None), self.archive_api_url, urls)

    @property
    def redis_prefix(self) -> str:
        """The text that begins every Redis key: the jobs of another origin are never seen."""
        return f"{self.key_prefix}{self.origin_identity.mark}:"

    @property
    def has_folder_origin(self) -> bool:
        """True if the masters are files of a folder, or the samples."""
        return self.repo_base_url is None or self.repo_base_url.startswith("file:")

    @property
    def hit_fresh_seconds(self) -> float:
        """For how long an image counts as fresh when a client asks for it; 0 means always."""
        if self.revalidate_after is not None:
            return self.revalidate_after
        return FOLDER_HIT_SECONDS if self.has_folder_origin else 0

    @property
    def checks_hits(self) -> bool:
        """True if an image may become stale that clients ask for."""
        return any(origin.settings.hit_fresh_seconds for origin in self.origins)

    @property
    def unasked_fresh_seconds(self) -> float:
        """For how long an image counts as fresh that no client asks for; 0 means always."""
        if self.revalidate_after is not None:
            return self.revalidate_after
        return FOLDER_UNASKED_SECONDS if self.has_folder_origin else 0

    @property
    def scratch_dir(self) -> Path:
        """The folder for masters on their way, which is on the cache's disk unless TMP_DIR is set."""
        return self.tmp_dir or self.cache_dir / ".mezcal" / "scratch"

    @property
    def image_cache_control(self) -> str:
        """The header `Cache-Control` of every image (RFC 9111, RFC 5861); nginx sends the same."""
        stale = {
            "stale-while-revalidate": self.http_stale_while_revalidate,
            "stale-if-error": self.http_stale_if_error,
        }
        scope = "private" if self.read_tokens else "public"
        parts = [scope, f"max-age={self.http_max_age}", *(f"{name}={value}" for name, value in stale.items() if value)]
        return ", ".join(parts)

    @property
    def client_places(self) -> int:
        """How many of the WAITERS_MAX places of an API process one client may hold."""
        return max(1, int(self.waiters_max * self.client_share))

    @property
    def pixel_limit(self) -> int | None:
        """The largest master in pixels, None if there is no limit."""
        if self.max_image_pixels < 0:
            return None
        return self.max_image_pixels or DEFAULT_MAX_PIXELS


def load(**given: Any) -> Settings:
    """Read the settings of this process. Raises `WrongSetting` with one line for each value that cannot be used."""
    try:
        return Settings(**given)
    except ValidationError as error:
        raise WrongSetting("\n".join(_explain(problem) for problem in error.errors())) from None


def variables_in_file() -> dict[str, str]:
    """Returns the variables in `.env` that are not empty, their names in capitals; none if there is no such file."""
    return {name.upper(): value for name, value in DotEnvSettingsSource(Settings).env_vars.items() if value}


def _explain(problem: Any) -> str:
    reason = reason_of(problem)
    if not problem["loc"]:
        return str(reason)  # a rule between settings; the input would be all of them, secrets included
    name = str(problem["loc"][0]).upper()
    field = Settings.model_fields.get(name.lower())
    secret = field is not None and "SecretStr" in str(field.annotation)
    holds = NOT_SHOWN if secret else shown(problem.get("input"))
    return f"{name} is {holds}: {reason}"
