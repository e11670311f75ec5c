"""An address may make a few sign-in attempts at once, then one in a while; the memory for this is bounded."""

from __future__ import annotations

import sys

import pytest

from api.security.rate_limit import ADDRESSES_MAX, BURST, INTERVAL, SignInLimit

ADDRESS, OTHER = "192.0.2.7", "192.0.2.8"


class Clock:
    """Seconds that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def allowed(limit: SignInLimit, address: str, attempts: int) -> int:
    return sum(limit.count(address) == 0 for _ in range(attempts))


def test_an_address_may_try_a_few_times_at_once_and_then_once_per_interval(clock: Clock) -> None:
    limit = SignInLimit(clock)
    assert allowed(limit, ADDRESS, 100) == BURST
    assert 0 < limit.count(ADDRESS) <= INTERVAL
    clock.now += INTERVAL
    assert allowed(limit, ADDRESS, 100) == 1
    clock.now += 1000 * INTERVAL
    assert allowed(limit, ADDRESS, 100) == BURST


def test_one_address_does_not_lock_out_another(clock: Clock) -> None:
    limit = SignInLimit(clock)
    allowed(limit, ADDRESS, 100)
    assert limit.count(OTHER) == 0


def test_a_right_token_resets_the_count(clock: Clock) -> None:
    limit = SignInLimit(clock)
    allowed(limit, ADDRESS, BURST)
    limit.reset(ADDRESS)
    assert allowed(limit, ADDRESS, 100) == BURST


def test_the_number_of_remembered_addresses_is_bounded(clock: Clock) -> None:
    limit = SignInLimit(clock)
    for number in range(3 * ADDRESSES_MAX):
        limit.count(f"10.0.{number // 256}.{number % 256}")
    assert sys.getsizeof(limit._used_until) < 300_000
    assert len(limit._used_until) <= ADDRESSES_MAX
