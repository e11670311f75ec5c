"""Writes the table of docs/configuration.md from `mezcal.settings.Settings`, so that the two cannot differ."""

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
from mezcal.settings.other_names import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

PAGE = Path("docs/configuration.md")
BEGIN = "<!-- made from mezcal/settings/fields.py by `make docs`: begin -->\n"
END = "<!-- made from mezcal/settings/fields.py by `make docs`: end -->\n"
HEADER = "| variable | value | default | meaning |\n| --- | --- | --- | --- |\n"
TYPE_NAMES: dict[Any, str] = {
    str: "text",
    Path: "a path",
    SecretStr: "a secret",
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
}


def main() -> None:
    """Update the page."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(page: str) -> str:
    """Returns *page* with the current table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table() + END + after


def table() -> str:
    """Returns one table for each section of the class."""
    return "".join(f"### {title}\n\n{HEADER}{''.join(map(row, names))}\n" for title, names in sections())


def sections() -> Iterator[tuple[str, list[str]]]:
    """Yield the sections of the class, each after a comment `# --- title`, with the names of its fields."""
    for part in inspect.getsource(SettingFields).split("    # --- ")[1:]:
        title, _, body = part.partition("\n")
        named = re.findall(r"^    (\w+): ", body, re.MULTILINE)
        yield title[0].upper() + title[1:], [name for name in named if name in Settings.model_fields]


def row(name: str) -> str:
    """Returns the row of the setting *name*."""
    field = Settings.model_fields[name]
    cells = (f"`{name.upper()}`{alias(name)}", values(field), default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def alias(name: str) -> str:
    """Returns the other names of the setting, those of predecessors of mezcal."""
    return "".join(f", also `{other}`" for other in spelled(name)[1:])


def values(field: FieldInfo) -> str:
    """Returns the values that the variable may have, in words."""
    kind = without_none(field.annotation)
    if get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, StrEnum)):
        return ", ".join(f"`{choice}`" for choice in get_args(kind) or kind)
    if get_origin(kind) is tuple:
        return {SecretStr: "secrets", str: "names"}.get(get_args(kind)[0], "networks")
    return TYPE_NAMES[kind] + bounds(field)


def without_none(annotation: Any) -> Any:
    """Returns the type *annotation* without None."""
    if NoneType not in get_args(annotation):
        return annotation
    return next(kind for kind in get_args(annotation) if kind is not NoneType)


def bounds(field: FieldInfo) -> str:
    """Returns the limits of a number, or the pattern of a text."""
    words = {"gt": "above {}", "ge": "from {}", "le": "to {}", "pattern": "matching `{}`"}
    given = [(word, getattr(rule, name, None)) for rule in field.metadata for name, word in words.items()]
    text = "".join(f", {word.format(formatted(limit))}" for word, limit in given if limit is not None)
    return text.replace(", to", " to").replace(", matching", " matching")


def default(field: FieldInfo) -> str:
    """Returns the default as it is written in `.env`."""
    if field.default in {None, (), ""}:
        return "unset"
    if isinstance(field.default, tuple):
        return f"`{','.join(map(str, field.default))}`"
    if isinstance(field.default, bool):
        return "`1`" if field.default else "`0`"
    return f"`{formatted(field.default, comma='')}`"


def formatted(value: object, comma: str = ",") -> str:
    """Format a number with *comma* between thousands, anything else as text."""
    if isinstance(value, int | float):
        return f"{value:{comma}}"
    return str(value)


if __name__ == "__main__":
    main()
