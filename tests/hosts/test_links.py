"""The links of a host of workers are cut, slow or lossy, or the host stands still, while clients ask for images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.hosts.support.cluster import PROCESSES, REDIS_HOSTS, WORKERS
from tests.hosts.support.lan import HERE, lans_possible
from tests.hosts.support.switch import Way
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.hosts.support.trial import Trial

LEASE_SECONDS = 6
OUTAGE_SECONDS = 20  # three leases: others have all jobs of the host by then
DELAY_SECONDS = 0.2  # added to each round trip
LOSS = 0.05

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not lans_possible(), reason="needs root and /dev/net/tun: `make test-hosts`"),
]


@pytest.mark.parametrize(
    ("others", "to", "back"),
    [
        pytest.param([*REDIS_HOSTS, HERE], True, True, id="all-links"),
        pytest.param([*REDIS_HOSTS, HERE], True, False, id="what-the-host-sends"),
        pytest.param([*REDIS_HOSTS, HERE], False, True, id="what-is-sent-to-the-host"),
        pytest.param([*REDIS_HOSTS], True, True, id="the-links-to-redis-only"),
        pytest.param([HERE], True, True, id="the-link-to-the-repository-only"),
    ],
)
def test_a_host_that_is_cut_off_costs_one_download_more_for_each_of_its_jobs(
    trial: Trial, request: pytest.FixtureRequest, others: list[str], to: bool, back: bool
) -> None:
    name = request.node.callspec.id
    with trial.under_load(f"cut-{name}", extra=PROCESSES) as course:
        until(lambda: trial.cluster.jobs_of("two"), 60, "jobs on the host")
        began = time.monotonic()
        with trial.cluster.lan.cut("two", others=others, to=to, back=back):
            until(lambda: time.monotonic() > began + OUTAGE_SECONDS, OUTAGE_SECONDS + 5)
        healed = time.monotonic()
    print(f"{name}: longest time without an image since the cut {course.gap(began):.1f} s")
    assert_works_again(trial, "two", healed)


def test_a_host_that_stood_still_costs_one_download_more_for_each_of_its_jobs(trial: Trial) -> None:
    with trial.under_load("frozen", extra=PROCESSES) as course:
        until(lambda: trial.cluster.jobs_of("two"), 60, "jobs on the host")
        began = time.monotonic()
        with trial.cluster.lan.frozen("two"):
            until(lambda: time.monotonic() > began + OUTAGE_SECONDS, OUTAGE_SECONDS + 5)
        healed = time.monotonic()
    print(f"frozen: longest time without an image since then {course.gap(began):.1f} s")
    assert_works_again(trial, "two", healed)


@pytest.mark.parametrize("way", [Way(delay=DELAY_SECONDS / 2), Way(loss=LOSS)], ids=["delayed", "lossy"])
def test_slow_and_lossy_links_cost_time_only(trial: Trial, request: pytest.FixtureRequest, way: Way) -> None:
    lan, every = trial.cluster.lan, [*REDIS_HOSTS, HERE]
    for name in WORKERS:
        lan.change(name, way, others=every)
    try:
        with trial.under_load(request.node.callspec.id, extra=0):
            pass
    finally:
        for name in WORKERS:
            lan.change(name, Way(), others=every)


def assert_works_again(trial: Trial, host: str, healed: float) -> None:
    """Ask for images until the *host* has made one, and print how long that took from the moment *healed*."""
    made = made_by(trial, host)
    number = 0
    while made_by(trial, host) == made:
        number += 1
        assert number < 10, f"{host} makes nothing: {trial.cluster.lan.log(host)[-2000:]}"
        with trial.under_load(f"after-{len(trial.paths)}-{time.monotonic():.0f}", extra=0, number=8):
            pass
    print(f"{host} has made an image {time.monotonic() - healed:.1f} s after the end of the fault, or sooner")


def made_by(trial: Trial, host: str) -> int:
    return sum(told["outcome"] == "made" for told in trial.cluster.attempts(host))
