"""Where a position on the sky is in a frame, by astropy's WCS: all projections of wcslib, with SIP and TPV.

Distortions that are tables in other HDUs are left out: they move a position by less than a pixel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io.fits import VerifyError
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from mezcal.errors import NoSuchSection

if TYPE_CHECKING:
    from mezcal.convert.fits.read.planes import Pixels

SIZES = re.compile("[AB]P?_ORDER|WCSAXES[A-Z]?")  # orders of SIP's polynomials, and axes
SIZES_MAX = 9  # by the convention of SIP; no frame has so many axes
TABLES = re.compile(r"(CPDIS|CQDIS|D2IMDIS|CPERR|CQERR|D2IMERR|D2IM|DP|DQ)[0-9](\..*)?|AXISCORR")
CYLINDRICAL = ("CYP", "CEA", "CAR", "MER")
SIDE_POINTS = 33  # a side, of the grid that says where on the sky the frame is
STEPS_MAX = 20  # of the refinement
PIXEL_ERROR = 0.02  # pixels within which a position must be found again
ARCSEC = 3600.0
SAME_AXES = ("icrs", "fk5")  # 0.03 arcseconds apart at most, at equinox 2000


def is_bounded(header: Any) -> bool:
    """Returns True if astropy needs little time and memory for the coordinates in *header*.

    It allocates the square of what SIZES count, and raises `MemoryError` for axes whose coordinates are in a table.
    """
    if any("-TAB" in str(header[name]) for name in header if name.startswith("CTYPE")):
        return False
    return all(float(header[name]) <= SIZES_MAX for name in header if SIZES.fullmatch(name))


@dataclass(frozen=True)
class FrameCoordinates:
    """The sky coordinates of a frame with *shape* rows and columns. Pixels are counted from 0, at their centres."""

    wcs: Any
    shape: tuple[int, int]

    @classmethod
    def of(cls, header: Any, shape: tuple[int, int]) -> FrameCoordinates:
        """Returns the coordinates in *header*. Raises `NoSuchSection` if there are none, or if the fit has failed."""
        try:
            wcs = _celestial(header)
        except (ValueError, TypeError, KeyError, VerifyError, AttributeError) as error:  # wcslib's are ValueErrors
            raise NoSuchSection(f"{NO_COORDINATES} ({_first_line(error)})") from error
        if wcs is None:
            raise NoSuchSection(NO_COORDINATES)
        return cls(wcs, shape)

    def to_pixel(self, ra: float, dec: float) -> tuple[float, float]:
        """Returns x and y of a position, in degrees. Raises `NoSuchSection` if the coordinates do not reach it."""
        target = unit_vectors(self._in_frame_system(np.array([[ra, dec]])))[0]
        found = self._by_wcslib(ra, dec, target)
        if found is None or not self._is_inside(found):
            near = self._by_refinement(target)
            found = near if near is not None else found
        if found is None:
            raise NoSuchSection(f"the frame does not show {ra:g}, {dec:g}: it is {self.distance_to(ra, dec)} away")
        return float(found[0]), float(found[1])

    def to_sky(self, points: Pixels) -> Pixels:
        """Returns right ascension and declination of pixels (x, y), in degrees; NaN where the projection has none."""
        sky = self._sky_of(points)
        if self._system is None:
            return sky
        modern = SkyCoord(*sky.T, unit="deg", frame=self._system).icrs
        return np.stack([modern.ra.deg, modern.dec.deg], 1)

    def distance_to(self, ra: float, dec: float) -> str:
        """Returns the distance of a position from the nearest part of the frame, in words."""
        target = unit_vectors(self._in_frame_system(np.array([[ra, dec]])))[0]
        angles = _separation(self._grid[1], target)
        return f"{float(np.nanmin(angles)):,.1f} arcsec"

    def derivative(self, place: tuple[float, float]) -> Pixels:
        """Returns arcseconds east and north (rows) for a step of one pixel along x and y (columns) at *place*."""
        x, y = place
        points = np.array([[x, y], [x - 0.5, y], [x + 0.5, y], [x, y - 0.5], [x, y + 0.5]])
        centre, *around = unit_vectors(self._sky_of(points))
        east, north = directions(centre)
        steps = np.array([around[1] - around[0], around[3] - around[2]]).T
        matrix: Pixels = np.degrees(np.array([east, north]) @ steps) * ARCSEC
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
            raise NoSuchSection("the frame's sky coordinates give no scale at this position: use x and y")
        return matrix

    def to_pixels(self, sky: Pixels) -> Pixels:
        """Returns x and y of positions, in degrees, as wcslib finds them; NaN for those that it does not find."""
        inside = self._in_frame_system(sky)
        ordered = inside[:, ::-1] if self.wcs.wcs.lng > self.wcs.wcs.lat else inside
        try:
            found: Pixels = np.asarray(self.wcs.all_world2pix(ordered, 0, quiet=True))
        except (ValueError, ArithmeticError):
            return np.full(sky.shape, np.nan)
        return found

    def _in_frame_system(self, sky: Pixels) -> Pixels:
        """Returns positions in the frame's own system, which may be galactic, or of another equinox."""
        system = self._system
        if system is None:
            return sky
        moved = SkyCoord(*sky.T, unit="deg", frame="icrs").transform_to(system)
        return np.stack([moved.spherical.lon.deg, moved.spherical.lat.deg], 1)

    @cached_property
    def _system(self) -> Any:
        """The frame's celestial system, None for that of today's catalogues."""
        try:
            system = wcs_to_celestial_frame(self.wcs)
        except ValueError as error:
            raise NoSuchSection(f"the frame's axes are not on the sky of the stars ({_first_line(error)})") from error
        equinox = getattr(system, "equinox", None)
        modern = system.name in SAME_AXES and (equinox is None or abs(float(equinox.jyear) - 2000) < 0.01)
        return None if modern else system

    def _sky_of(self, points: Pixels) -> Pixels:
        """Returns longitude and latitude of pixels, in degrees; NaN where the projection has none."""
        longitude, latitude = self.wcs.all_pix2world(points[:, 0], points[:, 1], 0)
        order = (latitude, longitude) if self.wcs.wcs.lng > self.wcs.wcs.lat else (longitude, latitude)
        return np.stack(order, 1)

    @cached_property
    def _grid(self) -> tuple[Pixels, Pixels]:
        """Pixels all over the frame, and the directions that they show."""
        rows, columns = self.shape
        across = np.linspace(-0.5, columns - 0.5, SIDE_POINTS)
        along = np.linspace(-0.5, rows - 0.5, SIDE_POINTS)
        points = np.stack(np.meshgrid(across, along), -1).reshape(-1, 2)
        vectors = unit_vectors(self._sky_of(points))
        if not np.isfinite(vectors).all(axis=1).any():
            raise NoSuchSection(NO_COORDINATES)
        return points, vectors

    def _is_inside(self, place: Pixels) -> bool:
        rows, columns = self.shape
        return bool(-0.5 <= place[0] <= columns - 0.5 and -0.5 <= place[1] <= rows - 0.5)

    def _by_wcslib(self, ra: float, dec: float, target: Pixels) -> Pixels | None:
        """Returns the pixel by wcslib's inverse. None if it has none, or one that shows another position."""
        found: Pixels = self.to_pixels(np.array([[ra, dec]]))[0]
        return found if np.isfinite(found).all() and self._shows(found, target) else None

    def _shows(self, place: Pixels, target: Pixels) -> bool:
        """Returns True if the pixel *place* shows the direction *target*, within a small part of a pixel."""
        step = self._step(place, target)
        return step is not None and bool(np.hypot(*step) <= PIXEL_ERROR)

    def _by_refinement(self, target: Pixels) -> Pixels | None:
        """Returns the pixel by steps from the nearest point of the frame. None if they do not end at the position.

        This finds positions that a polynomial's inverse misses, and those whose right ascension is a turn away.
        """
        points, vectors = self._grid
        place: Pixels = points[int(np.nanargmin(_separation(vectors, target)))]
        for _ in range(STEPS_MAX):
            step = self._step(place, target)
            if step is None:
                return None
            place = place + step
            if np.hypot(*step) <= PIXEL_ERROR / 100:
                return place
        return None

    def _step(self, place: Pixels, target: Pixels) -> Pixels | None:
        """Returns how many pixels *target* is from *place*, to first order. None if the coordinates end before."""
        try:
            matrix = self.derivative((float(place[0]), float(place[1])))
        except NoSuchSection:
            return None
        here = unit_vectors(self._sky_of(place[None, :]))[0]
        if not np.dot(here, target) > 0:
            return None
        east, north = directions(here)
        offset = np.array([np.dot(east, target), np.dot(north, target)]) / np.dot(here, target)
        step: Pixels = np.linalg.solve(matrix, np.degrees(offset) * ARCSEC)
        return step if np.isfinite(step).all() else None


