"""The home page: a form for repository URLs, some images, the cache and the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from flask import url_for

from api.dashboard.cache_figures import CacheFigures
from api.dashboard.folder_view import has_folders
from api.responses import html
from api.security.auth import is_operator
from mezcal.errors import BrokerDown
from mezcal.jobs import JobState, Lane
from mezcal.origin import FolderOrigin
from mezcal.recipe import MEZZANINE, Mezzanine, from_json
from mezcal.sample import FOLDER
from mezcal.settings.units import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.context import ApiContext

FAILED = {JobState.FAILED, JobState.QUARANTINED}
COUNTED_MAX = 1000  # masters of a folder: a page waits for it
RECENT_MAX = 400  # of the newest: among them are thumbnails, and profiles that a browser may not show
TILES_MAX = 12  # each shows a whole mezzanine, which the browser scales down


@dataclass(frozen=True, slots=True)
class Tile:
    """One image of the page: *path* is the master's in the repository, *href* is the image's URL path.

    *width* and *height* (pixels) and *bytes* describe the derivative, if they are known. A *sample* comes with mezcal
    and is small, so the page shows it even if it is not *cached*; this makes it. *failed* means that the last job
    failed, and that this is still recorded.
    """

    path: str
    href: str
    width: int | None
    height: int | None
    cached: bool
    bytes: int | None
    sample: bool = False
    failed: bool = False

    @property
    def shown(self) -> bool:
        """True if the page contains the image. Other masters may be huge: they are converted only on request."""
        return self.cached or (self.sample and not self.failed)


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The number of jobs: *queued* by lane, *running*, and *failed* as long as the failures are recorded."""

    queued: Mapping[str, int]
    running: int
    failed: int

    @classmethod
    def of(cls, context: ApiContext) -> Self | None:
        """Return the figures of the queue, None if the broker cannot be reached."""
        try:
            depths = context.jobs.depths()
        except BrokerDown:
            return None
        return cls({str(lane): depths[lane] for lane in Lane}, depths["running"], depths["failed"])


@dataclass(frozen=True, slots=True)
class HomePage:
    """All that the page shows. *base_url* is empty if it should not be shown.

    *folders* is the URL path of the folders, empty if the client may not see them; *more* then says how many images
    they have besides those of *tiles*, empty if there are none.
    """

    tiles: Sequence[Tile]
    cache: CacheFigures
    queue: QueueFigures | None
    base_url: str
    folders: str = ""
    more: str = ""

    @classmethod
    def of(cls, context: ApiContext) -> Self:
        """Collect what the page shows now."""
        folders = folders_url(context)
        listed = ListedMasters.of(context, COUNTED_MAX if folders else TILES_MAX)
        recipes = _recipes(context, listed.paths[:TILES_MAX])
        failed = _failed(context, recipes)
        tiles = [_tile(context, recipe, recipe.key in failed) for recipe in recipes]
        return cls(
            tiles,
            CacheFigures.of(context),
            QueueFigures.of(context),
            shown_base_url(context),
            folders,
            listed.more_than(recipes) if folders else "",
        )

    def html(self) -> str:
        """Return the page."""
        tiles = self.tiles[:TILES_MAX]
        return html.render(
            "home.html",
            tiles=tiles,
            cache=self.cache,
            queue=self.queue,
            base_url=self.base_url,
            folders=self.folders,
            more=self.more,
        )


@dataclass(frozen=True, slots=True)
class ListedMasters:
    """The *paths* that the origin lists; not *complete* if there may be more."""

    paths: list[str]
    complete: bool

    @classmethod
    def of(cls, context: ApiContext, most: int) -> Self:
        """List *most* at most, and in a large folder fewer."""
        if isinstance(context.origin, FolderOrigin):
            return cls(*context.origin.first_paths(most))
        return cls(context.origin.list_paths(most), complete=False)

    def more_than(self, recipes: list[Mezzanine]) -> str:
        """Return how many there are besides *recipes*, in words; empty if there are none."""
        more = len(set(self.paths) - {recipe.path for recipe in recipes})
        if not self.complete:
            return f"more than {format_count(more, 'image')}" if more else "more images"
        return format_count(more, "more image") if more else ""


def folders_url(context: ApiContext) -> str:
    """Return the URL path of the folders, empty if there are none or if the client may not see their names."""
    return url_for("operator.browse") if has_folders(context) and is_operator() else ""


def shown_base_url(context: ApiContext) -> str:
    """Return the base URLs of the repositories, without folders unless an operator asks: others need not know them."""
    bases = [member.origin.base_url for member in context.origin.members]
    return " or ".join(base for base in bases if is_operator() or not base.startswith("file:"))


def _recipes(context: ApiContext, listed: list[str]) -> list[Mezzanine]:
    """Return the mezzanines that were made last, then the masters *listed* by the origin."""
    try:
        made = [from_json(record) for record in context.jobs.recent.newest(RECENT_MAX)]
    except BrokerDown:
        made = []
    recipes = [recipe for recipe in made if isinstance(recipe, Mezzanine) and recipe.profile == MEZZANINE]
    recipes += [Mezzanine.parse(path) for path in listed]
    return list(dict.fromkeys(recipes))[:TILES_MAX]


def _failed(context: ApiContext, recipes: list[Mezzanine]) -> set[str]:
    """Return the keys of *recipes* whose jobs failed."""
    keys = [recipe.key for recipe in recipes]
    try:
        states = context.jobs.states(keys)
    except BrokerDown:
        return set()
    return {key for key, state in zip(keys, states, strict=True) if state in FAILED}


def _tile(context: ApiContext, recipe: Mezzanine, failed: bool) -> Tile:
    described = context.store.describe(recipe)
    sidecar = described.sidecar if described else None
    return Tile(
        path=recipe.label,
        href=url_for("images.image", source=recipe.path, page=recipe.page),
        width=sidecar.width if sidecar else None,
        height=sidecar.height if sidecar else None,
        cached=described is not None,
        bytes=described.stored.size if described else None,
        sample=context.settings.repo_base_url == FOLDER.as_uri(),
        failed=failed,
    )
