"""Write the table in docs/configuration.md from `mezcal.settings.Settings`, so that the two cannot differ."""

from __future__ import annotations

import inspect
import re
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import SecretStr

from mezcal.settings import Settings
from mezcal.settings.fields import SettingFields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

PAGE = Path("docs/configuration.md")
BEGIN = "<!-- made from mezcal/settings/fields.py by `make docs`: begin -->\n"
END = "<!-- made from mezcal/settings/fields.py by `make docs`: end -->\n"
KINDS: dict[Any, str] = {
    str: "text",
    Path: "a path",
    SecretStr: "a secret",
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
}


def main() -> None:
    """Write the page anew."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(page: str) -> str:
    """*page* with the table of today between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + END + after


def table() -> str:
    """One table for each section of the class."""
    return "".join(
        f"### {title}\n\n| variable | may hold | default | |\n| --- | --- | --- | --- |\n{''.join(map(row, names))}\n"
        for title, names in sections()
    )


def sections() -> Iterator[tuple[str, list[str]]]:
    """The fields in their order, under the comments `# --- title` that part them in the class."""
    for part in inspect.getsource(SettingFields).split("    # --- ")[1:]:
        title, _, body = part.partition("\n")
        named = re.findall(r"^    (\w+): ", body, re.MULTILINE)
        yield title[0].upper() + title[1:], [name for name in named if name in Settings.model_fields]


def row(name: str) -> str:
    """The line of the setting *name*."""
    field = Settings.model_fields[name]
    cells = (f"`{name.upper()}`{alias(name, field)}", may_hold(field), default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def alias(name: str, field: FieldInfo) -> str:
    """The other name under which a predecessor knew the setting."""
    choices = getattr(field.validation_alias, "choices", [])
    return "".join(f", also `{other}`" for other in choices if other != name.upper())


def may_hold(field: FieldInfo) -> str:
    """What the variable may hold, in words."""
    kind = set_to(field.annotation)
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return ", ".join(f"`{choice}`" for choice in get_args(kind) or kind)
    if get_origin(kind) is tuple:
        return "secrets" if SecretStr in get_args(kind) else "names"
    return KINDS[kind] + bounds(field)


def set_to(annotation: Any) -> Any:
    """The type of a setting where it is set: *annotation* less None."""
    if NoneType not in get_args(annotation):
        return annotation
    return next(kind for kind in get_args(annotation) if kind is not NoneType)


def bounds(field: FieldInfo) -> str:
    """The limits of a number, or the form of a text."""
    said = {"gt": "above {}", "ge": "from {}", "le": "to {}", "pattern": "matching `{}`"}
    given = [(word, getattr(rule, name, None)) for rule in field.metadata for name, word in said.items()]
    text = "".join(f", {word.format(shown(limit))}" for word, limit in given if limit is not None)
    return text.replace(", to", " to").replace(", matching", " matching")


def default(field: FieldInfo) -> str:
    """The default, as one would write it into `.env`."""
    if field.default in {None, (), ""}:
        return "unset"
    if isinstance(field.default, tuple):
        return f"`{','.join(field.default)}`"
    if isinstance(field.default, bool):
        return "`1`" if field.default else "`0`"
    return f"`{shown(field.default, comma='')}`"


def shown(value: object, comma: str = ",") -> str:
    """A number with *comma* at the thousands; anything else as text."""
    if isinstance(value, int | float):
        return f"{value:{comma}}"
    return str(value)


if __name__ == "__main__":
    main()
