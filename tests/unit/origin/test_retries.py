"""Retries of one master: which failures are retried, after which pause, and when the retries end."""

from __future__ import annotations

import threading
import time

import pytest

from mezcal.errors import MasterMissing, OriginFailed, OriginTimeout
from mezcal.origin.retries import RetryBudget, TransientFailure


class Attempts:
    """Fails *failures* times, each time asking for the pause *retry_after*; counts its calls."""

    def __init__(self, failures: int, retry_after: float | None = 0.0) -> None:
        self.failures, self.retry_after, self.calls = failures, retry_after, 0
        self.began = threading.Event()

    def __call__(self) -> int:
        self.calls += 1
        self.began.set()
        if self.calls <= self.failures:
            raise TransientFailure(OriginFailed(f"failure {self.calls}"), self.retry_after)
        return self.calls


def test_a_transient_failure_is_retried_until_an_attempt_succeeds() -> None:
    assert RetryBudget(2, 60).run(Attempts(failures=2)) == 3


def test_the_last_failure_is_raised_when_no_retry_is_left() -> None:
    attempts = Attempts(failures=9)
    with pytest.raises(OriginFailed, match="failure 3"):
        RetryBudget(2, 60).run(attempts)
    assert attempts.calls == 3


def test_the_retries_are_shared_by_all_the_requests_for_a_master() -> None:
    """A download that was retried once at its start may be resumed once less."""
    budget = RetryBudget(2, 60)
    assert budget.run(Attempts(failures=1)) == 2
    resumed = Attempts(failures=9)
    with pytest.raises(OriginFailed):
        budget.run(resumed)
    assert resumed.calls == 2


def test_a_final_failure_is_not_retried() -> None:
    calls: list[int] = []

    def attempt() -> None:
        calls.append(1)
        raise MasterMissing("there is none")

    with pytest.raises(MasterMissing):
        RetryBudget(5, 60).run(attempt)
    assert len(calls) == 1


def test_the_pause_doubles_and_varies() -> None:
    begun = time.monotonic()
    RetryBudget(2, 60).run(Attempts(failures=2, retry_after=None))
    assert 0.1 + 0.2 <= time.monotonic() - begun < 5  # at least half of 0.2 s and of 0.4 s


@pytest.mark.parametrize("retry_after", [20.5, 3600])
def test_a_pause_that_the_origin_wants_too_long_fails_at_once(retry_after: float) -> None:
    attempts = Attempts(failures=1, retry_after=retry_after)
    with pytest.raises(OriginFailed):
        RetryBudget(5, 7200).run(attempts)
    assert attempts.calls == 1


def test_a_pause_beyond_the_total_timeout_fails_at_once() -> None:
    attempts = Attempts(failures=1, retry_after=2)
    begun = time.monotonic()
    with pytest.raises(OriginFailed):
        RetryBudget(5, 1).run(attempts)
    assert attempts.calls == 1
    assert time.monotonic() - begun < 2


def test_cancelling_ends_the_pause_and_sends_no_further_request() -> None:
    budget, attempts = RetryBudget(5, 60), Attempts(failures=9, retry_after=15)
    failures: list[Exception] = []

    def run() -> None:
        try:
            budget.run(attempts)
        except OriginFailed as failure:
            failures.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    assert attempts.began.wait(10)
    budget.cancelled.set()
    thread.join(10)
    assert not thread.is_alive()
    assert (attempts.calls, len(failures)) == (1, 1)


def test_no_time_left_is_the_origin_s_timeout() -> None:
    with pytest.raises(OriginTimeout, match="within 0 s"):
        RetryBudget(5, 0).time_left()
