"""A spiral galaxy in a field of stars, as a telescope's camera would count it: 16 bits of grey."""

from __future__ import annotations

import numpy as np

from tools.draw_samples.canvas import Pixels, grid

SIZE = 960
STEP = 192  # counts that the camera tells apart; a finer one would be noise, which no compression likes


def galaxy() -> Pixels:
    """960 x 960 pixels of uint16, black 0 and white 65535."""
    rng = np.random.default_rng(3)
    light = _spiral(rng) + _stars(rng, 900)
    light += 0.012 + 0.0003 * rng.standard_normal((SIZE, SIZE))
    counts = 65535 * np.arcsinh(light.clip(0, None) * 9) / np.arcsinh(14)
    return np.asarray((counts.clip(0, 65535) // STEP * STEP).astype(np.uint16))


def _spiral(rng: np.random.Generator) -> Pixels:
    """A disc with two arms along logarithmic spirals, a bulge, dust lanes and knots of young stars."""
    x, y = grid(SIZE, SIZE)
    across, up = (x - 465) / 293, (y - 494) / 293
    turned, tilted = across * 0.84 + up * 0.54, (up * 0.84 - across * 0.54) * 1.75
    radius = np.hypot(turned, tilted) + 1e-3
    angle = np.arctan2(tilted, turned) + 0.35 * _clouds(rng, 5)
    phase = 2 * (angle - 2.25 * np.log(radius))
    arms = np.exp(1.7 * (np.cos(phase) - 1)) * np.clip(radius / 0.25, 0, 1) ** 1.5
    dust = 1 - 0.75 * np.exp(5 * (np.cos(phase - 0.75) - 1)) * np.clip(1.6 - radius, 0, 1)
    disc = np.exp(-radius / 0.5)
    bulge = 1.1 * np.exp(-radius / 0.075) + 0.5 * np.exp(-((radius / 0.2) ** 2))
    texture = np.exp(0.75 * _clouds(rng, 24))
    return np.asarray((disc * (0.1 + 1.25 * arms * texture) * dust) + bulge)


def _clouds(rng: np.random.Generator, cells: int) -> Pixels:
    """Smooth noise about 0: random heights on a lattice, halving in size over four octaves."""
    total = np.zeros((SIZE, SIZE))
    for octave in range(4):
        count = cells * 2**octave + 2
        lattice = rng.standard_normal((count, count))
        at = np.linspace(0, count - 1.001, SIZE)
        low, part = at.astype(int), at - at.astype(int)
        ease = part * part * (3 - 2 * part)
        rows = lattice[low] * (1 - ease)[:, None] + lattice[low + 1] * ease[:, None]
        total += (rows[:, low] * (1 - ease) + rows[:, low + 1] * ease) / 1.7**octave
    return total / 1.4


def _stars(rng: np.random.Generator, count: int) -> Pixels:
    """Points of light spread by the air; the brightest get the cross of the mirror's mount."""
    light = np.zeros((SIZE, SIZE))
    for _ in range(count):
        brightness = 0.02 * rng.pareto(1.5) + 0.008
        _add(light, rng.uniform(0, SIZE, 2), min(brightness, 2.2))
    return light


def _add(light: Pixels, place: Pixels, brightness: float) -> None:
    reach = int(min(150, 14 + 60 * brightness))
    x, y = place.astype(int)
    rows, columns = slice(max(0, y - reach), y + reach), slice(max(0, x - reach), x + reach)
    dy, dx = np.mgrid[
        rows.start - y : light[rows].shape[0] + rows.start - y,
        columns.start - x : light[:, columns].shape[1] + columns.start - x,
    ]
    away = np.hypot(dx - place[0] % 1, dy - place[1] % 1)
    spread = brightness * (np.exp(-((away / 1.5) ** 2)) + 0.03 * np.exp(-away / 6))
    if brightness > 0.35:
        thin = np.exp(-np.abs(dx) / 1.1) * np.exp(-np.abs(dy) / (reach / 5)) + np.exp(-np.abs(dy) / 1.1) * np.exp(
            -np.abs(dx) / (reach / 5)
        )
        spread += 0.16 * brightness * thin
    light[rows, columns] += spread
