"""Metrics of a running installation: correct over several processes, also if some die."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import requests

from mezcal.runtime.nginx import nginx
from mezcal.telemetry.history import last_hour
from tests.support.installation import ONE_WORKER, SAMPLES, running_installation
from tests.support.roles import free_port
from tests.support.scrape import samples, scraped, total
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.installation import Installation
    from tests.support.origin_server import OriginServer

VALLEY = (SAMPLES / "maps" / "valley.tif").read_bytes()
TOKEN = "a-token-for-prometheus"


@pytest.fixture(scope="module")
def worker_port() -> str:
    return str(free_port())


@pytest.fixture(scope="module")
def own(repository: OriginServer, worker_port: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation that only these tests use; nginx in front if there is one."""
    for number in range(8):
        repository.script(f"counted/{number}.tif", body=VALLEY)
    folder = tmp_path_factory.mktemp("metrics")
    with running_installation(
        folder, repository.url, API_PROCESSES="2", METRICS_PORT=worker_port, LOG_FORMAT="json"
    ) as up:
        yield up


def test_counts_add_up_exactly_though_a_pool_process_is_killed(own: Installation) -> None:
    """Two API processes and two of the pool; one of the pool is killed, and its count stays."""
    for number in range(4):
        for _ in range(3):
            assert own.ask(f"counted/{number}.tif").status_code == 200
    workers, killed = own.workers(), own.pool("all")[-1]
    os.kill(killed, signal.SIGKILL)
    until(lambda: killed not in own.pool(), what="the end of a pool process")
    for number in range(4, 8):
        for _ in range(3):
            assert own.ask(f"counted/{number}.tif").status_code == 200
    assert own.ask("counted/none.tif").status_code == 404
    until(lambda: total(scraped(own), "mezcal_requests_total", kind="mezzanine", outcome="hit") == 16, what="16 hits")
    found = scraped(own)
    assert total(found, "mezcal_requests_total", kind="mezzanine", outcome="miss", status="200") == 8
    assert total(found, "mezcal_requests_total", kind="mezzanine", outcome="error", status="404") == 1
    assert total(found, "mezcal_request_seconds_count", kind="mezzanine", outcome="miss") == 8
    assert total(found, "mezcal_jobs_total", outcome="made", lane="interactive") == 8
    assert total(found, "mezcal_jobs_total") == 9
    assert total(found, "mezcal_job_failures_total", failure="master-missing") == 1
    assert total(found, "mezcal_request_failures_total", failure="master-missing") == 1
    assert total(found, "mezcal_origin_responses_total", origin="repository", status="200") == 8
    assert total(found, "mezcal_origin_responses_total", origin="repository", status="404") == 1
    assert total(found, "mezcal_master_bytes_total") == 8 * len(VALLEY)
    assert total(found, "mezcal_derivative_pixels_total") == 8 * 1_400_000
    for phase in ("download", "convert", "store"):
        assert total(found, "mezcal_phase_seconds_count", phase=phase) == 8
    assert total(found, "mezcal_queue_seconds_count", lane="interactive") == 9
    assert own.workers() == workers


def test_what_the_installation_holds_is_gauged(own: Installation) -> None:
    found = scraped(own)
    assert total(found, "mezcal_broker_up") == 1
    assert total(found, "mezcal_store_up") == 1
    assert total(found, "mezcal_queued_jobs") == 0
    assert total(found, "mezcal_quarantined_jobs") == 0
    assert total(found, "mezcal_failed_jobs") == 1
    assert total(found, "mezcal_origin_circuit", state="closed") == 1
    assert total(found, "mezcal_store_free_bytes") > 0
    assert total(found, "mezcal_processes", part="api") == 3, "gunicorn's main process and two"
    until(
        lambda: total(scraped(own), "mezcal_processes", part="worker") == 5,
        what="two main processes, that of the metrics, two of the pools",
    )
    assert total(found, "mezcal_memory_bytes", part="worker") > 50e6


def test_a_worker_tells_at_its_own_port(own: Installation, worker_port: str) -> None:
    answer = requests.get(f"http://127.0.0.1:{worker_port}/metrics", timeout=10)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert total(samples(answer.text), "mezcal_broker_up") == 1
    assert requests.get(f"http://127.0.0.1:{worker_port}/", timeout=10).status_code == 404
    proxied = {"X-Forwarded-For": "192.0.2.7"}
    assert requests.get(f"http://127.0.0.1:{worker_port}/metrics", headers=proxied, timeout=10).status_code == 403


