"""Finds misspelled names of parameters, so that no client gets the whole frame where it asked for a part.

Parameters that thumbnail-service ignored are ignored as before, as far as they mean nothing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.cutout.named_frames import BANDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OLD = frozenset(
    {"width", "height", "label", "color", "median", "percentile", "quality", "image", "look", "limits", "stretch"}
    | {"invert", "colormap", "orient", "hdu", "plane"}
)
NEW = (
    *("ra", "dec", "x", "y", "size", "vmin", "vmax", "zoom", "resample"),
    *("compass", "scalebar", "grid", "crosshair", "circle", "format", "mosaic", *BANDS, "Q"),
    *(f"{band}_{what}" for what in ("weight", "vmin", "vmax") for band in BANDS),
)
ALIASES = {
    "ra": ("ra_deg", "radeg", "raj2000", "right_ascension"),
    "dec": ("dec_deg", "decdeg", "decl", "dej2000", "declination"),
    "size": ("radius", "fov", "sizepix", "size_pix", "cutout_size"),
    "vmin": ("z1", "zmin"),
    "vmax": ("z2", "zmax"),
    "format": ("fmt", "filetype"),
    "scalebar": ("scale_bar",),
    "crosshair": ("crosshairs",),
    "circle": ("circles",),
    **{f"{band}_weight": (f"weight_{band}", f"{band}_scale") for band in BANDS},
    **{f"{band}_vmin": (f"vmin_{band}", f"{band}_min") for band in BANDS},
    **{f"{band}_vmax": (f"vmax_{band}", f"{band}_max") for band in BANDS},
}
OF_A_CUTOUT = frozenset({"ra", "dec", "x", "y", "size"})
LETTERS_MIN = 4  # of a name that is compared by its letters: shorter ones are like many words


def check_names(given: Iterable[str]) -> None:
    """Raise `BadRecipe` for a name in *given* that is none of ours but like one, with that one."""
    for name in given:
        if name not in OLD and name not in NEW:
            meant = _meant(name)
            if meant:
                hint = " It is the whole side, twice the radius" if name.strip().lower() == "radius" else ""
                raise BadRecipe(f"{name[:40]!r} is no parameter: did you mean {meant}?{hint}")


def without_ignored(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns *given* without parameters that clients of thumbnail-service send and that ask for nothing.

    They are `format=json`, which clients of REST frameworks add, and `x` or `y` all alone, which is a number that keeps
    browsers from using their cache. Both together are a cutout that lacks its size.
    """
    of_cutout = {name for name in OF_A_CUTOUT if given.get(name) not in {None, ""}}
    ignored = of_cutout if of_cutout in ({"x"}, {"y"}) else set()
    if str(given.get("format")).lower() == "json":
        ignored = ignored | {"format"}
    return {name: value for name, value in given.items() if name not in ignored}


def _meant(name: str) -> str | None:
    """Returns the new parameter that *name* looks like, None if it looks like none."""
    small = name.strip().lower()
    for new in NEW:
        if small == new.lower() or small in ALIASES.get(new, ()):
            return new
    return next((new for new in NEW if len(new) >= LETTERS_MIN and _is_one_letter_off(small, new)), None)


def _is_one_letter_off(text: str, name: str) -> bool:
    """Returns True if one letter of *name* is missing, added, changed, or in the place of its neighbour."""
    if abs(len(text) - len(name)) > 1:
        return False
    start = next((at for at, (one, other) in enumerate(zip(text, name, strict=False)) if one != other), None)
    if start is None:
        return len(text) != len(name)
    swapped = text[start + 1 : start + 2] + text[start : start + 1] == name[start : start + 2]
    return (
        text[start + 1 :] in {name[start:], name[start + 1 :]}
        or text[start:] == name[start + 1 :]
        or (swapped and text[start + 2 :] == name[start + 2 :])
    )
