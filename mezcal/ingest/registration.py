"""Registers thumbnails with the science archive: puts them into its bucket, where its URLs point, and tells its API.

The archive derives the place of a thumbnail from its record, and signs a URL of its own bucket with the version of the
object as `key`. So a thumbnail that lies anywhere else cannot be registered.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from typing import TYPE_CHECKING, Any

from mezcal.errors import ArchiveRefused, Failure, FrameMissing, StoreDown
from mezcal.ingest.frame_lists import named_options
from mezcal.origin.archive import ArchiveClient
from mezcal.recipe import Thumbnail, from_json
from mezcal.store import Replaced
from mezcal.store.protocols import GivesCopies

if TYPE_CHECKING:
    from mezcal.jobs.bulk.registrations import Registrations, WaitingRegistration
    from mezcal.origin.archive import FrameRecord
    from mezcal.settings import Settings
    from mezcal.store import Store

log = logging.getLogger(__name__)

PAUSES = 5.0, 600.0  # seconds: the first pause after a failure, doubled each time, and the longest
TAKEN, TAKEN_SECONDS = 50, 120.0  # thumbnails that are taken at once, and for how long
PASSING = {401, 403, 408, 429}  # of the archive: the token can be mended, and the rate falls
PLACEHOLDER = re.compile(r"\{(\w+)\}")
# What the archive's own ingester sends besides, as the record of the frame has it.
FRAME_FIELDS = (
    *("reduction_level", "observation_date", "proposal_id", "instrument_id", "target_name", "site_id", "telescope_id"),
    *("exposure_time", "primary_optical_element", "public_date", "configuration_type", "observation_id", "request_id"),
)


class NotRegistrable(Exception):
    """The thumbnail cannot be registered, whatever is tried; the text says why."""


def size_name(recipe: object, settings: Settings) -> str | None:
    """Return the name in THUMBNAIL_SIZES of a thumbnail that is to be registered, None for all others."""
    if settings.archive_bucket is None or not isinstance(recipe, Thumbnail) or len(recipe.frames) != 1:
        return None
    names = (name for name, options in named_options(settings).items() if options == recipe.options)
    return next(names, None)


class ArchiveRegistration:
    """Registers the thumbnails that wait. Running twice at once, or dying midway, does no harm."""

    def __init__(self, settings: Settings, registrations: Registrations, store: Store) -> None:
        self._settings, self._registrations, self._store = settings, registrations, store
        self._archive = ArchiveClient(settings)
        assert isinstance(store, GivesCopies), "the settings say so"
        self._bucket = store.other_bucket(settings.archive_bucket or "")
        self._token = settings.archive_token.get_secret_value() if settings.archive_token else None
        self._frames: dict[int, FrameRecord] = {}

    def run(self) -> bool:
        """Register some of those that are due. Returns False if there was none, or the archive or bucket is away."""
        self._frames.clear()
        taken = self._registrations.take(TAKEN, TAKEN_SECONDS)
        for number, waiting in enumerate(taken):
            try:
                self._register(waiting)
            except (NotRegistrable, Failure) as error:
                if self._settle(waiting, error):
                    continue
                for other in taken[number + 1 :]:  # they would fail in the same way
                    self._registrations.delay(other, _pause(other))
                return False
            self._registrations.done(waiting.key)
        return bool(taken)

    def _settle(self, waiting: WaitingRegistration, error: Exception) -> bool:
        """Delay *waiting*, or give it up. Returns True if others may succeed."""
        reason = error.detail if isinstance(error, Failure) else str(error)
        about = f"the thumbnail of {waiting.recipe['frames'][0][1]}"
        passes = isinstance(error, Failure) and (error.retryable or isinstance(error, StoreDown))
        if passes or (isinstance(error, ArchiveRefused) and error.status in PASSING):
            seconds = _pause(waiting)
            log.warning("%s is registered later, next attempt in %.0f s: %s", about, seconds, reason)
            self._registrations.delay(waiting, seconds)
            return False
        log.error("%s is not registered: %s", about, reason)
        self._registrations.refuse(waiting.key, about, reason)
        return True

    def _register(self, waiting: WaitingRegistration) -> None:
        recipe = from_json(waiting.recipe)
        size = size_name(recipe, self._settings)
        if size is None or not isinstance(recipe, Thumbnail):
            return  # THUMBNAIL_SIZES has changed
        frame = self._frame(recipe.frames[0].id)
        if frame.version != recipe.frames[0].version:
            return  # the newer version has its own thumbnails
        data = self._read(recipe)
        if data is None:
            return  # it is gone or replaced: the job that makes it again has it registered
        values = {**frame.fields, "size": size, "observation_day": _day(frame)}
        name = _filled(self._settings.archive_thumbnail_name, values, "ARCHIVE_THUMBNAIL_NAME")
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        record = self._record(frame, values | {"md5": md5, "name": name}, self._bucket.put(name, data, md5))
        self._archive.add_thumbnail(record, self._token)
        log.info("%s is registered as %s", recipe.label, size)

    def _frame(self, number: int) -> FrameRecord:
        if number not in self._frames:
            try:
                self._frames[number] = self._archive.find_frame(number, self._token)
            except FrameMissing as failure:
                raise NotRegistrable(f"the archive does not show frame {number} any more") from failure
        return self._frames[number]

    def _read(self, recipe: Thumbnail) -> bytes | None:
        opened = self._store.open(recipe)
        if opened is None:
            return None
        with opened.file as file:
            try:
                return file.read()
            except Replaced:
                return None

    def _record(self, frame: FrameRecord, values: dict[str, Any], key: str) -> dict[str, Any]:
        file = values["name"].rpartition("/")[2]
        basename, dot, extension = file.partition(".")
        record = {name: frame.fields.get(name) for name in FRAME_FIELDS} | {
            "observation_day": values["observation_day"],
            "related_frame_filenames": [],
            "frame_basename": frame.text("basename"),
            "size": values["size"],
            "basename": basename,
            "extension": dot + extension,
            "filename": file,
            "key": key,
            "version_set": [{"key": key, "md5": values["md5"], "extension": dot + extension}],
        }
        for name, value in json.loads(self._settings.archive_thumbnail_record).items():
            text = isinstance(value, str)
            record[name] = _filled(value, {**values, "key": key}, "ARCHIVE_THUMBNAIL_RECORD") if text else value
        return {name: value for name, value in record.items() if value is not None}


def _pause(waiting: WaitingRegistration) -> float:
    first, longest = PAUSES
    return float(min(longest, first * 2 ** min(waiting.attempts, 10)))


def _day(frame: FrameRecord) -> str:
    return frame.text("observation_day").replace("-", "")


def _filled(template: str, values: dict[str, Any], setting: str) -> str:
    """Return *template* with the *values* of its placeholders. Raises `NotRegistrable` if one is missing."""

    def fill(match: re.Match[str]) -> str:
        text = str(values.get(match[1]) or "")
        if not text:
            raise NotRegistrable(f"the archive's record of the frame has no {match[1]}, which {setting} needs")
        if setting == "ARCHIVE_THUMBNAIL_NAME" and "/" in text:
            raise NotRegistrable(f"{match[1]} in the archive's record has a slash: {text[:80]}")
        return text

    return PLACEHOLDER.sub(fill, template)
