"""A client may send a few wrong tokens at once, then one in a while; the memory for this is bounded."""

from __future__ import annotations

import sys

import pytest

from api.security.rate_limit import BURST, CLIENTS_MAX, IGNORED_AFTER, INTERVAL, TokenAttempts

CLIENT, OTHER = "192.0.2.7", "192.0.2.8"


class Clock:
    """Seconds that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tolerated(attempts: TokenAttempts, client: str, number: int) -> int:
    return sum(attempts.wrong(client) == 0 for _ in range(number))


def test_a_client_may_err_a_few_times_at_once_and_then_once_per_interval(clock: Clock) -> None:
    attempts = TokenAttempts(clock)
    assert tolerated(attempts, CLIENT, BURST + 1) == BURST
    assert attempts.wrong(CLIENT) == 2 * INTERVAL
    clock.now += 3 * INTERVAL
    assert tolerated(attempts, CLIENT, 5) == 1
    clock.now += 1000 * INTERVAL
    assert tolerated(attempts, CLIENT, 100) == BURST


def test_one_client_does_not_lock_out_another(clock: Clock) -> None:
    attempts = TokenAttempts(clock)
    tolerated(attempts, CLIENT, 1000)
    assert attempts.is_ignored(CLIENT)
    assert not attempts.is_ignored(OTHER)
    assert attempts.wrong(OTHER) == 0


def test_a_client_that_errs_often_is_still_heard_and_one_that_guesses_is_not(clock: Clock) -> None:
    attempts = TokenAttempts(clock)
    tolerated(attempts, CLIENT, IGNORED_AFTER - 1)
    assert not attempts.is_ignored(CLIENT)
    attempts.wrong(CLIENT)
    assert attempts.is_ignored(CLIENT)
    clock.now += INTERVAL
    assert not attempts.is_ignored(CLIENT)
    attempts.wrong(CLIENT)
    assert attempts.is_ignored(CLIENT)


def test_a_client_that_has_sent_a_right_token_is_always_heard(clock: Clock) -> None:
    """Another one that shares its address cannot change that."""
    attempts = TokenAttempts(clock)
    attempts.right(CLIENT)
    tolerated(attempts, CLIENT, 1000)
    assert not attempts.is_ignored(CLIENT)


def test_the_number_of_remembered_clients_is_bounded(clock: Clock) -> None:
    attempts = TokenAttempts(clock)
    for number in range(3 * CLIENTS_MAX):
        attempts.wrong(f"10.0.{number // 256}.{number % 256}")
        attempts.right(f"10.0.{number // 256}.{number % 256}")
    for remembered in (attempts._wrong_until, attempts._known):
        assert sys.getsizeof(remembered) < 300_000
        assert len(remembered) <= CLIENTS_MAX
