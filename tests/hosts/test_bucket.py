"""Hosts that share a bucket instead of a folder: moto, or a server of your own.

`HOSTS_S3_PORT` is the port of an S3 server of this machine that listens on all addresses; then AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY are needed, too.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from botocore.session import Session

from tests.hosts.conftest import SEED
from tests.hosts.support.cluster import FRONT, PROCESSES, REDIS_HOSTS, WORKERS, Cluster
from tests.hosts.support.lan import HERE, Lan, lans_possible
from tests.hosts.support.stores import VersionedBucket
from tests.hosts.support.trial import Trial
from tests.support.origin_server import OriginServer
from tests.support.s3_server import KEYS, running_s3
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_PORT = os.environ.get("HOSTS_S3_PORT", "")
OUTAGE_SECONDS = 20

pytestmark = [
    pytest.mark.hosts,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not lans_possible(), reason="needs root and /dev/net/tun: `make test-hosts`"),
]


@pytest.fixture(scope="module")
def bucket_trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """An installation whose hosts share a bucket that keeps all versions."""
    folder = tmp_path_factory.mktemp("bucket-hosts")
    with ExitStack() as stack:
        lan = stack.enter_context(Lan(folder, [*REDIS_HOSTS, *WORKERS, FRONT], SEED))
        origin = stack.enter_context(OriginServer(None, lan.address(HERE)))
        url = f"http://{lan.address(HERE)}:{OWN_PORT}"
        if not OWN_PORT:
            url = stack.enter_context(running_s3(folder, host=lan.address(HERE))).url
        keys = {name: os.environ[name] for name in KEYS} if OWN_PORT else KEYS
        client = stack.enter_context(closing(s3_client(url, keys)))
        bucket = f"hosts-{uuid4().hex[:12]}"
        client.create_bucket(Bucket=bucket)
        store = {"STORAGE": "s3", "STORAGE_URL": url, "AWS_BUCKET": bucket, **keys}
        cluster = Cluster(lan, origin, store)
        cluster.start_all()
        yield Trial(cluster, VersionedBucket(client, bucket), SEED)


def s3_client(url: str, keys: dict[str, str]) -> object:
    session = Session()
    session.set_credentials(*keys.values())
    return session.create_client("s3", "us-east-1", endpoint_url=url)


@pytest.mark.parametrize("others", [[*REDIS_HOSTS, HERE], [*REDIS_HOSTS]], ids=["all-links", "links-to-redis-only"])
def test_with_a_bucket_a_host_that_is_cut_off_publishes_nothing_twice(
    bucket_trial: Trial, request: pytest.FixtureRequest, others: list[str]
) -> None:
    name = request.node.callspec.id
    with bucket_trial.under_load(f"bucket-{name}", extra=PROCESSES) as course:
        until(lambda: bucket_trial.cluster.jobs_of("two"), 60, "jobs on the host")
        began = time.monotonic()
        with bucket_trial.cluster.lan.cut("two", others=others):
            until(lambda: time.monotonic() > began + OUTAGE_SECONDS, OUTAGE_SECONDS + 5)
    print(f"bucket, {name}: longest time without an image since the cut {course.gap(began):.1f} s")


def test_with_a_bucket_a_host_that_stood_still_publishes_nothing_twice(bucket_trial: Trial) -> None:
    with bucket_trial.under_load("bucket-frozen", extra=PROCESSES) as course:
        until(lambda: bucket_trial.cluster.jobs_of("two"), 60, "jobs on the host")
        began = time.monotonic()
        with bucket_trial.cluster.lan.frozen("two"):
            until(lambda: time.monotonic() > began + OUTAGE_SECONDS, OUTAGE_SECONDS + 5)
    print(f"bucket, frozen: longest time without an image since then {course.gap(began):.1f} s")
