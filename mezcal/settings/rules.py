"""What a value must be, in words for people."""

from __future__ import annotations

import re
from typing import Any

HEX_COLOR = r"^#[0-9a-fA-F]{6}$"
FORMS = {HEX_COLOR: "must be #rrggbb in quotes, as '#ffffff' for white"}  # by patterns that few people can read
BEFORE_HOST = re.compile(r"^(\s*[^:/@]*:/+)?.*@", re.DOTALL)  # a password may have any character, also a slash
NOT_SHOWN = "a value that is not shown"
RULES = {  # by pydantic's types of errors, with the names of their contexts
    **dict.fromkeys(("int_parsing", "int_parsing_size", "int_from_float", "int_type"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "must be a number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("literal_error", "enum"), "must be {expected}"),
    "string_type": "must be text in quotes",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_pattern_mismatch": "must have the form {pattern}",
}


def reason_of(problem: Any) -> str:
    """Returns what the value must be by one of pydantic's errors; in pydantic's own words for rare ones."""
    if (form := FORMS.get(problem.get("ctx", {}).get("pattern"))) is not None:
        return form
    if problem["type"] in RULES:
        return RULES[problem["type"]].format(**problem.get("ctx", {}))
    return str(problem["msg"].removeprefix("Value error, "))


def shown(value: Any) -> str:
    """Returns *value* as an error may show it: of a URL, user and password are left out."""
    if "@" not in repr(value):
        return repr(value)
    return repr(BEFORE_HOST.sub(r"\1..@", value)) if isinstance(value, str) else NOT_SHOWN
