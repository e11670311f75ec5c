"""Masters that stay open for the next job of the same masters."""

from __future__ import annotations

import pytest

from mezcal.errors import MasterIncomplete, OutOfMemory, TooLarge, Undecodable
from mezcal.origin.kept_masters import KeptMasters
from tests.integration.origin import BIG, MASTER


@pytest.fixture
def kept(repository):
    masters = KeptMasters(repository(), keep=True)
    yield masters
    masters.close()


def test_the_next_job_reads_the_same_master_from_its_beginning_without_a_request(origin, kept):
    with kept.open("a.tif") as master:
        assert master.file.read(1000) == MASTER[:1000]
    assert kept.any_open
    assert kept.holds("a.tif")
    with kept.open("a.tif") as master:
        assert master.file.read() == MASTER
        master.complete()
    assert origin.count() == 1


def test_what_still_reads_after_its_job_fails_and_disturbs_no_other(kept):
    with kept.open("a.tif") as master:
        left = master.file
    with kept.open("a.tif") as master:
        with pytest.raises(ValueError, match="closed"):
            left.read(10)
        assert master.file.read() == MASTER


def test_a_master_that_broke_off_is_requested_again(origin, kept):
    origin.script("a.tif", cut_at=1000, cuts=-1)
    with pytest.raises(MasterIncomplete), kept.open("a.tif") as master:
        master.complete()
    assert not kept.any_open
    origin.script("a.tif")
    with kept.open("a.tif") as master:
        assert master.file.read() == MASTER


def read_and_fail(kept, failure):
    """A job that reads the whole master, and fails."""
    with kept.open("a.tif") as master:
        master.complete()
        raise failure


@pytest.mark.parametrize("failure", [Undecodable("page 1"), TooLarge("page 2")])
def test_a_whole_master_stays_open_when_one_picture_of_it_cannot_be_made(origin, kept, failure):
    with pytest.raises(type(failure)):
        read_and_fail(kept, failure)
    assert kept.any_open
    assert origin.count() == 1


def test_a_master_that_has_not_arrived_is_closed_after_a_failure(origin, kept):
    origin.script("big.tif", hold_at=100_000)
    with pytest.raises(TooLarge), kept.open("big.tif"):
        raise TooLarge("too many pixels")
    assert not kept.any_open


def test_a_failure_that_is_not_the_masters_closes_it(kept):
    with pytest.raises(OutOfMemory):
        read_and_fail(kept, OutOfMemory("no memory"))
    assert not kept.any_open


def test_the_time_in_which_masters_arrive_is_known(origin, kept):
    origin.script("big.tif", rate=len(BIG) / 0.3)
    with kept.open("big.tif") as master:
        assert kept.arrival == 0
        master.complete()
    assert 0.2 < kept.arrival < 20


def test_unless_it_is_to_be_kept_a_master_is_closed_by_each_job(origin, repository):
    masters = KeptMasters(repository(), keep=False)
    for _ in range(2):
        with masters.open("a.tif") as master:
            assert master.file.read() == MASTER
    assert not masters.any_open
    assert origin.count() == 2
