"""The Lua scripts find their keys and arguments by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from redis import ResponseError

from mezcal.jobs.state import scripts as module
from mezcal.jobs.state.keys import Keys
from mezcal.jobs.state.scripts import Scripts

if TYPE_CHECKING:
    from tests.support.broker import Broker

FOLDER = Path(module.__file__).parent / "lua"
PARAMETERS = {"token": "1", "lease_ms": 1000, "places": 2, "probe_ms": 1000}


@pytest.fixture
def keys() -> dict[str, str]:
    return Keys(f"{uuid4().hex}:").of_origin("repository.example")


def test_the_order_of_keys_and_arguments_does_not_matter(broker: Broker, keys: dict[str, str]) -> None:
    scripts = Scripts(broker.client())
    assert scripts.run("origin/admit", keys, PARAMETERS) == ["admitted"]
    in_reverse = dict(reversed(PARAMETERS.items())) | {"token": "2"}
    assert scripts.run("origin/admit", dict(reversed(keys.items())), in_reverse) == ["admitted"]
    assert scripts.run("origin/admit", keys, PARAMETERS | {"token": "3"}) == ["full"]


def test_an_argument_that_the_caller_forgot_is_an_error(broker: Broker, keys: dict[str, str]) -> None:
    forgotten = {name: value for name, value in PARAMETERS.items() if name != "places"}
    with pytest.raises(ResponseError, match="the caller passes no places"):
        Scripts(broker.client()).run("origin/admit", keys, forgotten)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.lua")), ids=lambda file: file.stem)
def test_no_script_uses_positions(file: Path) -> None:
    assert not re.search(r"KEYS|ARGV", file.read_text())
