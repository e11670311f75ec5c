"""`mezcal warm`: have derivatives made before anybody asks."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, add_lists, at_least_one, opened, path_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.ingest.manifests import Passed
    from mezcal.jobs import Jobs
    from mezcal.recipe import Recipe
    from mezcal.settings import Settings
    from mezcal.store import Store

DESCRIPTION = """\
Queue in bulk what is not cached of the masters named: whoever asks for one meanwhile comes first. A path is relative
to REPO_BASE_URL; a whole URL under it will do, too. Ctrl-C ends the command and leaves the rest queued."""

EXIT_CODES = """\
exit codes: 0 all cached, queued or (--wait) made; 1 something failed or was passed over; 2 could not be done;
130 ended by Ctrl-C or SIGTERM."""

MEMBERS_MOST = 10_000


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    warm = commands.add_parser(
        "warm",
        help="have images made before anybody asks",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    warm.add_argument("paths", nargs="*", metavar="PATH", help="a master")
    add_lists(warm)
    warm.add_argument(
        "--manifest", action="append", default=[], metavar="URL", help="all masters of a IIIF manifest or collection"
    )
    _add_manifest_options(warm)
    warm.add_argument(
        "--frames", nargs="+", default=[], type=at_least_one, metavar="ID",
        help="the sizes of THUMBNAIL_SIZES of the archive's frames",
    )  # fmt: skip
    warm.add_argument("--wait", action="store_true", help="until all are made, showing how far that is")
    warm.add_argument("--cancel", action="store_true", help="on Ctrl-C take back what nobody has begun")
    warm.add_argument("--dry-run", action="store_true", help="only tell what is cached and what is missing")
    add_data_dir(warm)
    warm.set_defaults(run=run, refuse=warm.error)


def _add_manifest_options(warm: argparse.ArgumentParser) -> None:
    warm.add_argument(
        "--service-prefix", action="append", default=[], metavar="URL",
        help="image services whose URL begins so have the rest of it as path, percent-encoded",
    )  # fmt: skip
    warm.add_argument(
        "--manifest-host", action="append", default=[], metavar="HOST",
        help="a collection's members may be there, besides on its own host",
    )  # fmt: skip
    warm.add_argument(
        "--members", type=at_least_one, default=MEMBERS_MOST, metavar="N",
        help="manifests and collections that are read at most (default: %(default)s)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Queue what is missing; the exit code."""
    from mezcal.commands import warming  # noqa: PLC0415 - --help needs none of it
    from mezcal.store import open_store  # noqa: PLC0415

    if not (options.paths or options.lists or options.manifest or options.frames):
        options.refuse("name something: PATH, --from, --manifest or --frames")
    settings = settings_of(options)
    store = open_store(settings)
    with ExitStack() as stack:
        if options.dry_run:
            return warming.rehearse(_wanted(options, settings, store, None, stack), store)
        jobs = _jobs(settings)
        wanted = _wanted(options, settings, store, jobs, stack)
        return warming.warm(wanted, jobs, store, wait=options.wait, cancel=options.cancel)


def _jobs(settings: Settings) -> Jobs:
    from mezcal.jobs import Jobs  # noqa: PLC0415

    return Jobs.of(settings)


def _wanted(
    options: argparse.Namespace, settings: Settings, store: Store, jobs: Jobs | None, stack: ExitStack
) -> Iterator[Recipe | Passed]:
    """Everything that *options* name, read when it is its turn; *stack* closes the lists."""
    from mezcal.ingest import lists  # noqa: PLC0415
    from mezcal.ingest.frame_lists import Warming  # noqa: PLC0415
    from mezcal.ingest.manifests import Manifests  # noqa: PLC0415
    from mezcal.ingest.manifests.fetch import Fetching  # noqa: PLC0415
    from mezcal.ingest.manifests.paths import ManifestPaths  # noqa: PLC0415

    known = path_of(settings)
    files = [stack.enter_context(opened(name)) for name in options.lists]
    listed = chain(options.paths, chain.from_iterable(map(lists.lines, files)))
    places = ManifestPaths(known, tuple(options.service_prefix))
    manifests = Manifests(places, Fetching(frozenset(options.manifest_host)), options.members)
    return chain(
        lists.masters(listed, known),
        chain.from_iterable(map(manifests.masters, options.manifest)),
        Warming(settings, jobs, store).thumbnails(options.frames) if options.frames else (),
    )
