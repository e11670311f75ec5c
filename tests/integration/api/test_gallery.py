"""What the operator's page shows of derivatives and workers, as the job table keeps it: bounded, and true."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from PIL import Image

from mezcal.convert.preview import preview
from mezcal.jobs import JobPolicy, JobTable, Keys, recent, workers
from mezcal.recipe import Mezzanine

if TYPE_CHECKING:
    from tests.support.broker import Broker


@pytest.fixture
def table(broker: Broker) -> JobTable:
    return JobTable(broker.client(), Keys(f"{uuid4().hex}:"), JobPolicy())


def jpeg(width: int, height: int, *, progressive: bool = False) -> io.BytesIO:
    file = io.BytesIO()
    Image.new("L", (width, height), 128).save(file, "JPEG", progressive=progressive)
    file.seek(0)
    return file


def test_the_largest_are_kept_and_no_more_than_a_hundred(table: JobTable) -> None:
    for number in range(150):
        recent.note_size(table, Mezzanine(f"{number}.tif"), 1000 + number)
    kept = [recipe["path"] for recipe in recent.largest(table)]
    assert kept[:2] == ["149.tif", "148.tif"]
    assert len(kept) == 100


def test_one_that_was_made_anew_counts_once_with_its_new_size(table: JobTable) -> None:
    for size in (9, 3):
        recent.note_size(table, Mezzanine("a.tif"), size)
    recent.note_size(table, Mezzanine("b.tif"), 5)
    assert [recipe["path"] for recipe in recent.largest(table)] == ["b.tif", "a.tif"]


def test_what_is_gone_leaves_the_list(table: JobTable) -> None:
    recent.note_size(table, Mezzanine("a.tif"), 9)
    recent.gone(table, [Mezzanine("a.tif")])
    assert recent.largest(table) == []


def test_a_preview_is_asked_for_once_and_then_there(table: JobTable) -> None:
    recipe = Mezzanine("a.tif")
    assert [recent.wanted_first(table, recipe) for _ in range(3)] == [True, False, False]
    assert recent.preview(table, recipe.key) is None
    recent.keep_preview(table, recipe, b"a picture")
    assert recent.preview(table, recipe.key) == b"a picture"
    recent.keep_preview(table, recipe, None)
    assert recent.previews(table, [recipe]) == {recipe.key: recent.NONE}
    assert recent.preview(table, recipe.key) is None


def test_every_key_of_this_expires(table: JobTable) -> None:
    recent.note_size(table, Mezzanine("a.tif"), 9)
    recent.keep_preview(table, Mezzanine("a.tif"), b"x")
    workers.sign_in(table, workers.Worker("mezcal@host:1", 2, ("bulk",)))
    assert all(table.redis.ttl(key) > 0 for key in table.redis.scan_iter(f"{table.keys.prefix}*"))


def test_a_worker_is_there_until_it_leaves(table: JobTable) -> None:
    one, other = workers.Worker("mezcal@a:1", 2, ("bulk", "interactive")), workers.Worker("mezcal@b:1", 4, ("bulk",))
    for worker in (one, other):
        workers.sign_in(table, worker)
    workers.sign_off(table, other)
    (seen,) = workers.workers_seen(table)
    assert (seen.worker, seen.silent) == (one, False)


def test_a_worker_that_says_nothing_any_more_is_told_of_as_silent(table: JobTable) -> None:
    workers.sign_in(table, workers.Worker("mezcal@a:1", 2, ("bulk",)))
    (member,) = table.redis.zrange(table.keys.workers, 0, -1)
    table.redis.zincrby(table.keys.workers, -30, member)
    (seen,) = workers.workers_seen(table)
    assert seen.silent
    assert 29 < seen.seconds < 40
    table.redis.zincrby(table.keys.workers, -workers.KEPT, member)
    assert workers.workers_seen(table) == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [((3000, 1000), (160, 53)), ((80, 40), (80, 40)), ((1, 5000), (1, 160)), ((161, 161), (160, 160))],
)
def test_a_preview_keeps_the_picture_s_shape_and_is_small(size: tuple[int, int], expected: tuple[int, int]) -> None:
    made = preview(jpeg(*size))
    assert made is not None
    with Image.open(io.BytesIO(made)) as small:
        assert small.size == expected


def test_a_picture_that_would_take_much_memory_gets_no_preview() -> None:
    assert preview(jpeg(4000, 4000, progressive=True)) is None
    assert preview(jpeg(2000, 2000, progressive=True)) is not None


def test_a_huge_one_is_shrunk_while_it_is_read() -> None:
    """200 megapixels, beyond what Pillow opens by itself: the rows that are left out are never held."""
    assert preview(jpeg(20_000, 10_000)) is not None


def test_what_is_no_jpeg_is_refused() -> None:
    with pytest.raises(OSError, match="identify"):
        preview(io.BytesIO(b"GIF89a nothing of the kind"))
