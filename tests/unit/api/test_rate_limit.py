"""Who guesses tokens is heard a few times, then seldom, and cannot fill the memory."""

from __future__ import annotations

import sys

import pytest

from api.security.rate_limit import AT_ONCE, EACH, KNOWN, SignInLimit

ONE, OTHER = "192.0.2.7", "192.0.2.8"


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def heard(guesses: SignInLimit, address: str, tries: int) -> int:
    return sum(guesses.take(address) == 0 for _ in range(tries))


def test_an_address_is_heard_so_often_and_then_once_in_a_while(clock: Clock) -> None:
    guesses = SignInLimit(clock)
    assert heard(guesses, ONE, 100) == AT_ONCE
    assert 0 < guesses.take(ONE) <= EACH
    clock.now += EACH
    assert heard(guesses, ONE, 100) == 1
    clock.now += 1000 * EACH
    assert heard(guesses, ONE, 100) == AT_ONCE


def test_one_address_does_not_keep_another_out(clock: Clock) -> None:
    guesses = SignInLimit(clock)
    heard(guesses, ONE, 100)
    assert guesses.take(OTHER) == 0


def test_a_right_token_makes_up_for_the_slips_before_it(clock: Clock) -> None:
    guesses = SignInLimit(clock)
    heard(guesses, ONE, AT_ONCE)
    guesses.forgive(ONE)
    assert heard(guesses, ONE, 100) == AT_ONCE


@pytest.mark.parametrize("form", ["2001:db8::{:x}", "2001:db8:0:0:{:x}::1"])
def test_a_network_of_ipv6_is_one_address(clock: Clock, form: str) -> None:
    guesses = SignInLimit(clock)
    assert sum(guesses.take(form.format(number)) == 0 for number in range(1, 50)) == AT_ONCE


def test_the_same_machine_by_both_protocols_is_one_address(clock: Clock) -> None:
    guesses = SignInLimit(clock)
    heard(guesses, ONE, 100)
    assert guesses.take(f"::ffff:{ONE}") > 0


@pytest.mark.parametrize("address", ["", "fe80::1%eth0", "nonsense"])
def test_strange_addresses_are_bounded_too(clock: Clock, address: str) -> None:
    assert heard(SignInLimit(clock), address, 100) == AT_ONCE


def test_no_more_addresses_are_remembered_than_may_be(clock: Clock) -> None:
    guesses = SignInLimit(clock)
    for number in range(3 * KNOWN):
        guesses.take(f"10.0.{number // 256}.{number % 256}")
    assert sys.getsizeof(guesses._forgiven) < 300_000
    assert len(guesses._forgiven) <= KNOWN
