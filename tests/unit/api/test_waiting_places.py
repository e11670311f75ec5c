"""The places for requests that wait: what one client may hold, and when it is told to come back."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.security.waiting_places import UNLIMITED, WaitingPlaces
from mezcal.errors import Busy, ShareExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST, WAIT = 16, 25


class Room:
    """Places whose clock stands still, and the requests that hold them."""

    def __init__(self, share: float = 0.75) -> None:
        self.now = 1000.0
        self.places = WaitingPlaces(MOST, share, lambda: self.now)
        self.held: dict[str, list[ExitStack]] = {}

    def take(self, client: str, seconds: float = WAIT, origin: str = UNLIMITED) -> None:
        stack = ExitStack()
        stack.enter_context(self.places.hold(client, seconds, origin))
        self.held.setdefault(client, []).append(stack)

    def take_all(self, client: str) -> int:
        """Take places until none is given. Returns how many the client holds."""
        with suppress(ShareExceeded, Busy):
            for _ in range(MOST + 1):
                self.take(client)
        return len(self.held.get(client, []))

    def free(self, client: str) -> None:
        self.held[client].pop(0).close()


@pytest.fixture
def room() -> Iterator[Room]:
    yield (room := Room())
    for stacks in room.held.values():
        for stack in stacks:
            stack.close()


def refusal(room: Room, client: str) -> int:
    with pytest.raises(ShareExceeded) as refused:
        room.take(client)
    return refused.value.retry_after


def test_one_client_may_hold_all_places_but_a_quarter(room: Room) -> None:
    assert room.take_all("a") == 12
    room.take("b")


def test_several_such_clients_get_the_same_and_leave_places_too(room: Room) -> None:
    assert room.take_all("a") == 12
    assert room.take_all("b") == 3
    for _ in range(10):
        room.free("a")
        room.take_all("b")
        room.take_all("a")
    assert (len(room.held["a"]) - len(room.held["b"])) ** 2 <= 4
    room.take("c")


@given(asked=st.lists(st.sampled_from("abcdefgh"), max_size=60))
def test_a_client_without_a_place_gets_one_while_any_is_free(asked: list[str]) -> None:
    room = Room()
    for client in asked:
        free = MOST - sum(map(len, room.held.values()))
        try:
            room.take(client)
        except ShareExceeded:
            assert room.held[client]
        except Busy:
            assert free == 0
    for stacks in room.held.values():
        for stack in stacks:
            stack.close()
    assert Room().take_all("a") == room.take_all("z") == 12


def test_those_who_wait_for_one_origin_leave_places_to_others(room: Room) -> None:
    """A IIIF server is an exempt client: all its readers may want images of an origin that does not answer."""
    for _ in range(12):
        room.take(UNLIMITED, origin="slow")
    with pytest.raises(Busy, match="12 requests wait for images of this origin already"):
        room.take(UNLIMITED, origin="slow")
    with pytest.raises(Busy):
        room.take("a client of its own", origin="slow")
    for _ in range(3):
        room.take(UNLIMITED, origin="fast")
    room.take(UNLIMITED, origin="third")
    for _ in range(3):
        room.free(UNLIMITED)
    room.take(UNLIMITED, origin="fast")


def test_without_a_share_one_client_may_hold_all(room: Room) -> None:
    assert room.take_all(UNLIMITED) == MOST
    assert Room(share=1).take_all("a") == MOST


def test_a_client_hears_when_its_first_wait_must_have_ended(room: Room) -> None:
    room.take("a", 5)
    room.take_all("a")
    room.now += 2
    assert refusal(room, "a") == 3
    room.now += 3
    room.free("a")
    room.take("a")


def test_a_client_whose_requests_are_answered_hears_their_pace(room: Room) -> None:
    room.take_all("a")
    for _ in range(4):
        room.now += 2
        room.free("a")
        room.take("a")
    assert refusal(room, "a") == 2
    room.now += 8
    assert refusal(room, "a") == 4, "they have become slower"


def test_a_client_that_holds_more_than_its_share_by_now_hears_when_it_holds_less(room: Room) -> None:
    room.take_all("a")
    for _ in range(3):
        room.take("b")
    for _ in range(2):
        room.now += 2
        room.free("a")
    assert refusal(room, "a") == 2
