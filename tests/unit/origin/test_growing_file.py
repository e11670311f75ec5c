"""A growing scratch file reads like the file it will be, wherever a reader jumps."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mezcal.errors import MasterIncomplete
from mezcal.origin.growing_file import GrowingFile, ScratchFile
from mezcal.origin.retries import RetryBudget

MASTER = os.urandom(50_000)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("seek"), st.integers(0, 60_000), st.just(os.SEEK_SET)),
        st.tuples(st.just("seek"), st.integers(-50_000, 100), st.just(os.SEEK_END)),
        st.tuples(st.just("read"), st.integers(0, 30_000)),
        st.tuples(st.just("read1"), st.just(0)),
        st.tuples(st.just("tell")),
    ),
    max_size=30,
)


def scratch(size):
    return ScratchFile(Path(tempfile.gettempdir()), size, RetryBudget(2, 600))


def arrive(scratch, pieces):
    """Write as a download does, in another thread."""

    def run():
        at = 0
        for length in pieces:
            scratch.write(at, MASTER[at : at + length])
            at = min(at + length, len(MASTER))
        scratch.write(at, MASTER[at:])
        scratch.end()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@settings(max_examples=60)
@given(steps=steps, pieces=st.lists(st.integers(1, 20_000), max_size=8), size=st.sampled_from([None, 50_000]))
def test_a_growing_file_reads_like_the_whole_one(steps, pieces, size):
    growing = scratch(size)
    whole, thread = io.BytesIO(MASTER), arrive(growing, pieces)
    with io.BufferedReader(GrowingFile(growing, lambda at: None), 4096) as file:
        for name, *given in steps:
            assert getattr(file, name)(*given) == getattr(whole, name)(*given)
    thread.join()
    growing.release()
    growing.release()


def test_what_was_fetched_ahead_is_read_without_waiting():
    growing = scratch(50_000)
    growing.write(0, MASTER[:1000])
    growing.write_ahead(40_000, MASTER[40_000:])
    with io.BufferedReader(GrowingFile(growing, lambda at: None), 4096) as file:
        file.seek(45_000)
        assert file.read() == MASTER[45_000:]
    growing.write(1000, MASTER[1000:])
    growing.release()
    growing.release()


def test_bytes_that_differ_from_those_already_read_are_refused():
    growing = scratch(None)
    growing.write(0, MASTER[:1000])
    growing.write(500, MASTER[500:1500])
    with pytest.raises(MasterIncomplete, match="changed"):
        growing.write(0, MASTER[1:2000])
    growing.release()
    growing.release()


def test_a_position_before_the_beginning_is_refused():
    growing = scratch(10)
    file = GrowingFile(growing, lambda at: None)
    with pytest.raises(ValueError, match="beginning"):
        file.seek(-11, os.SEEK_END)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.readinto(bytearray(1))
    growing.release()
    growing.release()
