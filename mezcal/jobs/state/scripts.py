"""Runs the Lua scripts. Each finds its keys and arguments by name, in the tables KEY and ARG."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from redis import Redis
    from redis.commands.core import Script

Arguments = dict[str, str | float]

FOLDER = "lua"
COMMON = ("clock", "hooks", "turns", "common")  # these come before each script
# A name that the caller does not pass is an error, not nil.
STRICT = "{__index = function(_, name) error('the caller passes no ' .. name) end}"


class Scripts:
    """The scripts in `lua/`, for one Redis. Every method raises `redis.RedisError` if Redis cannot be reached."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._registered: dict[str, Script] = {}

    def run(self, name: str, keys: Mapping[str, str], args: Arguments, client: Any = None) -> Any:
        """Run the script *name*. Returns its answer; on *client*, a pipeline, that comes with the pipeline's."""
        text = source(name, tuple(keys), tuple(args))
        script = self._registered.get(text)
        if script is None:
            script = self._registered[text] = self._redis.register_script(text)
        return script(keys=list(keys.values()), args=list(args.values()), client=client)


@cache
def source(name: str, keys: tuple[str, ...], args: tuple[str, ...]) -> str:
    """Return the text of the script *name* for calls with these *keys* and *args*, in this order."""
    return f"{_names('KEY', 'KEYS', keys)}{_names('ARG', 'ARGV', args)}{''.join(map(_read, (*COMMON, name)))}"


def _names(table: str, values: str, names: Iterable[str]) -> str:
    fields = ", ".join(f"{name} = {values}[{number}]" for number, name in enumerate(names, 1))
    return f"local {table} = setmetatable({{{fields}}}, {STRICT})\n"


def _read(name: str) -> str:
    return files(__package__).joinpath(FOLDER, f"{name}.lua").read_text(encoding="utf-8")
