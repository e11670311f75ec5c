"""All the work of a job in one place: fetch the masters, convert them, store the derivative."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from typing import TYPE_CHECKING

from mezcal.convert import ConversionContext, ConversionOptions, convert
from mezcal.convert.context import no_memory_limit
from mezcal.errors import (
    BrokerDown,
    Failure,
    MasterDamaged,
    MasterIncomplete,
    NoSuchPicture,
    NotAnImage,
    OutOfMemory,
    StoreDown,
    TooLarge,
    Undecodable,
    is_out_of_memory,
)
from mezcal.progress import Progress
from mezcal.recipe import Thumbnail
from mezcal.store.housekeeping.full_disk import write_draft
from mezcal.store.outages import persist
from mezcal.store.values import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mezcal.convert import ConvertedImage
    from mezcal.origin import Master, MasterSource
    from mezcal.recipe import Mezzanine, Recipe
    from mezcal.settings import Settings
    from mezcal.store import Store, Stored

logger = logging.getLogger(__name__)

PIPELINE = 2  # increased whenever the same options begin to give other pixels


def _no_lease() -> None:
    """Return at once: no other process makes this derivative."""


def _never(_seconds: float) -> bool:
    """Return False at once: whoever makes a derivative without a job does not wait for the store."""
    return False


@dataclass(frozen=True, slots=True)
class JobContext:
    """What the job hands to `derive`. The defaults are for a derivative that is made without a job.

    With *remake*, a stored derivative is replaced. *check_lease* is called just before publishing, when others may wait
    to publish. It raises `Superseded` if another worker has taken over, and `BrokerDown` if that cannot be found out
    now. *await_lease* waits until it can be, and raises `Superseded`, too. *reserve_memory* gets the bytes that
    will be held, and returns when they may be used. *progress* is kept up to date. *wait* waits some seconds while the
    store fails, and returns False if there is no time left; it raises `Superseded` if another worker has taken over.
    """

    remake: bool = False
    check_lease: Callable[[], None] = _no_lease
    reserve_memory: Callable[[int], None] = no_memory_limit
    progress: Progress = field(default_factory=Progress)
    wait: Callable[[float], bool] = _never
    await_lease: Callable[[], None] = _no_lease


def derive(
    recipe: Recipe, origin: MasterSource, store: Store, options: ConversionOptions, job: JobContext | None = None
) -> Stored:
    """Make the derivative unless it is stored already. Safe to run twice, even at the same time.

    Returns the stored derivative. Raises the `Failure` that prevents it; no file is left then.
    """
    job = job or JobContext()
    stored = None if job.remake else store.find(recipe)
    if stored is not None:
        return stored
    try:
        return _make(recipe, origin, store, options, job)
    except MasterDamaged as failure:
        job.progress.differing += 1
        logger.warning(
            "%s is read once more, for it may have been damaged on its way: %s", recipe.label, failure.detail
        )
    try:
        return _make(recipe, origin, store, options, job)
    except MasterDamaged:
        job.progress.differing += 1
        raise


def _make(recipe: Recipe, origin: MasterSource, store: Store, options: ConversionOptions, job: JobContext) -> Stored:
    """Fetch the masters, convert them and store the derivative. Returns it."""
    with ExitStack() as stack:
        masters: list[Master] = []
        stack.enter_context(_noting_reading(masters))

        def make(draft: Path) -> Stored:
            if not masters:  # when the disk was full, `make` runs again with the masters that have arrived
                open_master = _opener(recipe, origin)
                masters.extend([stack.enter_context(open_master(name)) for name in _master_names(recipe)])
            sidecar = _convert(recipe, masters, draft, options, job)
            job.progress.drawn(sidecar)
            stored = persist(partial(_publish, recipe, draft, sidecar, store, job), job.wait)
            job.progress.stored()
            return stored

        return write_draft(store, make)


def _publish(recipe: Recipe, draft: Path, sidecar: Sidecar, store: Store, job: JobContext) -> Stored:
    """Store *draft*, unless the same picture was stored meanwhile. Returns what is stored.

    Two workers may have the job: with another queue, those of the former version during an upgrade; with a primary of
    Redis that was cut off, those on its side. So the store is looked at once the lease is confirmed: until then the
    other one may have published. While Redis cannot be asked for the lease, no lock of the store is held: the worker
    that has the job by then would wait for it.
    """
    while True:
        job.await_lease()
        there = None if job.remake else store.describe(recipe)
        if there is not None and there.sidecar is not None and there.sidecar.is_same_picture(sidecar):
            return there.stored
        with suppress(BrokerDown):
            return store.put(recipe, draft, sidecar, job.check_lease)


@contextmanager
def _noting_reading(masters: list[Master]) -> Iterator[None]:
    """Note in a `StoreDown` whether *masters* had been opened before."""
    try:
        yield
    except StoreDown as failure:
        failure.after_reading = bool(masters)
        raise


def _opener(recipe: Recipe, origin: MasterSource) -> Callable[[str], AbstractContextManager[Master]]:
    """Returns how *origin* opens the masters of *recipe*: a cutout needs few bytes of its frames."""
    is_cutout = isinstance(recipe, Thumbnail) and recipe.options.cutout is not None
    opener: Callable[[str], AbstractContextManager[Master]] = getattr(origin, "open_parts", origin.open)
    return opener if is_cutout else origin.open


def _master_names(recipe: Recipe) -> list[str]:
    """Returns the origin's names for the masters of *recipe*: a path, or the ids of frames."""
    return [str(frame.id) for frame in recipe.frames] if isinstance(recipe, Thumbnail) else [recipe.path]


