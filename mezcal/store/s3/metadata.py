"""The sidecar as an object's metadata: one HEAD tells it, and no second object can be out of step with the image."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

META = "x-amz-meta-"
EVICTED = f"{META}evicted"
SIZE_MAX = 2048  # bytes of names and values together: S3's bound
LEFT_OUT = ("source", "recipe", "note", "master_etag", "master_last_modified")  # in this order, where it is too much
BLANK = {"source": "", "master_etag": None, "master_last_modified": None, "master_size": None, "note": None}
WHOLE = {"master_size", "size", "width", "height"}
SECONDS = {"made", "fresh"}
BASE_64 = "*"
SHOWN = "!\"#$&'()+,-./:;<=>?@[]^_`{|}~"  # of ASCII, all but the percent sign, the asterisk and space


def as_headers(sidecar: Sidecar) -> dict[str, str]:
    """*sidecar* as headers of a PUT or a copy; of one that S3 would not take whole, as much as it takes."""
    values = {name: value for name, value in asdict(sidecar).items() if value is not None}
    headers = {_header(name): _text(value) for name, value in values.items()}
    for name in LEFT_OUT:
        if sum(len(header) - len(META) + len(value) for header, value in headers.items()) <= SIZE_MAX:
            break
        headers.pop(_header(name), None)
    return headers


def from_headers(headers: Mapping[str, str], recipe: dict[str, Any] | None = None) -> Sidecar | None:
    """The sidecar in an answer's *headers*; None if the object is not one of ours.

    *recipe* is what was asked for: it stands in where the object has none, for want of room.
    """
    values: dict[str, Any] = {**BLANK, "recipe": recipe}
    with suppress(ValueError):
        for field in fields(Sidecar):
            text = headers.get(_header(field.name))
            if text is not None:
                values[field.name] = _value(field.name, _read(text))
        if values["recipe"] is not None:
            return Sidecar(**values) if len(values) == len(fields(Sidecar)) else None
    return None


def number(headers: Mapping[str, str], name: str) -> float | None:
    """One figure of the sidecar; None where there is none."""
    try:
        return float(headers[_header(name)])
    except (KeyError, ValueError):
        return None


def _header(name: str) -> str:
    return META + name.replace("_", "-")


def _text(value: Any) -> str:
    """Headers take ASCII only: percent-encoded, or behind an asterisk in base 64, whichever is shorter.

    `repr` of a number gives it back to the last bit.
    """
    if isinstance(value, (int, float)):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    packed = BASE_64 + urlsafe_b64encode(text.encode()).decode()
    return min(quote(text, safe=SHOWN), packed, key=len)


def _read(text: str) -> str:
    if text.startswith(BASE_64):
        return urlsafe_b64decode(text[1:]).decode()
    return unquote(text)


def _value(name: str, text: str) -> Any:
    if name in WHOLE:
        return int(text)
    if name in SECONDS:
        return float(text)
    return json.loads(text) if name == "recipe" else text
