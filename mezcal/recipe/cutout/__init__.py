"""Which part of a frame a cutout shows, as clients write it."""

from mezcal.recipe.cutout.cutout import Cutout, decimal
from mezcal.recipe.cutout.misspelled import check_names, without_ignored
from mezcal.recipe.cutout.named_frames import CHIPS_NAMED_MAX, NamedFrames, parse_named
from mezcal.recipe.cutout.notes import read_note, write_note

__all__ = [
    "CHIPS_NAMED_MAX",
    "Cutout",
    "NamedFrames",
    "check_names",
    "decimal",
    "parse_named",
    "read_note",
    "without_ignored",
    "write_note",
]
