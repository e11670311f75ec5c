"""`mezcal purge`: delete cached images, so that the next request makes them again."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TextIO

from mezcal.commands.arguments import add_data_dir, settings_with_broker
from mezcal.commands.master_lists import add_lists, open_list, path_of
from mezcal.commands.terminal.exit_codes import INTERRUPTED, OK, PROBLEMS
from mezcal.commands.terminal.printable import printable
from mezcal.commands.terminal.progress_bar import progress_bar
from mezcal.errors import Failure
from mezcal.ingest import lists
from mezcal.ingest.path_prefix import find_by_path_prefix
from mezcal.ingest.purge import purge
from mezcal.jobs import Jobs
from mezcal.recipe import Mezzanine
from mezcal.store.origin_note import own_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from mezcal.settings import Settings
    from mezcal.store import DerivativeStore

DESCRIPTION = """\
Delete the image of each master with all its pages, its job and its remembered failures. With --prefix, delete
all stored images of masters whose paths begin with it; end it with / for a folder. That reads the whole cache.

example: mezcal purge --prefix books/1/ --dry-run"""

EXIT_CODES = """\
exit codes: 0 none of it is stored now; 1 a path was refused, or some images have no known path;
2 could not be done; 130 ended by Ctrl-C, or not confirmed."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the description and the options of the command to *parser*."""
    parser.description, parser.epilog = DESCRIPTION, EXIT_CODES
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a master")
    add_lists(parser)
    parser.add_argument(
        "--prefix", action="append", default=[], metavar="P", help="all masters whose paths begin with P"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation of --prefix on a terminal")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be purged")
    add_data_dir(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(options: argparse.Namespace) -> int:
    """Purge what *options* name. Returns the exit code."""
    if not (options.paths or options.lists or options.prefix):
        options.refuse("name something: PATH, --from or --prefix")
    if "" in options.prefix:
        options.refuse("an empty --prefix would purge everything")
    settings = settings_with_broker(options)
    purge_run = PurgeRun(settings, Jobs.of(settings), own_store(settings), dry_run=options.dry_run)
    with ExitStack() as stack:
        files = [stack.enter_context(open_list(name)) for name in options.lists]
        if options.prefix and not (options.yes or options.dry_run) and not purge_run.confirmed(options.prefix):
            print("nothing was purged")
            return INTERRUPTED
        return purge_run.run(options.paths, files, options.prefix)


@dataclass
class PurgeRun:
    """One run of the command."""

    settings: Settings
    jobs: Jobs
    store: DerivativeStore
    dry_run: bool
    purged: int = 0
    absent: int = 0
    refused: int = 0
    without_path: int = 0

    def run(self, paths: list[str], files: list[TextIO], prefixes: list[str]) -> int:
        """Purge *paths*, those in *files*, and all below *prefixes*; print the counts. Returns the exit code."""
        try:
            self._purge_named(paths, files)
            for prefix in prefixes:
                self._purge_below(prefix)
        except Failure:
            print(f"stopped by an error: {self._summary()}")
            raise
        print(self._summary())
        return PROBLEMS if self.refused or self.without_path else OK

    def confirmed(self, prefixes: list[str]) -> bool:
        """Ask on the terminal. Returns True if the answer is yes, or if stdin is not a terminal."""
        if not sys.stdin.isatty():
            return True
        count = sum(recipe is not None for prefix in prefixes for recipe in self._stored_below(prefix))
        named = " or ".join(map(repr, prefixes))
        return input(f"Purge {count:,} images whose paths begin with {named}? [y/N] ").strip().lower() in {"y", "yes"}

    def _purge_named(self, paths: list[str], files: list[TextIO]) -> None:
        named = chain(paths, chain.from_iterable(map(lists.read_lines, files)))
        for item in lists.parse_masters(named, path_of(self.settings)):
            if isinstance(item, Mezzanine):
                print(f"{self._purge(item)}  {printable(item.label)}")
            else:
                self.refused += 1
                print(f"refused  {printable(item.what)}: {printable(item.why)}")

    def _purge(self, recipe: Mezzanine) -> str:
        """Purge *recipe* unless this is a dry run. Returns what was done, as text."""
        stored = self.store.find(recipe) is not None if self.dry_run else purge(recipe, self.jobs, self.store)
        self.purged += stored
        self.absent += not stored
        return self._purged_text if stored else "not stored"

    def _purge_below(self, prefix: str) -> None:
        before = self.purged + self.absent
        with progress_bar("purge") as bar:
            for recipe in self._stored_below(prefix):
                if recipe is None:
                    self.without_path += 1
                    continue
                result = self._purge(recipe)
                if self.dry_run:
                    bar.print_line(f"{result}  {printable(recipe.label)}")
                bar.show(self.purged + self.absent - before)

    def _stored_below(self, prefix: str) -> Iterator[Mezzanine | None]:
        return find_by_path_prefix(prefix, self.store, self.settings.storage_layout)

    @property
    def _purged_text(self) -> str:
        return "would be purged" if self.dry_run else "purged"

    def _summary(self) -> str:
        parts = {
            self._purged_text: self.purged,
            "not stored": self.absent,
            "refused": self.refused,
            "skipped, since their paths are not known": self.without_path,
        }
        return ", ".join(f"{count:,} {name}" for name, count in parts.items() if count) or "none of it is stored"
