"""Rows become tiles and the rows of the next level, in several threads.

A band is a row of tiles. When its rows are there, threads code its tiles, a few at a time, and write the mean of each
2 x 2 pixels into the band of the next level. A task waits for the tasks that fill its pixels. The pool starts tasks in
the order in which they are submitted, so those it waits for have been started, and no two wait for each other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mezcal.convert.pyramid.levels import halved

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from numpy.typing import NDArray

    from mezcal.convert.pyramid.levels import Level
    from mezcal.convert.pyramid.tile_coding import TileCoding

TILES_AT_ONCE = 4  # an even number: two tiles become one of the next level
TWO_BUFFERS_MAX = 32 * 2**20  # bytes of a band: a larger one is coded before the next one is filled

Tiles = list[bytes]


@dataclass
class Band:
    """A row of tiles: its *pixels*, how many rows are real, and the *tasks* that code its tiles."""

    pixels: NDArray[Any]
    rows: int
    tasks: deque[Future[Tiles]] = field(default_factory=deque)


class LevelBands:
    """The bands of one level. *below* are those of the next smaller one, None for the smallest.

    *append* gets the level's number and a tile, in the order of the tiles.
    """

    def __init__(
        self,
        level: Level,
        layout: tuple[int, np.dtype[Any]],
        coding: TileCoding,
        pool: Executor,
        append: Callable[[int, bytes], None],
        below: LevelBands | None,
    ) -> None:
        self._level, self._coding, self._pool, self._append, self._below = level, coding, pool, append, below
        self._bands, self._dtype = layout
        self._buffers_left = buffers(level, layout)
        self._started = 0  # bands that are filled, or have been
        self._filling: Band | None = None
        self._under_way: deque[Band] = deque()
        self._feeding: list[list[Future[Tiles]]] = []  # tasks of the level above that fill this band

    def add(self, rows: NDArray[Any]) -> None:
        """Take the next *rows* of the picture."""
        tile, height = self._level.tile, self._level.height
        while len(rows):
            band = self._filling or self._start_band()
            count = min(tile - band.rows, len(rows))
            band.pixels[band.rows : band.rows + count, : self._level.width] = rows[:count]
            band.rows += count
            rows = rows[count:]
            if band.rows == tile or (self._started - 1) * tile + band.rows == height:
                self._code(band)
        self.write_coded()

    def finish(self) -> None:
        """Write all tiles that are still being coded, those of the levels below, too."""
        while self._under_way:
            self._write_oldest()
        if self._below is not None:
            self._below.finish()

    def _start_band(self) -> Band:
        if self._buffers_left:
            self._buffers_left -= 1
            tile = self._level.tile
            pixels = np.empty((tile, self._level.across * tile, self._bands), self._dtype)
        else:
            pixels = self._write_oldest()
        self._started += 1
        self._filling = Band(pixels, 0)
        return self._filling

    def feed(self, tasks: list[Future[Tiles]], rows: int, last: bool) -> None:
        """Take note of the *tasks* that fill the next *rows* of the band, and code it when it is complete."""
        band = self._filling or self._start_band()
        band.rows += rows
        self._feeding.append(tasks)
        if last or len(self._feeding) == 2:
            band.rows = min(band.rows, self._level.height - (self._started - 1) * self._level.tile)
            self._code(band)
            self._feeding = []

    def _code(self, band: Band) -> None:
        """Submit the tasks that code *band* and fill half of the next level's."""
        below, tile = self._below, self._level.tile
        target = None if below is None else below.place(tile // 2 * ((self._started - 1) % 2))
        for number, left in enumerate(range(0, self._level.across, TILES_AT_ONCE)):
            awaited = [tasks[at] for tasks in self._feeding for at in (2 * number, 2 * number + 1) if at < len(tasks)]
            band.tasks.append(self._pool.submit(self._work, band, left * tile, awaited, target))
        self._under_way.append(band)
        self._filling = None
        if below is not None:
            below.feed(list(band.tasks), tile // 2, self._started == self._level.down)

    def place(self, top: int) -> NDArray[Any]:
        """Returns the rows of the band that is filled, from *top* on."""
        band = self._filling or self._start_band()
        return band.pixels[top : top + self._level.tile // 2]

    def _work(self, band: Band, left: int, awaited: list[Future[Tiles]], target: NDArray[Any] | None) -> Tiles:
        """Returns the coded tiles from the column *left* on. Runs in a thread of the pool."""
        for task in awaited:
            task.result()
        tile = self._level.tile
        pixels = band.pixels[:, left : left + TILES_AT_ONCE * tile]
        repeat_edges(pixels, band.rows, self._level.width - left)
        if target is not None:
            means = halved(pixels, alpha=self._bands in (2, 4))
            target[:, left // 2 : left // 2 + means.shape[1]] = means
        return [self._coding.encode(pixels[:, at : at + tile]) for at in range(0, pixels.shape[1], tile)]

    def write_coded(self) -> None:
        """Write the tiles that are coded already, of this level and those below."""
        while self._under_way and self._under_way[0].tasks and self._under_way[0].tasks[0].done():
            self._write_task(self._under_way[0])
        if self._below is not None:
            self._below.write_coded()

    def _write_task(self, band: Band) -> None:
        for tile in band.tasks.popleft().result():
            self._append(self._level.index, tile)

    def _write_oldest(self) -> NDArray[Any]:
        """Write all tiles of the oldest band that is being coded. Returns its buffer, which is free then."""
        band = self._under_way.popleft()
        while band.tasks:
            self._write_task(band)
        return band.pixels


def repeat_edges(pixels: NDArray[Any], rows: int, columns: int) -> None:
    """Fill *pixels* beyond the first *rows* and *columns* with the last of them: they are coded and averaged, too."""
    pixels[rows:, :columns] = pixels[rows - 1, :columns]
    if columns < pixels.shape[1]:
        pixels[:, columns:] = pixels[:, columns - 1 : columns]


def buffers(level: Level, layout: tuple[int, np.dtype[Any]]) -> int:
    """Returns how many bands of *level* are in memory at a time: of the largest two, if they are not too wide."""
    return 2 if level.index == 0 and band_bytes(level, layout) <= TWO_BUFFERS_MAX else 1


def band_bytes(level: Level, layout: tuple[int, np.dtype[Any]]) -> int:
    """Returns the bytes of a band of *level*. *layout* is the number of samples a pixel, and their type."""
    bands, dtype = layout
    return level.across * level.tile**2 * bands * dtype.itemsize
