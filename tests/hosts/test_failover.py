"""Redis' primary is lost, or cut off together with one worker, while clients ask for images."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.hosts.support.cluster import FRONT, PROCESSES, REDIS_HOSTS, WORKERS
from tests.hosts.support.lan import HERE, lans_possible
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.hosts.support.cluster import Cluster
    from tests.hosts.support.trial import Trial

FAILOVER_SECONDS = 90  # on a busy machine
CUT_SECONDS = 40  # the new primary has given the jobs of the worker on the other side to others by then

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not lans_possible(), reason="needs root and /dev/net/tun: `make test-hosts`"),
]


def test_sentinels_name_another_primary_when_its_host_dies(trial: Trial) -> None:
    cluster = trial.cluster
    old = until(cluster.primary, 60, "a primary")
    others = [name for name in REDIS_HOSTS if name != old]
    with trial.under_load("primary-lost", extra=PROCESSES * len(WORKERS)) as course:
        began = time.monotonic()
        cluster.lan.kill(old)
        new = until(lambda: another_primary(cluster, old, others), FAILOVER_SECONDS, "another primary")
        print(f"another primary after {time.monotonic() - began:.1f} s")
    print(f"primary lost: longest time without an image since then {course.gap(began):.1f} s")
    come_back(cluster, old, new)


def test_a_primary_that_is_cut_off_with_a_worker_publishes_nothing_twice(trial: Trial) -> None:
    """The old primary and the worker that still reaches it have no quorum and no replica: they change nothing."""
    cluster = trial.cluster
    old = until(cluster.primary, 60, "a primary")
    others = [name for name in REDIS_HOSTS if name != old]
    with trial.under_load("split", extra=PROCESSES * len(WORKERS)) as course:
        until(lambda: cluster.jobs_of("two"), 60, "jobs on the host")
        began = time.monotonic()
        apart = [*others, "one", FRONT]
        with cluster.lan.cut(old, others=[*apart, HERE]), cluster.lan.cut("two", others=apart):
            until(lambda: another_primary(cluster, old, others), FAILOVER_SECONDS, "another primary")
            print(f"another primary after {time.monotonic() - began:.1f} s")
            until(lambda: time.monotonic() > began + CUT_SECONDS, CUT_SECONDS + 5)
    print(f"split: longest time without an image since then {course.gap(began):.1f} s")
    until(lambda: cluster.replication(old)["role"] == "slave", FAILOVER_SECONDS, "the old primary as a replica")


def another_primary(cluster: Cluster, old: str, asked: list[str]) -> str | None:
    """Returns the primary that the sentinels of the hosts *asked* name now, None while it is *old* or not ready."""
    new = cluster.primary(*asked)
    ready = new not in {None, old} and cluster.replication(str(new))["role"] == "master"
    return new if ready else None


def come_back(cluster: Cluster, name: str, primary: str) -> None:
    """Start the lost host again: as a replica, as the sentinels will have it."""
    cluster.start_redis_server(name)
    cluster.start_sentinel(name)
    until(
        lambda: cluster.replication(name)["master_host"] == cluster.lan.address(primary),
        FAILOVER_SECONDS,
        "a replica of the new primary",
    )
