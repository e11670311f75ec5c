"""Metrics: their names as Prometheus wants them, their sums over processes, the last hour."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import fakeredis
import pytest

from mezcal.jobs import MinuteCounts
from mezcal.jobs.state.keys import Keys
from mezcal.telemetry.gauges import GAUGES
from mezcal.telemetry.history import Latency, MinuteRecorder, last_hour, totals
from mezcal.telemetry.metrics import Metrics
from tests.support.waiting import until
from tools.metrics_table import definitions

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS = ("_seconds", "_bytes", "_pixels")
# What the units' last word would be elsewhere: base units only, and they come last (`promtool check metrics`).
NO_BASE_UNIT = re.compile(r"_(ms|milliseconds|minutes|hours|kb|mb|megabytes|kilobytes|percent)(_|$)")
COUNTER = """
import os, signal, sys
from pathlib import Path
from mezcal.telemetry.metrics import count_in_folder, metrics
count_in_folder(Path(sys.argv[1]))
metrics().jobs.labels("mezzanine", "bulk", "made").inc(int(sys.argv[2]))
metrics().phase_seconds.labels("mezzanine", "convert").observe(0.02)
metrics().active_requests.inc()
print("counted", flush=True)
signal.pause()
"""
SHARE = """
import signal
from mezcal.telemetry.multiprocess import start_sharing
print(start_sharing("api"), flush=True)
signal.pause()
"""
SUM = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from mezcal.telemetry.multiprocess import collect_all
for metric in collect_all():
    for sample in metric.samples:
        print(sample.name, sample.labels.get("le", ""), sample.value)
"""


@pytest.mark.parametrize("family", definitions(), ids=lambda family: family.name)
def test_every_metric_has_a_name_and_help_as_prometheus_requires(family) -> None:
    """The rules of `promtool check metrics`."""
    assert re.fullmatch(r"mezcal_[a-z][a-z_]*[a-z]", family.name), "lower case, no colons, our prefix"
    assert not NO_BASE_UNIT.search(family.name)
    assert family.text.endswith("."), "help text, in sentences"
    assert family.type in {"counter", "gauge", "histogram"}
    assert family.type not in family.name.split("_"), "the type is no part of the name"
    if family.type == "gauge":
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")) or family.name.endswith(
            "_build_info"
        )
    if family.type == "histogram":
        assert family.name.endswith(UNITS)
    assert not {"le", "quantile", "job", "instance"} & set(family.labels), "reserved, or Prometheus' own"


