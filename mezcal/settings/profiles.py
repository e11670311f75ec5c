"""Reads the profiles: the named kinds of derivatives of a master.

`mezzanine` and `pyramid` are built in. The file PROFILES_FILE (TOML) has a table for each other one, and may have one
for `pyramid`:

    [small]
    format = "webp"
    max_edge = 1200

What a table leaves out is as for the mezzanine.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mezcal.settings.rules import HEX_COLOR, reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from mezcal.settings.fields import SettingFields

MEZZANINE, PYRAMID = "mezzanine", "pyramid"
NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")  # part of URLs, of file names and of metrics
RESERVED = {"image", "origin", "trim"}  # image.json is the sidecar of image.jpg
RESERVED |= {"thumbnail", "other", "frame-picture"}  # other kinds in metrics and logs, and their files
PYRAMID_FIELDS: dict[str, Any] = {"format": "pyramid", "max_edge": 0}  # whole: servers read the size that they need
PROFILES_MAX = 50  # each is a file beside the others, and a value in metrics
SIDES = {  # by format: pixels at most
    "jpeg": 65_500,  # the limit of libvips and libjpeg; that of JPEG is 65,535
    "pyramid": 1_000_000,  # one row of RGB tiles takes 800 MB then
    "webp": 16_383,
}
LOSSLESS = ("deflate", "zstd", "lzw")
OWN_FIELDS = {"pyramid": ("tile", "compression", "depth"), "webp": ("lossless",), "jpeg": ("progressive",)}  # by format


class ProfileFields(BaseModel):
    """One profile. *max_edge* is pixels, 0 is the size of the master; *tile* is pixels a side."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal["jpeg", "pyramid", "webp"] = "jpeg"
    max_edge: Annotated[int, Field(ge=0, le=1_000_000)] = 0  # and at most SIDES of the format
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    subsampling: Literal["4:4:4", "4:2:0"] = "4:4:4"
    progressive: bool = False
    color: Literal["srgb", "keep"] = "srgb"
    background: Annotated[str, Field(pattern=HEX_COLOR)] = "#ffffff"
    keep_metadata: bool = False
    tile: Annotated[int, Field(ge=64, le=1024, multiple_of=16)] = 256
    compression: Literal["jpeg", "deflate", "zstd", "lzw"] = "jpeg"
    lossless: bool = False
    alpha: Literal["flatten", "keep"] = "flatten"
    depth: Literal[8, 16] = 8

    @model_validator(mode="after")
    def _check_alpha(self) -> Self:
        if self.alpha == "keep" and (self.format == "jpeg" or self._has_jpeg_tiles):
            raise ValueError('alpha is "keep", and JPEG has no transparency: use "webp", or "pyramid" with "deflate"')
        return self

    @model_validator(mode="after")
    def _check_depth(self) -> Self:
        if self.depth == 16 and (self.format != "pyramid" or self._has_jpeg_tiles):
            raise ValueError('depth is 16, which only a "pyramid" with the compression "deflate", "zstd" or "lzw" has')
        return self

    def meaningless(self) -> set[str]:
        """Returns the fields that change nothing in a file of this format and compression."""
        of_others = {name for kind, names in OWN_FIELDS.items() if kind != self.format for name in names}
        is_lossless = self.lossless or (self.format == "pyramid" and self.compression in LOSSLESS)
        return (
            of_others
            | ({"quality", "subsampling"} if is_lossless else set())
            | ({"subsampling"} if self.format == "webp" else set())
        )

    @property
    def _has_jpeg_tiles(self) -> bool:
        return self.format == "pyramid" and self.compression == "jpeg"


def read_profiles(settings: SettingFields) -> dict[str, ProfileFields]:
    """Returns all profiles by their names, the built-in ones first. Raises `ValueError` with one line."""
    common = _as_mezzanine(settings)
    mezzanine = ProfileFields(progressive=settings.mezzanine_progressive, **common)
    tables = _tables(settings.profiles_file) if settings.profiles_file else {}
    others = {PYRAMID: {}} | tables
    return {MEZZANINE: mezzanine} | {name: _profile(name, table, common) for name, table in others.items()}


def _as_mezzanine(settings: SettingFields) -> dict[str, Any]:
    return {
        "max_edge": settings.mezzanine_max_edge,
        "quality": settings.mezzanine_quality,
        "subsampling": settings.mezzanine_subsampling,
        "color": settings.color,
        "background": settings.background,
        "keep_metadata": settings.keep_metadata,
    }


def _tables(file: Path) -> dict[str, Any]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"PROFILES_FILE names {file}, which is not TOML: {error}") from None
    except OSError as error:
        raise ValueError(f"PROFILES_FILE names {file}: {error.strerror}") from None
    if len(tables) > PROFILES_MAX:
        raise ValueError(f"PROFILES_FILE has {len(tables)} profiles: {PROFILES_MAX} are allowed")
    return tables


def _profile(name: str, table: Any, common: dict[str, Any]) -> ProfileFields:
    if not isinstance(table, dict):
        raise ValueError(_no_table(name, table))  # noqa: TRY004 - pydantic turns it into the line that stops the start
    if name == MEZZANINE:
        raise ValueError("PROFILES_FILE has [mezzanine], which the settings MEZZANINE_QUALITY and its like describe")
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(
            f"PROFILES_FILE has the profile {name[:40]!r}: a name is up to 32 lower-case letters, digits, '-' and '_', "
            f"and none of {', '.join(sorted(RESERVED))}"
        )
    built_in = PYRAMID_FIELDS if name == PYRAMID else {}
    try:
        fields = ProfileFields.model_validate(common | built_in | table)
    except ValidationError as error:
        raise ValueError(_explain(name, error.errors()[0])) from None
    _check_values(name, table, fields)
    return fields


def _check_values(name: str, table: dict[str, Any], fields: ProfileFields) -> None:
    """Raise `ValueError` if a value of *table* is not for the format of *fields*."""
    if ignored := sorted(fields.meaningless().intersection(table)):
        raise ValueError(
            f'PROFILES_FILE, [{name}]: {ignored[0]} has no meaning for such a "{fields.format}": remove it'
        )
    if "max_edge" in table and fields.max_edge > SIDES[fields.format]:
        raise ValueError(
            f"PROFILES_FILE, [{name}]: max_edge is {fields.max_edge}: a {fields.format} has at most "
            f"{SIDES[fields.format]} pixels a side"
        )


def _no_table(name: str, value: Any) -> str:
    """Returns why *name*, which is no table but *value*, is no profile, in one line."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"PROFILES_FILE has a list of tables {name[:40]!r}: write its name in single brackets"
    return f"PROFILES_FILE has {name[:40]!r} outside a table: put a line with the profile's name in brackets above it"


def _explain(name: str, problem: Any) -> str:
    """Returns what is wrong with the profile *name*, in one line."""
    if not problem["loc"]:
        return f"PROFILES_FILE, [{name}]: {reason_of(problem)}"
    field = str(problem["loc"][0])
    if problem["type"] == "extra_forbidden":
        return f"PROFILES_FILE, [{name}]: {field[:40]} is no part of a profile; it may have {', '.join(_fields())}"
    return f"PROFILES_FILE, [{name}]: {field} is {problem.get('input')!r}: {reason_of(problem)}"


def _fields() -> list[str]:
    return list(ProfileFields.model_fields)