def _convert(
    recipe: Recipe, masters: list[Master], draft: Path, options: ConversionOptions, job: JobContext
) -> Sidecar:
    """Write the picture of *recipe* to *draft*. Returns its sidecar."""
    job.progress.reading(*masters)
    context = ConversionContext(
        options=options,
        page=None if isinstance(recipe, Thumbnail) else recipe.page,
        scratch=draft.parent,
        reserve_memory=job.reserve_memory,
        report_progress=job.progress.converting,
    )
    if isinstance(recipe, Thumbnail):
        picture = _draw_thumbnail(recipe, masters, draft, context)
    else:
        picture = _convert_master(masters[0], draft, context)
    return _sidecar(recipe, masters, picture, draft, options)


def _draw_thumbnail(
    recipe: Thumbnail, masters: list[Master], draft: Path, context: ConversionContext
) -> ConvertedImage:
    """Draw *masters*, which may still be arriving. Never returns a picture of frames that did not arrive whole."""
    from mezcal.convert.fits.thumbnail import draw  # noqa: PLC0415 - astropy takes half a second and 40 MB to import

    names = [f"frame {frame.id}" for frame in recipe.frames]
    try:
        picture = draw([master.file for master in masters], draft, recipe.options, context, names)
    except Failure as failure:  # most end at once, without waiting for the rest of the download
        if isinstance(failure, (NoSuchPicture, NotAnImage, Undecodable)) or _may_be_of_damage(failure, masters):
            _complete(masters)
        raise
    _complete(masters)
    return picture


def _may_be_of_damage(failure: Failure, masters: list[Master]) -> bool:
    """Return True if *failure* would be remembered, and a digest can tell whether damage of *masters* is its cause.

    One flipped bit makes a small picture too large.
    """
    return not failure.retryable and any(master.declares_digest for master in masters)


def _complete(masters: list[Master]) -> None:
    """Wait until *masters* have arrived. Raises the origin's failure: it is the true cause of a decoder's complaint."""
    for master in masters:
        master.complete()


def _convert_master(master: Master, draft: Path, context: ConversionContext) -> ConvertedImage:
    try:
        picture = convert(master.file, draft, context)
    except (Undecodable, NotAnImage) as failure:
        _complete([master])
        if not master.delimited:
            detail = f"perhaps it was cut: the repository does not say where it ends ({failure.detail})"
            raise MasterIncomplete(detail) from None
        failure.validators = master.etag, master.last_modified
        raise
    except Failure as failure:
        if _may_be_of_damage(failure, [master]):
            _complete([master])
        if isinstance(failure, TooLarge):
            failure.validators = master.etag, master.last_modified
        raise
    except OSError as error:  # failures to read are a `Failure`, so this one is of writing: mostly a full disk
        if is_out_of_memory(error):
            raise OutOfMemory(f"the picture could not be made: {error.strerror or error}") from error
        raise StoreDown(f"the picture could not be written: {error.strerror or error}") from error
    _complete([master])
    return picture


def _sidecar(
    recipe: Recipe, masters: list[Master], picture: ConvertedImage, draft: Path, options: ConversionOptions
) -> Sidecar:
    master = masters[0]
    now = time.time()
    with draft.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Sidecar(
        recipe=recipe.as_json(),
        recipe_version=_recipe_version(recipe, options),
        source=" ".join(master.source for master in masters),
        master_etag=master.etag,
        master_last_modified=master.last_modified,
        master_size=master.size,
        master_format=picture.master_format,
        size=draft.stat().st_size,
        width=picture.width,
        height=picture.height,
        sha256=digest,
        made=now,
        fresh=now,
        note=picture.note,
        master_digest=_verified(masters),
        made_by=program(),
    )


@cache
def program() -> str:
    """Returns the name and the version of this program."""
    return f"mezcal {metadata.version('mezcal')}"


def _verified(masters: list[Master]) -> str | None:
    """Returns the digests that the origin declared of *masters*, None if one of them has none."""
    digests = [master.verified_digest() for master in masters]
    return None if None in digests else " ".join(map(str, digests))


def _recipe_version(recipe: Mezzanine | Thumbnail, options: ConversionOptions) -> str:
    return f"thumbnail {recipe.pipeline}" if isinstance(recipe, Thumbnail) else version(options)


def version(options: ConversionOptions) -> str:
    """Returns 12 hex digits that change with every option of the format, and with every pipeline of other pixels."""
    canonical = json.dumps([PIPELINE, options.relevant_fields()], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def recipe_versions(settings: Settings) -> dict[str, str]:
    """Returns the version of derivatives made with *settings*, by the names of the profiles."""
    return {name: version(ConversionOptions.of(settings, name)) for name in settings.profiles}
