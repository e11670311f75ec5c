"""Selects the frames of a thumbnail, by the rules and with the error texts of thumbnail-service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mezcal.errors import FrameMissing, FrameUnfit
from mezcal.recipe import FRAME_NAME_MAX, Frame, Thumbnail
from mezcal.settings import filter_sets

if TYPE_CHECKING:
    from mezcal.origin.archive.client import FrameRecord
    from mezcal.recipe import ThumbnailOptions
    from mezcal.settings import Settings

SUFFIXES = (".fits", ".fits.fz", ".fits.gz")  # the last one is mezcal's addition
SHARED_FIELDS = ("instrument_id", "observation_day")  # the frames of one composite should have these in common


class FrameFinder(Protocol):
    """Finds frames with the Authorization of a client: the archive, or what it has answered already."""

    def find_frame(self, number: int, authorization: str | None) -> FrameRecord:
        """Return the frame with this id."""
        ...

    def list_request(self, request_id: str, authorization: str | None) -> list[FrameRecord]:
        """Return the reduced frames of a request that the client may see."""
        ...


def check_suitable(frame: FrameRecord, settings: Settings, *, color: bool) -> None:
    """Raise `FrameUnfit` if no thumbnail, or no composite if *color*, can be made of *frame*."""
    if any(name not in frame.fields for name in (*settings.required_frame_validation_keys, "filename")):
        raise FrameUnfit("Cannot generate thumbnail for given frame")
    kind = frame.text("configuration_type").upper()
    if kind not in settings.valid_configuration_types:
        raise FrameUnfit(f"Cannot generate thumbnail for configuration_type={kind}")
    if color and not frame.fields.get("request_id"):
        raise FrameUnfit("Cannot generate color thumbnail for a frame that does not have a request")
    if color and kind not in settings.valid_configuration_types_for_color_thumbs:
        raise FrameUnfit(f"Cannot generate color thumbnail for configuration_type={kind}")
    if not frame.text("filename").lower().endswith(SUFFIXES):
        raise FrameUnfit("Cannot generate thumbnail for non FITS-type frame")


def select_frames(
    frame: FrameRecord, options: ThumbnailOptions, archive: FrameFinder, settings: Settings, authorization: str | None
) -> list[FrameRecord]:
    """Return the frames to draw: *frame* itself, or the red, visual and blue frames of its request.

    The archive is asked with the client's *authorization*, so that only frames are selected that the client may see.
    Raises `FrameUnfit`, `FrameMissing` and the failures of `ArchiveClient`.
    """
    check_suitable(frame, settings, color=options.color)
    if not options.color:
        return [frame]
    request_id = frame.text("request_id")
    frames = [
        record for record in archive.list_request(request_id, authorization) if record.text("request_id") == request_id
    ]
    for filters in filter_sets(settings.thumbnail_filters):
        bands = [_select_band(frames, names, frame, strict=options.look == "lco") for names in filters]
        if None not in bands:
            return [band for band in bands if band is not None]
    raise FrameMissing("RVB frames not found")


def put_together(frame: FrameRecord, others: list[FrameRecord], settings: Settings) -> list[FrameRecord]:
    """Return *frame* and *others* as chips of one mosaic: each once, by their ids, whichever the client named first.

    Raises `FrameUnfit` if one of them is not suitable, or if they have not the same filter.
    """
    chips = [record for _, record in sorted({each.id: each for each in (frame, *others)}.items())]
    for each in chips:
        try:
            check_suitable(each, settings, color=False)
        except FrameUnfit as failure:
            raise FrameUnfit(f"frame {each.id}: {failure.detail}") from failure
    filters = [(name, each.id) for each in chips if (name := each.text("primary_optical_element"))]
    for name, number in filters:
        first, other = filters[0]
        if name != first:
            what = f"frame {other} has the filter {first}, and frame {number} has {name}"
            raise FrameUnfit(f"a mosaic is of one exposure: {what}")
    return chips


def _select_band(
    frames: list[FrameRecord], filters: list[str], named: FrameRecord, *, strict: bool
) -> FrameRecord | None:
    """Return the first frame through one of *filters*, None if there is none.

    Unless *strict*, a frame of the instrument and night of the *named* frame is preferred.
    """
    matching = [frame for frame in frames if frame.text("primary_optical_element") in filters]
    if strict:
        return next(iter(matching), None)
    return max(matching, key=lambda frame: _shared_fields(frame, named), default=None)


def _shared_fields(frame: FrameRecord, other: FrameRecord) -> int:
    return sum(frame.text(name) == other.text(name) for name in SHARED_FIELDS)


def make_recipe(frames: list[FrameRecord], options: ThumbnailOptions) -> Thumbnail:
    """Return the recipe of a thumbnail of *frames*."""
    inputs = (Frame(frame.id, frame.text("filename")[:FRAME_NAME_MAX], frame.version) for frame in frames)
    return Thumbnail(tuple(inputs), options)
