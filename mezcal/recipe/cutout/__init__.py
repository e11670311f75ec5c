"""Which part of a frame a cutout shows, as clients write it."""

from mezcal.recipe.cutout.cutout import Cutout, decimal
from mezcal.recipe.cutout.misspelled import check_names
from mezcal.recipe.cutout.notes import read_note, write_note

__all__ = ["Cutout", "check_names", "decimal", "read_note", "write_note"]
