"""A body that drips loses its place to newer ones; a body that has just begun does not."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from api.security.body_places import PATIENCE_SECONDS, BodyPlaces
from mezcal.errors import Busy


class Arrivals:
    """Bodies that arrive at places whose clock a test advances: 6 in all, 3 of one client."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.places = BodyPlaces(6, 3, lambda: self.now)
        self.cut: list[str] = []
        self.open = ExitStack()

    def begin(self, client: str, name: str = "") -> None:
        self.open.enter_context(self.places.held(client, lambda: self.cut.append(name or client)))

    def get_old(self) -> None:
        self.now += 2 * PATIENCE_SECONDS


@pytest.fixture
def arrivals() -> Arrivals:
    return Arrivals()


def test_a_client_has_a_few_places_and_its_oldest_body_leaves_first(arrivals: Arrivals) -> None:
    for name in ("first", "second", "third"):
        arrivals.begin("slow", name)
    with pytest.raises(Busy):
        arrivals.begin("slow", "fourth")
    arrivals.begin("other")
    arrivals.get_old()
    arrivals.begin("slow", "fourth")
    assert arrivals.cut == ["first"]


def test_if_all_are_taken_the_client_that_has_the_most_loses_one(arrivals: Arrivals) -> None:
    for client in ("other", "slow", "slow", "slow", "another", "third"):
        arrivals.begin(client)
    with pytest.raises(Busy):
        arrivals.begin("new")
    arrivals.get_old()
    arrivals.begin("new")
    assert arrivals.cut == ["slow"]


def test_a_body_that_has_ended_gives_its_place_back_once(arrivals: Arrivals) -> None:
    for _ in range(20):
        for _ in range(3):
            arrivals.begin("slow")
        arrivals.get_old()
        arrivals.begin("slow")
        arrivals.open.close()
    arrivals.begin("slow")
    assert len(arrivals.cut) == 20


def test_what_cannot_be_cut_keeps_its_place(arrivals: Arrivals) -> None:
    with ExitStack() as bodies:
        for _ in range(3):
            bodies.enter_context(arrivals.places.held("slow", None))
        arrivals.get_old()
        with pytest.raises(Busy):
            arrivals.begin("slow")
