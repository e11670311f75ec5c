"""What a client can ask for, as frozen values: equal requests give equal recipes, and equal recipes have equal keys."""

from mezcal.recipe.key import key_of
from mezcal.recipe.message import Recipe, from_json, known_recipe
from mezcal.recipe.mezzanine import Mezzanine
from mezcal.recipe.path import PATH_MAX
from mezcal.recipe.profile import (
    EXTENSIONS,
    MEDIA_TYPES,
    MEZZANINE,
    OF_FRAMES,
    PYRAMID,
    Profile,
    chosen_profiles,
    profiles_of,
)
from mezcal.recipe.thumbnail import FRAME_NAME_MAX, Frame, Thumbnail
from mezcal.recipe.thumbnail_options import ThumbnailOptions

__all__ = [
    "EXTENSIONS",
    "FRAME_NAME_MAX",
    "MEDIA_TYPES",
    "MEZZANINE",
    "OF_FRAMES",
    "PATH_MAX",
    "PYRAMID",
    "Frame",
    "Mezzanine",
    "Profile",
    "Recipe",
    "Thumbnail",
    "ThumbnailOptions",
    "chosen_profiles",
    "from_json",
    "key_of",
    "known_recipe",
    "profiles_of",
]
