"""What is drawn over a picture at its final size: compass, scale bar, grid, marks."""

from mezcal.convert.fits.draw.overlays.draw_overlays import draw_overlays

__all__ = ["draw_overlays"]