def test_no_two_metrics_have_one_name() -> None:
    names = [family.name for family in definitions()]
    assert len(names) == len(set(names))
    assert len(GAUGES) == len({gauge.name for gauge in GAUGES})


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that have counted 3 and 4 in one folder."""
    started = [
        subprocess.Popen([sys.executable, "-c", COUNTER, str(tmp_path / "numbers"), count], stdout=subprocess.PIPE)
        for count in ("3", "4")
        if (tmp_path / "numbers").mkdir(exist_ok=True) is None
    ]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == b"counted\n"
    yield started
    for one in started:
        one.kill()
        one.communicate()


def summed(folder: Path) -> dict[tuple[str, str], float]:
    result = subprocess.run([sys.executable, "-c", SUM, str(folder)], capture_output=True, check=True, text=True)
    lines = [line.split(" ") for line in result.stdout.splitlines()]
    return {(name, below): float(value) for name, below, value in lines}


def test_counts_of_several_processes_add_up_whoever_is_killed(
    counters: list[subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    folder = tmp_path / "numbers"
    assert summed(folder)["mezcal_jobs_total", ""] == 7
    assert summed(folder)["mezcal_active_requests", ""] == 2
    os.kill(counters[0].pid, signal.SIGKILL)
    counters[0].wait()
    for _ in range(3):  # however often it is read
        found = summed(folder)
        assert found["mezcal_jobs_total", ""] == 7
        assert found["mezcal_phase_seconds_count", ""] == 2
        assert found["mezcal_phase_seconds_bucket", "0.025"] == 2
        assert found["mezcal_active_requests", ""] == 1
    assert not list(folder.glob(f"*_{counters[0].pid}.db")), "the files of the dead do not pile up"


def test_the_dead_of_days_leave_three_files(tmp_path: Path) -> None:
    folder = tmp_path / "numbers"
    folder.mkdir()
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", COUNTER, str(folder), "2"], stdout=subprocess.PIPE) as one:
            assert one.stdout is not None
            one.stdout.readline()
            one.kill()
    assert summed(folder)["mezcal_jobs_total", ""] == 6
    assert sorted(file.name for file in folder.glob("*.db")) == ["counter_0.db", "histogram_0.db"]


class TestTheLastHour:
    """Against a Redis that speaks the protocol, in memory."""

    @pytest.fixture
    def redis(self) -> fakeredis.FakeRedis:
        return fakeredis.FakeRedis(decode_responses=True)

    @pytest.fixture
    def counted(self) -> Metrics:
        return Metrics()

    def test_counts_and_latencies_of_several_processes_meet_in_their_minute(
        self, redis: fakeredis.FakeRedis, counted: Metrics
    ) -> None:
        tellers = [
            MinuteRecorder(MinuteCounts(redis, Keys("x:")), counted.registry.collect),
            MinuteRecorder(MinuteCounts(redis, Keys("x:")), counted.registry.collect),
        ]
        counted.requests.labels("mezzanine", "hit", "200", "api").inc(5)
        counted.requests.labels("mezzanine", "stale", "200", "api").inc(1)
        counted.requests.labels("mezzanine", "miss", "200", "api").inc(2)
        counted.request_seconds.labels("mezzanine", "miss").observe(0.2)
        counted.request_seconds.labels("mezzanine", "join").observe(2)
        counted.request_seconds.labels("mezzanine", "hit").observe(9)  # no client waited
        counted.jobs.labels("mezzanine", "bulk", "failed").inc()
        counted.job_seconds.labels("mezzanine", "bulk").observe(0.3)
        for teller in tellers:
            teller.record()
            teller.record()  # nothing new
        minutes = last_hour(MinuteCounts(redis, Keys("x:")))
        assert len(minutes) == 60
        counted_minutes = [minute for minute in minutes if minute.requests]
        assert sum(minute.hits for minute in counted_minutes) == 12
        assert sum(minute.misses for minute in counted_minutes) == 4
        assert sum(minute.failures for minute in counted_minutes) == 2
        assert sum(minute.waits.count for minute in counted_minutes) == 4
        assert sum(minute.waits.seconds for minute in counted_minutes) == pytest.approx(4.4)
        assert counted_minutes[-1].conversions.mean == pytest.approx(0.3)
        assert all(60 < redis.ttl(key) <= 7200 for key in redis.keys("x:minute:*"))

    def test_counts_that_redis_missed_are_added_when_it_is_back(self, counted: Metrics) -> None:
        server = fakeredis.FakeServer()
        redis = fakeredis.FakeRedis(server=server, decode_responses=True)
        teller = MinuteRecorder(MinuteCounts(redis, Keys("x:")), counted.registry.collect)
        counted.requests.labels("mezzanine", "hit", "200", "api").inc(3)
        server.connected = False
        teller.record()
        counted.requests.labels("mezzanine", "hit", "200", "api").inc(4)
        server.connected = True
        teller.record()
        assert sum(minute.hits for minute in last_hour(MinuteCounts(redis, Keys("x:")))) == 7

    def test_an_hour_without_anything_is_sixty_empty_minutes(self, redis: fakeredis.FakeRedis) -> None:
        minutes = last_hour(MinuteCounts(redis, Keys("x:")), now=7200)
        assert [minute.at for minute in minutes] == list(range(3660, 7201, 60))
        assert all(minute.hits == 0 and minute.waits.mean is None for minute in minutes)

    def test_quantiles_lie_in_their_bucket(self) -> None:
        waits = Latency(10, 5.0, {0.1: 5, 1.0: 4, float("inf"): 1})
        assert waits.quantile(0.5) == pytest.approx(0.1)
        assert 0.1 < (waits.quantile(0.9) or 0) <= 1.0
        assert waits.quantile(0.99) == 1.0
        assert Latency().quantile(0.5) is None

    def test_totals_are_each_buckets_own(self, counted: Metrics) -> None:
        for seconds in (0.02, 0.02, 0.3):
            counted.job_seconds.labels("mezzanine", "bulk").observe(seconds)
        found = totals(counted.registry.collect())
        below = {name: value for name, value in found.items() if name.startswith("work_below:") and value}
        assert below == {"work_below:0.025": 2, "work_below:0.5": 1}
        assert found["work_ms"] == 340


def test_a_folder_that_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "MEZCAL_METRICS_DIR"}
    folders = []
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", SHARE], stdout=subprocess.PIPE, text=True, env=env) as one:
            assert one.stdout is not None
            folders.append(Path(one.stdout.readline().strip()))
            assert folders[-1].is_dir()
            assert folders[-1].stat().st_mode & 0o077 == 0, "not writable for others"
            one.kill()
    until(lambda: not folders[0].exists(), what="the end of the first folder")
