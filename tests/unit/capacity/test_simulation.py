"""The simulation against queues that have a formula, and against the rules that the installation has."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import pytest

from mezcal.capacity.report import estimate, workers_needed
from mezcal.capacity.simulated import Simulation, TooManyEvents, clock
from mezcal.capacity.simulated.circuit import SimulatedCircuit
from mezcal.capacity.values import MIB, Load, Outcome, Site, Work
from mezcal.jobs.state.policy import JobPolicy

PATIENT = {"wait_seconds": 1e9, "waiters": 10**9}  # nobody gives up
ONE_SECOND = Work(master=1, cpu=1, latency=0, overhead=0, spread=0)
TWO_PROCESSES = Site(cores=2, processes=2, reserve=0, bandwidth=1e12, **PATIENT)


def simulated(site: Site, work: Work, load: Load) -> Outcome:
    return Simulation(site, work, load).run()


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.8])
def test_one_process_waits_as_pollaczek_and_khinchin_say(rate: float) -> None:
    """M/D/1: the mean wait in the queue is rate / (2 (1 - rate)) for a service of one second."""
    found = simulated(replace(TWO_PROCESSES, processes=1), ONE_SECOND, Load(asks=rate, seconds=10_000))
    assert mean(found.waits) == pytest.approx(1 + rate / (2 * (1 - rate)), rel=0.15)
    assert found.busy["processes"] == pytest.approx(rate, rel=0.05)


def test_two_processes_wait_as_erlang_says() -> None:
    """M/M/2 at three quarters: 1.286 s in the queue. A spread of 1 has the variance of an exponential time."""
    found = simulated(TWO_PROCESSES, replace(ONE_SECOND, spread=1), Load(asks=1.5, seconds=15_000))
    assert mean(found.waits) == pytest.approx(2.286, rel=0.1)


def test_conversions_share_the_cores_and_downloads_the_bandwidth() -> None:
    slow = simulated(replace(TWO_PROCESSES, cores=1), ONE_SECOND, Load(backlog=10, seconds=100))
    assert slow.made == 10
    assert slow.busy["cores"] == pytest.approx(0.1), "ten seconds of work in a hundred"
    held_up = simulated(
        replace(TWO_PROCESSES, bandwidth=10), replace(ONE_SECOND, master=100), Load(backlog=4, seconds=30)
    )
    assert held_up.made == 2, "400 bytes at ten a second: two ended after 20 seconds"
    assert held_up.busy["repository"] == pytest.approx(1)


def test_clients_come_before_a_backlog_and_have_a_process_of_their_own() -> None:
    load = Load(asks=0.1, backlog=10_000, seconds=3000)
    long = replace(ONE_SECOND, cpu=10)
    reserved = simulated(replace(TWO_PROCESSES, reserve=1), long, load)
    shared = simulated(TWO_PROCESSES, long, load)
    assert reserved.wait(0.5) < 16
    assert shared.wait(0.5) > reserved.wait(0.5)
    assert reserved.made_bulk > 150


def test_many_clients_of_one_image_are_one_job() -> None:
    found = simulated(TWO_PROCESSES, ONE_SECOND, Load(asks=1000, images=1, seconds=5))
    assert found.made == 1
    assert found.joined == len(found.waits) - 1
    assert found.hits > 3000


def test_a_bulk_job_that_a_client_asks_for_comes_next() -> None:
    simulation = Simulation(TWO_PROCESSES, ONE_SECOND, Load(seconds=10))
    for _ in range(100):
        simulation.context.jobs.start_bulk()
    last = min(simulation.context.jobs.by_image)
    simulation.context.clock.later(3.5, lambda: simulation.clients.ask(last, "client"))
    outcome = simulation.run()
    assert outcome.waits == [pytest.approx(1.5)], "the processes end their jobs at 4.0"


def test_clients_are_answered_503_after_their_time_and_refused_without_a_place() -> None:
    site = replace(TWO_PROCESSES, wait_seconds=5, waiters=8)
    found = simulated(site, replace(ONE_SECOND, cpu=60), Load(asks=2, seconds=100))
    assert found.expired > 50
    assert found.refused > 10
    assert found.most_waiting == 8
    assert max(found.waits) == 5


def test_a_client_with_a_thousand_images_does_not_hold_up_the_next_one() -> None:
    simulation = Simulation(TWO_PROCESSES, ONE_SECOND, Load(seconds=13))
    for image in range(1000):
        simulation.context.clock.later(0, lambda image=image: simulation.clients.ask(image, "many"))
    simulation.context.clock.later(10.5, lambda: simulation.clients.ask(5000, "one"))
    simulation.run()
    assert 5000 in simulation.context.jobs.stored, "made within 2.5 seconds"


def test_memory_admits_as_many_conversions_as_fit() -> None:
    work = replace(ONE_SECOND, memory=600 * MIB)
    found = simulated(replace(TWO_PROCESSES, memory=1024 * MIB), work, Load(backlog=10, seconds=5.5))
    assert found.made == 5, "one at a time"
    assert found.busy["memory"] == pytest.approx(1), "a second one has no room"


def test_jobs_without_a_place_at_the_repository_come_again() -> None:
    found = simulated(replace(TWO_PROCESSES, places=1), ONE_SECOND, Load(backlog=4, seconds=60))
    assert found.made == 4
    assert 4 / 120 < found.busy["processes"] < 0.1, "those without a place hold their process for two seconds"


FLAKY = Load(asks=2, bulk=0.2, seconds=1200, outage=(300, 600))


def test_a_repository_that_fails_is_paused_and_hardly_asked() -> None:
    """The breaker opens after five jobs; then one probe in half a minute is all that it gets."""
    found = simulated(replace(TWO_PROCESSES, workers=4), ONE_SECOND, FLAKY)
    assert 5 <= found.failed < 30
    assert 450 < found.paused < 700, "of 600 that ask in the outage"
    assert found.made_again is not None
    assert found.made_again < 32, "a pause lasts 30 s at most"
    assert found.failed_bulk == 0
    assert found.made_bulk > 200, "those of the outage are made after it"


def test_a_healthy_repository_that_fails_some_requests_is_not_paused() -> None:
    found = simulated(TWO_PROCESSES, ONE_SECOND, Load(asks=0.5, seconds=1000, failing=0.1))
    assert found.failed < 5, "a request is repeated twice"
    assert found.paused == 0


def test_the_breaker_follows_the_rules_of_the_job_table() -> None:
    circuit = SimulatedCircuit(JobPolicy())
    for job in (1, 1, 2, 3, 4):
        circuit.report_failure(0, job)
    assert circuit.is_suspect(0)
    assert circuit.pause(0) == 0, "four jobs, one of them twice"
    circuit.report_failure(0, 5)
    assert (circuit.pause(0), circuit.admission_pause(14)) == (15, 1)
    circuit.note_admitted(15)
    assert circuit.admission_pause(16) == 29, "one job probes"
    circuit.report_failure(17, 6)
    assert circuit.pause(17) == 30, "twice as long"
    circuit.report_failed_probe(50)
    assert circuit.pause(50) == 30, "at most"
    assert circuit.report_health(), "delayed jobs are tried again"
    assert not circuit.is_suspect(50)


def test_delayed_jobs_are_tried_soon_after_an_outage_and_lost_ones_counted() -> None:
    load = Load(bulk=1, seconds=900, outage=(100, 200))
    found = simulated(replace(TWO_PROCESSES, workers=2), ONE_SECOND, load)
    assert found.delayed_at_end == found.failed_bulk == 0
    assert found.made == pytest.approx(900, rel=0.15)


def test_a_backlog_of_any_length_takes_no_memory_and_no_time() -> None:
    found = simulated(TWO_PROCESSES, ONE_SECOND, Load(backlog=53_000_000, seconds=100))
    assert (found.made, found.unfinished) == (200, 52_999_800)


def test_a_client_has_its_share_of_processes_only_while_others_ask() -> None:
    site = replace(TWO_PROCESSES, processes=8, cores=8, share=0.5)
    simulation = Simulation(site, replace(ONE_SECOND, cpu=50), Load(seconds=4))
    for image in range(20):
        simulation.context.clock.later(1, lambda image=image: simulation.clients.ask(image, "many"))
    simulation.context.clock.later(0.5, lambda: simulation.clients.ask(100, "one"))
    simulation.run()
    assert simulation.processes.running["many"] == 3, "half of its own and the free ones"
    alone = Simulation(site, replace(ONE_SECOND, cpu=50), Load(seconds=4))
    for image in range(20):
        alone.context.clock.later(1, lambda image=image: alone.clients.ask(image, "many"))
    alone.run()
    assert alone.processes.running["many"] == 8


def test_a_load_that_would_take_minutes_to_simulate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "EVENTS_MOST", 10_000)
    with pytest.raises(TooManyEvents):
        simulated(TWO_PROCESSES, ONE_SECOND, Load(asks=1e6, seconds=600))
    with pytest.raises(TooManyEvents) as endless:
        simulated(replace(TWO_PROCESSES, workers=64), replace(ONE_SECOND, cpu=0.0001), Load(backlog=10**9, seconds=1e6))
    assert 0 < endless.value.seconds < 1


def test_the_workers_that_are_needed_keep_waits_below_the_wish() -> None:
    load = Load(asks=8, seconds=120)
    needed = workers_needed(TWO_PROCESSES, ONE_SECOND, load, wait=3)
    assert needed is not None
    assert 4 < needed < 8
    assert simulated(replace(TWO_PROCESSES, workers=needed), ONE_SECOND, load).wait(0.95) <= 3
    assert workers_needed(replace(TWO_PROCESSES, bandwidth=1), replace(ONE_SECOND, master=100), load, wait=3) is None


def test_the_part_that_is_used_most_is_named_first() -> None:
    busy = estimate(TWO_PROCESSES, ONE_SECOND, Load(asks=1.8, seconds=1000))
    assert busy.first in {"processes of workers", "processes that take bulk jobs", "cores of workers"}
    slow = estimate(
        replace(TWO_PROCESSES, bandwidth=10), replace(ONE_SECOND, master=20, cpu=0.1), Load(backlog=50, seconds=60)
    )
    assert slow.first == "the repository's bandwidth", "the processes are busy because they wait for it"
    small = estimate(replace(TWO_PROCESSES, memory=100 * MIB), ONE_SECOND, Load(backlog=500, seconds=60))
    assert small.first == "memory of workers"
    many = estimate(replace(TWO_PROCESSES, workers=600), ONE_SECOND, Load(asks=1, seconds=20))
    assert many.first == "Redis", "the heartbeats of 600 workers"


def test_clients_may_ask_at_given_times() -> None:
    found = simulated(TWO_PROCESSES, ONE_SECOND, Load(at=(1.0, 1.0, 1.0, 9.0), seconds=20))
    assert sorted(found.waits) == pytest.approx([1, 1, 1, 2])
