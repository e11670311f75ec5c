"""`mezcal purge`: forget images, so that the next request makes them anew."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from mezcal.commands.arguments import add_data_dir, add_lists, opened, path_of, settings_of
from mezcal.commands.exit_codes import STOPPED, UNWELL, WELL
from mezcal.errors import Failure
from mezcal.recipe import Mezzanine
from mezcal.telemetry.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mezcal.jobs import Jobs
    from mezcal.settings import Settings
    from mezcal.store import Store

DESCRIPTION = """\
Forget the image of each master with all its pages, its job and its remembered failures, whichever there are.
With --prefix, whatever is stored of masters whose paths begin so; end it with / to mean a folder. The whole cache is
walked for that."""

EXIT_CODES = """\
exit codes: 0 none of it is stored any more; 1 a path was refused, or the walk met images whose path nobody knows;
2 could not be done; 130 ended by Ctrl-C, or not confirmed."""


def add(commands: Any) -> None:
    """Put the command among *commands*."""
    purge = commands.add_parser(
        "purge",
        help="forget images, so that they are made anew",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    purge.add_argument("paths", nargs="*", metavar="PATH", help="a master")
    add_lists(purge)
    purge.add_argument("--prefix", action="append", default=[], metavar="P", help="all that begin with P")
    purge.add_argument("--yes", action="store_true", help="do not ask, where --prefix would on a terminal")
    purge.add_argument("--dry-run", action="store_true", help="only tell what would be purged")
    add_data_dir(purge)
    purge.set_defaults(run=run, refuse=purge.error)


def run(options: argparse.Namespace) -> int:
    """Purge what is named; the exit code."""
    from mezcal.jobs import Jobs  # noqa: PLC0415 - --help needs none of it
    from mezcal.store import open_store  # noqa: PLC0415

    if not (options.paths or options.lists or options.prefix):
        options.refuse("name something: PATH, --from or --prefix")
    if "" in options.prefix:
        options.refuse("an empty --prefix would be everything")
    settings = settings_of(options)
    work = Purging(settings, Jobs.of(settings), open_store(settings), dry=options.dry_run)
    with ExitStack() as stack:
        files = [stack.enter_context(opened(name)) for name in options.lists]
        if options.prefix and not (options.yes or options.dry_run) and not work.confirmed(options.prefix):
            print("nothing was purged")
            return STOPPED
        return work.run(options.paths, files, options.prefix)


@dataclass
class Purging:
    """One run of the command."""

    settings: Settings
    jobs: Jobs
    store: Store
    dry: bool
    purged: int = 0
    absent: int = 0
    refused: int = 0
    nameless: int = 0

    def run(self, paths: list[str], files: list[Any], prefixes: list[str]) -> int:
        """Purge them all and tell what came of it; the exit code."""
        try:
            self._listed(paths, files)
            for prefix in prefixes:
                self._below(prefix)
        except Failure:
            print(f"broken off: {self._told()}")
            raise
        print(self._told())
        return UNWELL if self.refused or self.nameless else WELL

    def confirmed(self, prefixes: list[str]) -> bool:
        """Whether a person agrees; where there is none, nobody is asked."""
        if not sys.stdin.isatty():
            return True
        count = sum(one is not None for prefix in prefixes for one in self._found(prefix))
        named = " or ".join(map(repr, prefixes))
        return input(f"Purge {count:,} images whose paths begin with {named}? [y/N] ").strip().lower() in {"y", "yes"}

    def _listed(self, paths: list[str], files: list[Any]) -> None:
        from mezcal.ingest import lists  # noqa: PLC0415

        named = chain(paths, chain.from_iterable(map(lists.lines, files)))
        for one in lists.masters(named, path_of(self.settings)):
            if isinstance(one, Mezzanine):
                told = self._forget(one)
                print(f"{told}  {printable(one.label)}")
            else:
                self.refused += 1
                print(f"refused  {printable(one.what)}: {printable(one.why)}")

    def _forget(self, recipe: Mezzanine) -> str:
        from mezcal.ingest.purge import purge  # noqa: PLC0415

        was = self.store.find(recipe) is not None if self.dry else purge(recipe, self.jobs, self.store)
        self.purged += was
        self.absent += not was
        return ("would be purged" if self.dry else "purged") if was else "was not stored"

    def _below(self, prefix: str) -> None:
        from mezcal.commands.terminal.progress_bar import shown  # noqa: PLC0415

        before = self.purged + self.absent
        with shown("purge") as bar:
            for one in self._found(prefix):
                if one is None:
                    self.nameless += 1
                    continue
                told = self._forget(one)
                if self.dry:
                    bar.say(f"{told}  {printable(one.label)}")
                bar.show(self.purged + self.absent - before)

    def _found(self, prefix: str) -> Iterator[Mezzanine | None]:
        from mezcal.ingest.path_prefix import stored_below  # noqa: PLC0415

        return stored_below(prefix, self.store, self.settings.storage_layout)

    def _told(self) -> str:
        parts = {
            "would be purged" if self.dry else "purged": self.purged,
            "not stored": self.absent,
            "refused": self.refused,
            "passed over, since nothing tells their paths": self.nameless,
        }
        return ", ".join(f"{count:,} {what}" for what, count in parts.items() if count) or "nothing is stored of it"
