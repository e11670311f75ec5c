"""Overlays of a stranger cost a bounded amount of work, whatever is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mezcal.convert.fits.draw.overlays import draw_overlays, pen
from mezcal.convert.fits.draw.overlays.pen import TILE, Pen
from mezcal.errors import NoSuchSection
from mezcal.recipe.overlays import Mark, Overlays

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 4 * TILE
KINDS = 2  # masks of each colour and opacity in a tile: edges and lines


@pytest.fixture
def masks(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The boxes of the masks that are drawn."""
    boxes: list[object] = []
    real: Callable[..., Image.Image] = pen._mask

    def counted(near: object, box: object, *others: float) -> Image.Image:
        boxes.append(box)
        return real(near, box, *others)

    monkeypatch.setattr(pen, "_mask", counted)
    return boxes


def test_circles_of_one_colour_share_their_masks(masks: list[object]) -> None:
    """Fifty circles cost as many masks as one of them, and none in the tiles that they only surround."""
    marked = Pen.of(Image.new("RGB", (SIDE, SIDE)))
    for step in range(50):
        marked.circle((SIDE / 2, SIDE / 2), SIDE * 0.45 + step / 10)
    marked.finish()
    outer = 4 * 4 - 2 * 2
    assert len(masks) == KINDS * outer


def test_a_diagonal_line_is_drawn_in_its_own_tiles(masks: list[object]) -> None:
    ends = np.linspace(1, SIDE - 1, 200)
    marked = Pen.of(Image.new("RGB", (SIDE, SIDE)))
    marked.curve(np.stack([ends, ends], 1), (255, 255, 255))
    marked.finish()
    assert len(set(masks)) <= 4 + 6, "those on the diagonal and beside its corners, of 16"


def test_a_line_across_tiles_has_no_gap() -> None:
    picture = Image.new("RGB", (SIDE, TILE))
    marked = Pen.of(picture)
    marked.line(np.array([[0.0, 99.0], [SIDE, 99.0]]))
    marked.circle((TILE, 300), 150)
    marked.finish()
    pixels = np.asarray(picture)
    assert pixels[98:100, 1:-1].max(axis=(0, 2)).min() > 200
    turns = np.linspace(0, 2 * np.pi, 500)
    places = np.stack([300 + 150 * np.sin(turns), TILE + 150 * np.cos(turns)]).astype(int)
    around = [pixels[y - 1 : y + 2, x - 1 : x + 2, 0].max() for y, x in places.T]
    assert min(around) > 150


def test_faint_lines_are_as_faint_where_they_cross() -> None:
    picture = Image.new("RGB", (100, 100))
    marked = Pen.of(picture)
    for ends in ([[0.0, 50.0], [100.0, 50.0]], [[50.0, 0.0], [50.0, 100.0]]):
        marked.curve(np.array(ends), (255, 255, 255), 4, opacity=0.5)
    marked.finish()
    assert picture.getpixel((50, 50)) == picture.getpixel((20, 50))


def test_too_many_marks_for_a_large_picture_are_refused() -> None:
    overlays = Overlays(circle=(Mark(None, 5.0),) * 50, crosshair=(Mark(None),) * 50)
    with pytest.raises(NoSuchSection, match=r"100 marks: on 4,000 x 2,200 pixels there may be 95\. Ask for fewer"):
        draw_overlays(Image.new("RGB", (4000, 2200)), overlays, view=None, label=None)  # type: ignore[arg-type]