NO_COORDINATES = (
    "the frame has no sky coordinates that can be used: name the centre by x and y, give size in px, and leave out "
    "compass, scalebar and grid"
)


def _celestial(header: Any) -> Any:
    """Returns the two axes on the sky of *header*. None if it has none, or if its pipeline says that the fit failed."""
    if not is_bounded(header) or float(header.get("WCSERR", 0) or 0):
        return None
    header = header.copy()
    for name in {name for name in header if TABLES.fullmatch(name)}:
        header.remove(name, remove_all=True)
    wcs = WCS(header, naxis=2)
    if not wcs.has_celestial:
        return None
    if any(str(kind)[5:8] in CYLINDRICAL for kind in wcs.wcs.ctype):
        wcs.wcs.bounds_check(pix2world=False, world2pix=True)  # all-sky maps may begin at any meridian
    return wcs


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def unit_vectors(sky: Pixels) -> Pixels:
    """Returns directions of longitudes and latitudes in degrees."""
    longitude, latitude = np.radians(sky).T
    cos = np.cos(latitude)
    return np.stack([cos * np.cos(longitude), cos * np.sin(longitude), np.sin(latitude)], 1)


def directions(centre: Pixels) -> tuple[Pixels, Pixels]:
    """Returns the directions of east and north at *centre*. At a pole, those of longitude 0."""
    longitude = np.arctan2(centre[1], centre[0])
    east = np.array([-np.sin(longitude), np.cos(longitude), 0.0])
    return east, np.cross(centre, east)


def _separation(vectors: Pixels, target: Pixels) -> Pixels:
    """Returns the angles between *vectors* and *target*, in arcseconds."""
    across = np.linalg.norm(np.cross(vectors, target), axis=1)
    angles: Pixels = np.degrees(np.arctan2(across, vectors @ target)) * ARCSEC
    return angles
