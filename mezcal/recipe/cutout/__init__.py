"""Which part of a frame a cutout shows, as clients write it."""

from mezcal.recipe.cutout.cutout import Cutout, decimal
from mezcal.recipe.cutout.misspelled import check_names, without_ignored
from mezcal.recipe.cutout.notes import read_note, write_note
from mezcal.recipe.cutout.rgb import RgbFrames, parse_rgb

__all__ = ["Cutout", "RgbFrames", "check_names", "decimal", "parse_rgb", "read_note", "without_ignored", "write_note"]
