"""Crosshairs and circles at positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mezcal.convert.fits.draw.overlays.pen import YELLOW

if TYPE_CHECKING:
    from mezcal.convert.fits.draw.overlays.pen import Pen
    from mezcal.convert.fits.draw.overlays.sky_view import SkyView
    from mezcal.recipe.overlays import Mark

ARM_SHARE, ARM_MIN, ARM_MAX = 0.05, 6.0, 24.0  # of the picture's smaller side; pixels
GAP = 0.4  # of an arm, that is free around the position: the source itself stays visible


def draw_crosshair(pen: Pen, view: SkyView, mark: Mark) -> None:
    """Draw four lines around the position of *mark*. Nothing is drawn if it is outside of the picture."""
    centre = _place(view, mark)
    arm = min(ARM_MAX, max(ARM_MIN, ARM_SHARE * min(view.size)))
    if centre is not None and view.contains(np.array([centre]), arm).all():
        for direction in ([1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]):
            pen.line(np.array([np.multiply(reach * arm, direction) + centre for reach in (GAP, 1 + GAP)]), YELLOW)


def draw_circle(pen: Pen, view: SkyView, mark: Mark) -> None:
    """Draw the circle of *mark*. Nothing is drawn if no part of it is in the picture."""
    centre, radius = _place(view, mark), (mark.radius or 0) / view.scale
    if centre is not None and radius < 4 * sum(view.size) and view.contains(np.array([centre]), radius).all():
        pen.circle(centre, radius)


def _place(view: SkyView, mark: Mark) -> tuple[float, float] | None:
    """Returns the point of the picture that *mark* names, None if it is on the other side of the sky."""
    if mark.position is None:
        return view.centre
    (x, y) = view.points_of(np.array([mark.position]))[0].tolist()
    return (x, y) if np.isfinite([x, y]).all() else None
