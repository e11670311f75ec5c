"""The sidecar as an object's metadata: one HEAD returns it, and no second object can be out of step with the image."""

from __future__ import annotations

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mezcal.store.local.layout import IMAGE, OURS
from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mezcal.store.s3.bucket import StoredObject

EVICTED = "evicted"
SIZE_MAX = 2048  # bytes of names and values together: S3's limit
# In this order, if it is too much.
LEFT_OUT = ("source", "recipe", "note", "master_etag", "master_last_modified", "made_by", "master_digest")
OPTIONAL = ("master_etag", "master_last_modified", "master_size", "note", "master_digest", "made_by")
BLANK: dict[str, str | None] = {"source": "", **dict.fromkeys(OPTIONAL)}
WHOLE = {"master_size", "size", "width", "height"}
SECONDS = {"made", "fresh"}
BASE_64 = "*"
COMPRESSED = "**"  # zlib, and base 64: a mosaic names up to 17 frames
UNQUOTED = "!\"#$&'()+,-./:;<=>?@[]^_`{|}~"  # of ASCII, all but the percent sign, the asterisk and space


def is_own_object(found: StoredObject) -> bool:
    """Returns True if *found*, with its metadata, was stored by mezcal, or by umd-lib/mezcal as an `image.jpg`.

    Other programs may keep objects in the same bucket that are called as those of a profile.
    """
    folder, _, image = found.name.rpartition("/")
    by_name = image == IMAGE or folder.startswith(f"{OURS}/")
    return by_name or not {"sha256", EVICTED}.isdisjoint(found.metadata)


def as_metadata(sidecar: Sidecar) -> dict[str, str]:
    """Returns *sidecar* as the metadata of an object.

    Of one larger than SIZE_MAX, the recipe is compressed. If it is still too large, parts are left out.
    """
    values = {name: value for name, value in asdict(sidecar).items() if value is not None}
    metadata = {_name(name): _text(value) for name, value in values.items()}
    if not _fits(metadata):
        metadata["recipe"] = min(metadata["recipe"], _compressed(sidecar.recipe), key=len)
    several = " " in (sidecar.master_digest or "")  # then it is longer than the recipe
    for name in (LEFT_OUT[0], "master_digest", *LEFT_OUT[1:]) if several else LEFT_OUT:
        if _fits(metadata):
            break
        metadata.pop(_name(name), None)
    return metadata


def _fits(metadata: Mapping[str, str]) -> bool:
    return sum(len(name) + len(value) for name, value in metadata.items()) <= SIZE_MAX


def from_metadata(metadata: Mapping[str, str], recipe: dict[str, Any] | None = None) -> Sidecar | None:
    """Returns the sidecar in an object's *metadata*, None if the object is not one of ours.

    *recipe* is what was asked for. It is used if the object has no recipe, which is left out where there is no space.
    """
    values: dict[str, Any] = {**BLANK, "recipe": recipe}
    with suppress(ValueError, zlib.error):
        for field in fields(Sidecar):
            text = metadata.get(_name(field.name))
            if text is not None:
                values[field.name] = _value(field.name, _unquoted(text))
        if values["recipe"] is not None:
            return Sidecar(**values) if len(values) == len(fields(Sidecar)) else None
    return None


def number(metadata: Mapping[str, str], name: str) -> float | None:
    """Returns one figure of the sidecar, None if it is missing."""
    try:
        return float(metadata[_name(name)])
    except (KeyError, ValueError):
        return None


def _name(field: str) -> str:
    return field.replace("_", "-")


def _text(value: Any) -> str:
    """Returns *value* in ASCII, as headers must be: percent-encoded, or "*" and base 64 if that is shorter.

    `repr` of a number keeps every bit of it.
    """
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else _json(value)
    packed = BASE_64 + urlsafe_b64encode(text.encode()).decode()
    return min(quote(text, safe=UNQUOTED), packed, key=len)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _compressed(value: Any) -> str:
    return COMPRESSED + urlsafe_b64encode(zlib.compress(_json(value).encode(), 9)).decode()


def _unquoted(text: str) -> str:
    if text.startswith(COMPRESSED):
        return zlib.decompress(urlsafe_b64decode(text.removeprefix(COMPRESSED))).decode()
    if text.startswith(BASE_64):
        return urlsafe_b64decode(text[1:]).decode()
    return unquote(text)


def _value(name: str, text: str) -> Any:
    if name in WHOLE:
        return int(text)
    if name in SECONDS:
        return float(text)
    return json.loads(text) if name == "recipe" else text
