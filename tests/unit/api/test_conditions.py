"""What of an image a request asks for (RFC 9110, 13 and 14)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable

from api.responses.conditions import (
    NOT_MODIFIED,
    RANGES_MAX,
    WHOLE,
    Selection,
    nginx_agrees,
    other_server_agrees,
    select,
)
from mezcal.store import Stored

STORED = Stored(Path("image.jpg"), size=100, modified=1_764_417_600)
AT, BEFORE, AFTER = (f"Sat, 29 Nov 2025 {time} GMT" for time in ("12:00:00", "11:59:59", "12:00:01"))
TAG, OTHER, WEAK = STORED.etag, '"other"', f"W/{STORED.etag}"


def part(*edges: int) -> Selection:
    """The bytes from each edge to the next one of a pair."""
    return Selection(206, tuple(zip(edges[::2], edges[1::2], strict=True)))


def environ(**fields: str) -> dict[str, Any]:
    return {f"HTTP_{name.upper()}": value for name, value in fields.items()}


@pytest.mark.parametrize(
    ("fields", "selection"),
    [
        ({}, WHOLE),
        ({"if_match": "*"}, WHOLE),
        ({"if_match": f"{OTHER}, {TAG}"}, WHOLE),
        ({"if_match": TAG, "if_unmodified_since": BEFORE}, WHOLE),
        ({"if_unmodified_since": AT}, WHOLE),
        ({"if_unmodified_since": "yesterday"}, WHOLE),
        ({"if_none_match": TAG}, NOT_MODIFIED),
        ({"if_none_match": WEAK}, NOT_MODIFIED),
        ({"if_none_match": f"{OTHER},{TAG}"}, NOT_MODIFIED),
        ({"if_none_match": "*"}, NOT_MODIFIED),
        ({"if_none_match": TAG, "if_modified_since": BEFORE}, NOT_MODIFIED),
        ({"if_none_match": OTHER, "if_modified_since": AFTER}, WHOLE),
        ({"if_none_match": TAG.strip('"')}, WHOLE),
        ({"if_none_match": ""}, WHOLE),
        ({"if_modified_since": AT}, NOT_MODIFIED),
        ({"if_modified_since": AFTER}, NOT_MODIFIED),
        ({"if_modified_since": BEFORE}, WHOLE),
        ({"if_modified_since": "yesterday"}, WHOLE),
        ({"range": "bytes=0-9"}, part(0, 10)),
        ({"range": "bytes=90-"}, part(90, 100)),
        ({"range": "bytes=90-500"}, part(90, 100)),
        ({"range": "bytes=-10"}, part(90, 100)),
        ({"range": "bytes=-500"}, part(0, 100)),
        ({"range": "bytes=0-0,5-9"}, part(0, 1, 5, 10)),
        ({"range": "bytes=5-9, 0-0 ,\t-1"}, part(5, 10, 0, 1, 99, 100)),
        ({"range": "bytes=,0-0,,5-9,"}, part(0, 1, 5, 10)),
        ({"range": "bytes=0-0,100-,200-300,5-2,-0"}, part(0, 1)),
        ({"range": "bytes=0-0,x"}, WHOLE),
        ({"range": "bytes=0-0,5 -9"}, WHOLE),
        ({"range": "bytes=,"}, WHOLE),
        ({"range": "bytes=0-49,50-99"}, part(0, 50, 50, 100)),
        ({"range": "bytes=0-49,50-99,0-0"}, WHOLE),
        ({"range": "bytes=0-,0-,0-"}, WHOLE),
        ({"range": "bytes=" + ",".join(f"{at}-{at}" for at in range(100))}, part(*(e // 2 for e in range(1, 201)))),
        ({"range": "bytes=0-0,5-9", "if_range": TAG}, part(0, 1, 5, 10)),
        ({"range": "bytes=0-0,5-9", "if_range": OTHER}, WHOLE),
        ({"range": "bytes=x"}, WHOLE),
        ({"range": "bytes=9999999999999999999-"}, WHOLE),
        ({"range": "bytes=0-9", "if_range": TAG}, part(0, 10)),
        ({"range": "bytes=0-9", "if_range": AT}, part(0, 10)),
        ({"range": "bytes=0-9", "if_range": AFTER}, WHOLE),
        ({"range": "bytes=0-9", "if_range": WEAK}, WHOLE),
        ({"range": "bytes=100-", "if_range": OTHER}, WHOLE),
        ({"range": "bytes=100-", "if_none_match": TAG}, NOT_MODIFIED),
    ],
)
def test_a_request_selects(fields: dict[str, str], selection: Selection) -> None:
    assert select(environ(**fields), STORED) == selection


@pytest.mark.parametrize(
    "fields",
    [
        {"if_match": OTHER},
        {"if_match": WEAK},
        {"if_match": ""},
        {"if_match": OTHER, "if_none_match": TAG, "range": "bytes=100-"},
        {"if_unmodified_since": BEFORE},
        {"if_unmodified_since": BEFORE, "if_none_match": TAG},
    ],
)
def test_a_condition_that_does_not_hold_is_412(fields: dict[str, str]) -> None:
    with pytest.raises(PreconditionFailed):
        select(environ(**fields), STORED)


def test_too_many_ranges_are_ignored() -> None:
    large = Stored(Path("image.jpg"), size=10_000, modified=1_764_417_600)
    singles = [f"{at}-{at}" for at in range(0, 3000, 2)]
    asked = "bytes=" + ",".join(singles[:RANGES_MAX])
    assert len(select(environ(range=asked), large).spans) == RANGES_MAX
    assert select(environ(range=f"{asked},20000-"), large).status == 206, "one that selects nothing does not count"
    assert select(environ(range="bytes=" + ",".join(singles)), large) == WHOLE


@pytest.mark.parametrize(
    "asked", ["bytes=100-", "bytes=500-600", "bytes=5-2", "bytes=-0", "bytes=100-,-0", "bytes=5-2, 100-200"]
)
def test_a_range_without_a_byte_is_416(asked: str) -> None:
    with pytest.raises(RequestedRangeNotSatisfiable) as refused:
        select(environ(range=asked), STORED)
    assert refused.value.length == 100


@pytest.mark.parametrize(
    ("fields", "nginx", "other"),
    [
        ({}, True, True),
        ({"range": "bytes=0-9", "if_range": TAG}, True, True),
        ({"if_none_match": OTHER, "if_modified_since": AFTER}, True, True),
        ({"range": "bytes=0-9,20-29"}, True, False),
        ({"range": "bytes=0-9, -29,5-"}, True, False),
        ({"range": "bytes=0-9,"}, False, False),
        ({"range": "bytes=0-9,,20-29"}, False, False),
        ({"range": "bytes=0-9,\t20-29"}, False, False),
        ({"if_match": TAG}, False, False),
        ({"if_unmodified_since": "yesterday"}, False, False),
    ],
)
def test_another_server_sends_the_file_only_where_it_selects_the_same(
    fields: dict[str, str], *, nginx: bool, other: bool
) -> None:
    assert nginx_agrees(environ(**fields)) is nginx
    assert other_server_agrees(environ(**fields)) is other
