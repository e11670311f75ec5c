"""Trimming a store that lists names, as S3 does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mezcal.store.listed import ListedShelf
from mezcal.store.trim import Bounds, State, Trim

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400


@dataclass(frozen=True)
class One:
    name: str
    size: int
    modified: float
    used: float | None = None


@dataclass
class InMemory:
    """A bucket that is a dictionary."""

    held: dict[str, One] = field(default_factory=dict)
    kept: bytes = b""

    def entries(self, after: str = "") -> Iterator[One]:
        return iter([self.held[name] for name in sorted(self.held) if name > after])

    def evict_named(self, name: str) -> bool:
        return self.held.pop(name, None) is not None

    def expire(self) -> int:
        return 0

    def noted(self) -> bytes:
        return self.kept

    def note(self, notes: bytes) -> None:
        self.kept = notes


def filled(number: int) -> InMemory:
    """*number* objects of 1 kB, the last name the oldest."""
    names = [f"{one:05d}/image.jpg" for one in range(number)]
    return InMemory({name: One(name, 1000, 1_700_000_000.0 - one * DAY) for one, name in enumerate(names)})


def test_what_was_made_longest_ago_goes_where_nobody_notes_use() -> None:
    bucket = filled(100)
    Trim(ListedShelf(bucket), Bounds(max_bytes=50_000)).turn(60)
    assert sorted(bucket.held) == [f"{one:05d}/image.jpg" for one in range(47)]


def test_each_turn_goes_on_behind_the_name_where_the_last_one_ended() -> None:
    bucket = filled(500)
    turns = 1
    while not Trim(ListedShelf(bucket), Bounds(max_bytes=250_000)).turn(0).done:
        turns += 1
        assert turns < 100
    assert turns > 10
    assert len(bucket.held) == 237
    survey = State.from_bytes(bucket.kept).survey
    assert survey is not None
    assert (survey.derivatives, survey.bytes) == (237, 237_000)
