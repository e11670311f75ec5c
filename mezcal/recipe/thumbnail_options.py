"""The options of a thumbnail: every parameter of a request, checked and normalised."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mezcal.errors import BadRecipe
from mezcal.recipe.bands import BAND_PARAMETERS, VALUE_MAX, Bands, Lupton, parse_stretch
from mezcal.recipe.cutout import Cutout, decimal
from mezcal.recipe.overlays import Overlays
from mezcal.recipe.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOKS = ("lco", "robust")
LIMITS = ("zscale", "percentile", "minmax")
COLORMAPS = ("gray", "viridis", "inferno", "heat", "ice")
ORIENTS = ("snap", "exact")
WHOLE_MAX = 999_999_999  # more digits are no number of pixels
ROBUST_ONLY = ("stretch", "limits", "invert", "colormap", "orient")
NEW = (  # parameters that are drawn in the robust look, whatever the default look is
    *("ra", "dec", "x", "y", "size", "vmin", "vmax", "zoom", "resample"),
    *("compass", "scalebar", "grid", "crosshair", "circle", "mosaic", *BAND_PARAMETERS, "Q"),
)
FORMATS = ("jpeg", "png", "webp", "fits")
PICTURES_ONLY = (  # parameters of pictures: a FITS file has the frame's own pixels
    *("width", "height", "label", "color", "median", "percentile", "quality", *ROBUST_ONLY),
    *("vmin", "vmax", "zoom", "resample", "compass", "scalebar", "grid", "crosshair", "circle", "mosaic"),
    *(*BAND_PARAMETERS, "Q"),
)
FITS_OPTIONS = ("look", "hdu", "plane", "format")  # that are in the recipe of a FITS file
QUALITY = 80
GROUPS = ("cutout", "overlays", "bands", "lupton")  # each written as parameters of its own
RESAMPLES = ("smooth", "nearest")
ZOOM_MAX = 32


@dataclass(frozen=True, slots=True)
class ThumbnailOptions:
    """All that decides a thumbnail's pixels, except its frames. *width* and *height* are pixels to fit inside.

    *hdu* and *plane* (from 1) are None for the first picture, *cutout* for the whole frame. *vmin* and *vmax* are the
    pixel values of black and white, None for those by *limits*; *bands* are those of each colour. *zoom* enlarges,
    above 1; *resample* is None for smooth. *lupton* is None for the plain curve of *stretch*. *mosaic* puts all chips
    together. Options that a look does not use always have the same value there, so that equal pictures have equal
    recipes.
    """

    look: str = "robust"
    width: int = 200
    height: int = 200
    label: str | None = None
    color: bool = False
    median: bool = False
    percentile: float | None = None
    quality: int = QUALITY
    stretch: str | None = "linear"
    limits: str | None = "zscale"
    invert: bool = False
    colormap: str = "gray"
    orient: str = "snap"
    hdu: str | None = None
    plane: int | None = None
    cutout: Cutout | None = None
    vmin: float | None = None
    vmax: float | None = None
    zoom: float | None = None
    resample: str | None = None
    overlays: Overlays | None = None
    mosaic: bool | None = None
    bands: Bands | None = None
    lupton: Lupton | None = None
    format: str | None = None  # None is jpeg, the only one of before

    @classmethod
    def parse(cls, given: Mapping[str, Any], *, default: str = "robust", max_edge: int = 4096) -> ThumbnailOptions:
        """Returns the options in *given*, the strings of a query or the values of a message. Others are ignored.

        Raises `BadRecipe` with the parameter, its value and what it may be.
        """
        parameters = Parameters(given)
        kind = _format(parameters)
        is_new = not parameters.has("look") and (kind == "fits" or any(map(parameters.asks_for, NEW)))
        look = parameters.one_of("look", LOOKS, "robust" if is_new else default)
        plane = parameters.whole("plane", 0, 1, 1_000_000) or None
        if kind == "fits":
            return cls(hdu=parameters.hdu(), plane=plane, cutout=_section(parameters, look), format=kind)
        own = _lco(parameters, max_edge) if look == "lco" else _robust(parameters, max_edge)
        if kind == "png":
            own["quality"] = QUALITY  # without loss, whatever is asked for
        return cls(look, hdu=parameters.hdu(), plane=plane, format=None if kind == "jpeg" else kind, **own)

    @property
    def puts_together(self) -> bool:
        """True if all frames are chips of one picture. With *color*, each is a colour and may have chips of its own."""
        return bool(self.mosaic) and not self.color

    def as_json(self) -> dict[str, Any]:
        """Returns small JSON, of which `parse` makes the same options again.

        Defaults are written out: they may change later, keys may not. Options that came later are left out where they
        are None, so that no key of before has changed.
        """
        unused = {*GROUPS, *(ROBUST_ONLY if self.look == "lco" else ())}
        values = {name: value for name, value in asdict(self).items() if value is not None and name not in unused}
        if self.format == "fits":
            values = {name: value for name, value in values.items() if name in FITS_OPTIONS}
        for group in (self.cutout, self.overlays, self.bands, self.lupton):
            values |= {} if group is None else group.as_json()
        return values


def _format(parameters: Parameters) -> str:
    """Returns the format of the file: one of `FORMATS`."""
    return "jpeg" if parameters.text("format").lower() == "jpg" else parameters.one_of("format", FORMATS, "jpeg")


def _section(parameters: Parameters, look: str) -> Cutout:
    """Returns the cutout of a FITS file. Raises `BadRecipe` if there is none, or if a picture is described."""
    for name in PICTURES_ONLY:
        if parameters.asks_for(name):
            raise BadRecipe(f"{name} is of pictures: format=fits has the frame's own pixels and no {name}")
    cutout = Cutout.parse(parameters)
    if cutout is None or look == "lco":
        raise BadRecipe("format=fits is of cutouts: name ra, dec or x, y, and size. The archive has the whole frame")
    return cutout


def _lco(parameters: Parameters, max_edge: int) -> dict[str, Any]:
    """Returns the options of the lco look. What thumbnail-service draws is drawn, also if it is out of bounds here."""
    for name in (*ROBUST_ONLY, *NEW):
        if parameters.asks_for(name):
            raise BadRecipe(f"{name} belongs to look=robust: look=lco draws as thumbnail-service did")
    median = parameters.is_not_false("median")
    return {
        "width": min(max_edge, parameters.whole("width", 200, 1, WHOLE_MAX)),
        "height": min(max_edge, parameters.whole("height", 200, 1, WHOLE_MAX)),
        "label": parameters.label_as_given(),
        "color": parameters.is_not_false("color"),
        "quality": min(100, max(1, parameters.whole("quality", 80, 0, WHOLE_MAX))),
        "median": median,
        "percentile": parameters.number("percentile", 99.5, 0, 100) if median else None,
        "stretch": None,
        "limits": None,
    }


def _robust(parameters: Parameters, max_edge: int) -> dict[str, Any]:
    median = parameters.boolean("median")  # black is the median and white the percentile, as in thumbnail-service
    limits = "percentile" if median else parameters.one_of("limits", LIMITS, "zscale")
    percentile = parameters.number("percentile", 99.5, 50, 100)
    cutout = Cutout.parse(parameters)
    zoom = _zoom(parameters)
    edge = 200 if cutout is None and zoom is None else max_edge  # a cutout is as large as its pixels
    vmin, vmax = _values(parameters)
    stretch, lupton = parse_stretch(parameters)
    if cutout is not None and not cutout.on_sky and parameters.boolean("color"):
        raise BadRecipe("x and y are of one frame, and color=true has three: name the centre by ra and dec")
    return {
        "cutout": cutout,
        "vmin": vmin,
        "vmax": vmax,
        "zoom": zoom,
        "resample": "nearest" if parameters.one_of("resample", RESAMPLES, "smooth") == "nearest" else None,
        "overlays": Overlays.parse(parameters),
        "mosaic": parameters.boolean("mosaic") or None,
        "width": parameters.whole("width", edge, 1, max_edge),
        "height": parameters.whole("height", edge, 1, max_edge),
        "label": parameters.label(),
        "color": parameters.boolean("color"),
        "quality": parameters.whole("quality", 80, 1, 100),
        "median": median,
        "percentile": percentile if limits == "percentile" else None,
        "stretch": stretch,
        "lupton": lupton,
        "bands": Bands.parse(parameters),
        "limits": limits,
        "invert": parameters.boolean("invert"),
        "colormap": parameters.one_of("colormap", COLORMAPS, "gray"),
        "orient": parameters.one_of("orient", ORIENTS, "snap"),
    }


def _values(parameters: Parameters) -> tuple[float | None, float | None]:
    """Returns the pixel values that are black and white, None for one that is not given."""
    vmin, vmax = (
        decimal(parameters, name, -VALUE_MAX, VALUE_MAX) if parameters.has(name) else None for name in ("vmin", "vmax")
    )
    if vmin is not None and vmax is not None and not vmin < vmax:
        raise parameters.invalid("vmax", f"a number above vmin, which is {vmin:g}")
    return vmin, vmax


def _zoom(parameters: Parameters) -> float | None:
    """Returns how much a picture is enlarged, None if it is not."""
    hint = ". width and height make a picture smaller"
    zoom = decimal(parameters, "zoom", 1, ZOOM_MAX, hint) if parameters.has("zoom") else 1.0
    return zoom if zoom > 1 else None
