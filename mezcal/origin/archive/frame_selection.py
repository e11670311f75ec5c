"""Which frames a thumbnail is made of, and of which there is none: thumbnail-service's rules, in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mezcal.errors import FrameMissing, FrameUnfit
from mezcal.recipe import FRAME_NAME_MAX, Frame, Thumbnail
from mezcal.settings import filter_sets

if TYPE_CHECKING:
    from mezcal.origin.archive.client import Archive, FrameRecord
    from mezcal.recipe import ThumbnailOptions
    from mezcal.settings import Settings

ENDINGS = (".fits", ".fits.fz", ".fits.gz")  # the last one is ours
NIGHT = ("instrument_id", "observation_day")  # what frames of one composite should share


def fit(frame: FrameRecord, settings: Settings, *, color: bool) -> None:
    """Raise `FrameUnfit` where no such thumbnail is made of *frame*."""
    if any(name not in frame.fields for name in (*settings.required_frame_validation_keys, "filename")):
        raise FrameUnfit("Cannot generate thumbnail for given frame")
    kind = frame.text("configuration_type").upper()
    if kind not in settings.valid_configuration_types:
        raise FrameUnfit(f"Cannot generate thumbnail for configuration_type={kind}")
    if color and not frame.fields.get("request_id"):
        raise FrameUnfit("Cannot generate color thumbnail for a frame that does not have a request")
    if color and kind not in settings.valid_configuration_types_for_color_thumbs:
        raise FrameUnfit(f"Cannot generate color thumbnail for configuration_type={kind}")
    if not frame.text("filename").lower().endswith(ENDINGS):
        raise FrameUnfit("Cannot generate thumbnail for non FITS-type frame")


def chosen(
    frame: FrameRecord, options: ThumbnailOptions, archive: Archive, settings: Settings, authorization: str | None
) -> list[FrameRecord]:
    """The frames to draw: *frame* itself, or red, visual and blue of its request.

    The archive is asked as the asker, so none is chosen that the asker may not see.
    """
    fit(frame, settings, color=options.color)
    if not options.color:
        return [frame]
    siblings = archive.of_request(frame.text("request_id"), authorization)
    ours = [one for one in siblings if one.text("request_id") == frame.text("request_id")]
    for filters in filter_sets(settings.thumbnail_filters):
        found = [_first(ours, names, frame, strict=options.look == "lco") for names in filters]
        if None not in found:
            return [one for one in found if one is not None]
    raise FrameMissing("RVB frames not found")


def _first(frames: list[FrameRecord], filters: list[str], like: FrameRecord, *, strict: bool) -> FrameRecord | None:
    """The first frame through one of *filters*; unless *strict*, of *like*'s instrument and night if there is one."""
    through = [one for one in frames if one.text("primary_optical_element") in filters]
    if strict:
        return next(iter(through), None)
    return max(through, key=lambda one: sum(one.text(name) == like.text(name) for name in NIGHT), default=None)


def recipe_of(frames: list[FrameRecord], options: ThumbnailOptions) -> Thumbnail:
    """Returns the recipe of a thumbnail of *frames*."""
    inputs = (Frame(frame.id, frame.text("filename")[:FRAME_NAME_MAX], frame.version) for frame in frames)
    return Thumbnail(tuple(inputs), options)
