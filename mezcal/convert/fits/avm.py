"""AVM tags, which say where on the sky a picture is, so that WorldWide Telescope and Aladin can place it.

They are XMP, by version 1.2 of the standard Astronomy Visualization Metadata. Its model is a plane that touches the sky
(TAN), with two axes at right angles, north turned by an angle, and east to the left of north.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io.fits import VerifyError

from mezcal.convert.fits.coordinates import directions, unit_vectors
from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.draw.overlays.sky_view import SkyView
    from mezcal.convert.fits.read.planes import Pixels

POINTS = 9  # a side, of the picture, to which the plane is fitted
REACH_MIN = 0.5  # cosine of the angle between the picture's middle and its farthest point
ERROR_SHARE = 0.01  # of the longer side: with a larger error than this there are no tags
WCS_ERRORS = (NoSuchSection, ValueError, TypeError, KeyError, ArithmeticError, AttributeError, VerifyError)
PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:avm="http://www.communicatingastronomy.org/avm/1.0/">
{tags}
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""


@dataclass(frozen=True, slots=True)
class SkyPlacement:
    """Where a picture is on the sky, as FITS describes it: pixels are counted from 1, from the lower left.

    *value* is the right ascension and declination at *pixel*, *scale* the degrees of a pixel along both sides, and
    *rotation* how many degrees north is turned counter-clockwise. *error* is the largest one, in pixels.
    """

    size: tuple[int, int]
    value: tuple[float, float]
    pixel: tuple[float, float]
    scale: tuple[float, float]
    rotation: float
    error: float

    @classmethod
    def of(cls, view: SkyView) -> SkyPlacement | None:
        """Returns the placement of *view*. None if it is not on the sky, mirrored, or if no plane fits it."""
        try:
            return _fitted(view)
        except WCS_ERRORS:  # a picture needs no tags
            return None

    def packet(self) -> bytes:
        """Returns the tags as an XMP packet."""
        tags: dict[str, Any] = {
            "MetadataVersion": "1.2",
            "Type": "Observation",
            "Spatial.CoordinateFrame": "ICRS",
            "Spatial.Equinox": "2000.0",
            "Spatial.ReferenceValue": [f"{angle:.9f}" for angle in self.value],
            "Spatial.ReferenceDimension": [str(side) for side in self.size],
            "Spatial.ReferencePixel": [f"{place:.4f}" for place in self.pixel],
            "Spatial.Scale": [f"{step:.12g}" for step in self.scale],
            "Spatial.Rotation": f"{self.rotation:.7f}",
            "Spatial.CoordsystemProjection": "TAN",
            "Spatial.Quality": "Full",
            "Spatial.Notes": f"Within {self.error:.2f} pixels of the coordinates in the FITS header",
        }
        lines = (f"<avm:{name}>{_value(value)}</avm:{name}>" for name, value in tags.items())
        return PACKET.format(tags="\n".join(lines)).encode()


def _value(value: str | list[str]) -> str:
    if isinstance(value, str):
        return value
    return f"<rdf:Seq>{''.join(f'<rdf:li>{part}</rdf:li>' for part in value)}</rdf:Seq>"


def _fitted(view: SkyView) -> SkyPlacement | None:
    width, height = view.size
    across, down = np.linspace(0, width, POINTS), np.linspace(0, height, POINTS)
    points = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    middle = view.sky_of(np.array([[width / 2, height / 2]]))
    offsets = _on_plane(unit_vectors(view.sky_of(points)), unit_vectors(middle)[0])
    if offsets is None:
        return None
    pixels = np.stack([points[:, 0] + 0.5, height - points[:, 1] + 0.5], 1)  # as FITS counts them
    solved, *_ = np.linalg.lstsq(np.column_stack([pixels, np.ones(len(pixels))]), offsets, rcond=None)
    matrix = solved[:2].T
    if not np.linalg.det(matrix) < 0:
        return None
    pixel = np.linalg.solve(matrix, -solved[2])
    scale, rotation = _scale_and_rotation(matrix)
    found = (pixels - pixel) @ _matrix(scale, rotation).T
    error = float(np.abs(np.linalg.solve(matrix, (found - offsets).T)).max())
    if error > ERROR_SHARE * max(view.size):
        return None
    ra, dec = middle[0].tolist()
    return SkyPlacement(view.size, (ra % 360, dec), (float(pixel[0]), float(pixel[1])), scale, rotation, error)


def _on_plane(vectors: Pixels, centre: Pixels) -> Pixels | None:
    """Returns degrees east and north of directions, on the plane that touches the sky at *centre*. None if too far."""
    depth = vectors @ centre
    if not (depth > REACH_MIN).all():  # NaN neither
        return None
    axes = np.array(directions(centre))
    offsets: Pixels = np.degrees(vectors @ axes.T / depth[:, None])
    return offsets


def _scale_and_rotation(matrix: Pixels) -> tuple[tuple[float, float], float]:
    """Returns the scales of *matrix*, of which the first is negative, and the mean rotation of its two axes."""
    across, along = np.hypot(*matrix)
    turns = complex(-matrix[0, 0], -matrix[1, 0]) / across + complex(matrix[1, 1], -matrix[0, 1]) / along
    return (-float(across), float(along)), float(np.degrees(np.angle(turns)))


def _matrix(scale: tuple[float, float], rotation: float) -> Pixels:
    """Returns degrees east and north (rows) for a pixel to the right and up (columns), by CDELT and CROTA2 of FITS."""
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    return np.array([[scale[0] * cos, -scale[1] * sin], [scale[0] * sin, scale[1] * cos]])
