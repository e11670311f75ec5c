"""Lists of masters: what a line may hold, and that no line can be too much."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from mezcal.commands.terminal.printable import printable
from mezcal.ingest.lists import LINE_MAX, in_batches, read_lines
from mezcal.ingest.manifests import Skipped
from mezcal.ingest.names import MasterNames
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_lines_are_paths_with_any_line_ending_and_empty_ones_are_skipped() -> None:
    assert list(read_lines(io.StringIO("a.tif\r\n\n b c.tif \nlast", newline="\n"))) == ["a.tif", " b c.tif ", "last"]


def test_a_line_without_end_is_refused_once_and_the_next_one_read() -> None:
    file = io.StringIO("x" * (3 * LINE_MAX) + "\ngood.tif\n")
    refused, good = MasterNames(None).masters_of_list(read_lines(file))
    assert isinstance(refused, Skipped)
    assert "longer than" in refused.why
    assert good == Mezzanine("good.tif")


def test_what_is_not_a_path_is_reported_in_one_printable_line() -> None:
    [refused] = MasterNames(None).masters_of_list(["a\x1b[31m\udcff"])
    assert isinstance(refused, Skipped)
    assert printable(refused.what) == "a\N{REPLACEMENT CHARACTER}[31m\\udcff"
    assert printable("b" * 500) == "b" * 200 + ".."


def test_batches_are_full_or_have_waited_long_enough() -> None:
    assert list(in_batches(range(5), 2, 60)) == [[0, 1], [2, 3], [4]]
    assert list(in_batches(iter(range(3)), 100, 0)) == [[0], [1], [2]]
    assert list(in_batches([], 2, 60)) == []


def test_a_list_is_read_as_it_comes() -> None:
    """The first batch is returned before the second line is read."""

    def unread_end() -> Iterator[str]:
        yield "first"
        raise AssertionError("the second line was read")

    assert next(in_batches(unread_end(), 1, 60)) == ["first"]