def test_other_machines_see_no_metrics_without_a_token(own: Installation) -> None:
    refused = own.request("/metrics", headers={"X-Forwarded-For": "192.0.2.7"})
    assert refused.status_code == 403
    assert "METRICS_TOKEN" in refused.json()["detail"]


def test_hits_that_nginx_answers_are_counted_and_have_their_lines(own: Installation) -> None:
    if nginx() is None:
        assert "CI" not in os.environ, "nginx is missing"
        pytest.skip("there is no nginx here")
    answer = own.ask("counted/1.tif", headers={"X-Request-ID": "asked-of-nginx"})
    assert answer.headers["X-Request-ID"] == "asked-of-nginx"
    assert total(scraped(own), "mezcal_requests_total", outcome="hit", server="nginx") >= 16
    until(lambda: '"request_id": "asked-of-nginx"' in own.journal.read_text(), what="the line of nginx' hit")
    line = next(line for line in own.journal.read_text().splitlines() if "asked-of-nginx" in line)
    assert '"server": "nginx"' in line
    assert '"path": "/images/counted/1.tif"' in line
    assert '"status": 200' in line


def test_metrics_go_on_while_the_broker_is_away(
    repository: OriginServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The worker's server serves the metrics that do not come from Redis."""
    port = str(free_port())
    folder = tmp_path_factory.mktemp("away")
    with running_installation(folder, repository.url, *ONE_WORKER, METRICS_PORT=port, METRICS_TOKEN=TOKEN) as up:
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        place = f"http://127.0.0.1:{port}/metrics"
        assert requests.get(place, timeout=10).status_code == 401
        assert up.request("/metrics").status_code == 401
        assert up.request("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert up.request("/metrics", headers=bearer).status_code == 200
        for pid in up.pids("valkey"):
            os.kill(pid, signal.SIGSTOP)
        try:
            found = samples(requests.get(place, headers=bearer, timeout=30).text)
        finally:
            for pid in up.pids("valkey"):
                os.kill(pid, signal.SIGCONT)
        assert total(found, "mezcal_broker_up") == 0
        assert total(found, "mezcal_store_up") == 1
        assert not [name for name, _, _ in found if name == "mezcal_queued_jobs"]


def test_the_last_hour_has_what_all_processes_counted(own: Installation) -> None:
    """Flushed every ten seconds, which is why this comes last; the pool's by the worker, that of a killed process
    included.
    """

    def hour_is_counted() -> bool:
        minutes = last_hour(own.minutes)
        return (
            sum(minute.hits for minute in minutes) >= 16
            and sum(minute.misses for minute in minutes) >= 8
            and sum(minute.jobs.get("made", 0) for minute in minutes) == 8
            and sum(minute.conversions.count for minute in minutes) == 8
            and sum(minute.waits.count for minute in minutes) >= 8
        )

    until(hour_is_counted, 40, "the counts of the last hour")


def test_each_profile_has_its_own_kind_and_its_own_files(own: Installation) -> None:
    """Of the hits, nginx counts those that it serves. An unknown profile is no kind."""
    for _ in range(2):
        assert own.request("/derivatives/pyramid/counted/7.tif.tif").status_code == 200
    assert own.request("/derivatives/large/counted/7.tif.tif").status_code == 404
    wanted = {
        ("mezcal_requests_total", "miss"): 1,
        ("mezcal_requests_total", "hit"): 1,
        ("mezcal_jobs_total", "made"): 1,
    }
    until(
        lambda: {key: total(scraped(own), key[0], kind="pyramid", outcome=key[1]) for key in wanted} == wanted,
        what="the counts of the pyramid",
    )
    until(lambda: total(scraped(own), "mezcal_store_files", file="pyramid.tif") == 1, 30, "the pyramid's file")
    found = scraped(own)
    assert total(found, "mezcal_store_file_bytes", file="pyramid.tif") > 10_000
    assert total(found, "mezcal_derivative_bytes_total", kind="pyramid") > 10_000
    assert total(found, "mezcal_requests_total", kind="large") == 0
