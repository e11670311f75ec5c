"""The docs pages agree with the code: settings, links, commands, options, file names."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mezcal import cli
from mezcal.settings import Settings
from tests import ROOT
from tools import failures_table, metrics_table, settings_table

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
VARIABLES = {name.upper() for name in Settings.model_fields}
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
HABITS = re.compile(
    r"\b(anew|whoever|nobody|anybody|(is|are|was|were) (told|heard|well)|by and by|sees? to it|askers?|in lumps"
    r"|of itself|as it stands|strangers?|leaves? word)\b",
    re.IGNORECASE,
)
WORDED = sorted(
    [
        *(page for page in PAGES if page.name not in {"THIRD-PARTY.md", "CHANGELOG.md"}),
        *ROOT.glob("api/templates/*.html"),
        *ROOT.glob("mezcal/commands/**/*.py"),
        *(ROOT / name for name in ("api/openapi.yaml", "mezcal/settings/fields.py", "mezcal/explanations.py")),
    ]
)
SHELL = {"|", "||", "&&", ";", ">", "2>"}  # what the shell reads itself
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
DIVIDER = re.compile(r"\|( *:?-+:? *\|)+ *")  # the second line of a table
FILE = re.compile(r"(?<![\w/.])((?:api|docs|mezcal|tests|tools|worker|benchmarks|requirements)/[\w./-]+)(?![\w*<{])")


def commands(page: Path) -> Iterator[list[str]]:
    """Yields the shell commands of *page* as words, without comments."""
    for language, block in FENCED.findall(page.read_text()):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console":
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if language in {"shell", "console"}:
            yield from filter(None, (shlex.split(line, comments=True) for line in lines))


def mezcal_options(words: list[str]) -> list[str] | None:
    """Returns the options that the command *words* passes to mezcal, None if it does not run mezcal."""
    words = list(takewhile(lambda word: word not in SHELL, words))
    if words[0] == "make":
        return shlex.split(next((word[5:] for word in words if word.startswith("ARGS=")), ""))
    return words[1:] if Path(words[0]).name == "mezcal" else None


def heading_anchors(page: Path) -> set[str]:
    """Returns the anchors that a forge makes of the headings of *page*."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_table_of_settings_is_up_to_date() -> None:
    page = (ROOT / settings_table.PAGE).read_text()
    assert page == settings_table.renewed(page), "settings have changed: run `make docs` and commit the result"


def test_the_table_of_failures_is_up_to_date() -> None:
    page = (ROOT / failures_table.PAGE).read_text()
    assert page == failures_table.renewed(page), "explanations have changed: run `make docs` and commit the result"


def test_the_table_of_metrics_is_up_to_date() -> None:
    page = (ROOT / metrics_table.PAGE).read_text()
    assert page == metrics_table.renewed(page), "metrics have changed: run `make docs` and commit the result"


def test_no_setting_is_missing_from_the_table() -> None:
    in_table = [name for _, names in settings_table.sections() for name in names]
    assert in_table == list(Settings.model_fields)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_have_a_target(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link} is not there"
        if anchor:
            assert anchor in heading_anchors(target), f"{link} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_named_files_exist(page: Path) -> None:
    for name in FILE.findall(page.read_text()):
        assert (ROOT / name.rstrip(".")).exists(), f"{name} is not there"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_can_be_typed_as_shown(page: Path) -> None:
    for words in commands(page):
        while re.fullmatch(r"[A-Z_]+=.*", words[0]):
            assert words.pop(0).partition("=")[0].removesuffix("_FILE") in VARIABLES
        if words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= TARGETS
        options = mezcal_options(words)
        if options is not None:
            cli.parse(options)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_named_targets_of_make_exist(page: Path) -> None:
    assert set(re.findall(r"`make ([a-z0-9-]+)[^`]*`", page.read_text())) <= TARGETS


def test_the_page_of_commands_has_every_option_of_up_and_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["up", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    section = (ROOT / "docs/commands.md").read_text().partition("\n## Up")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE)) == options


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_settings_in_examples_are_settings(page: Path) -> None:
    for language, block in FENCED.findall(page.read_text()):
        if language == "ini":
            named = re.findall(r"^#?\s?([A-Z_]+)=", block, re.MULTILINE)
            assert {name.removesuffix("_FILE") for name in named} <= VARIABLES


@pytest.mark.parametrize("page", WORDED, ids=[str(page.relative_to(ROOT)) for page in WORDED])
def test_pages_use_plain_words(page: Path) -> None:
    """Readers whose first language is not English have five seconds for a sentence."""
    text = CODE.sub("", FENCED.sub("", page.read_text()))
    assert [match.group() for match in HABITS.finditer(text)] == []


def test_the_glossary_has_thirty_words_at_most_and_each_once() -> None:
    rows = re.findall(r"^\| ([a-z, -]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    words = [word for row in rows if row != "word" for word in row.split(", ")]
    assert len(rows) - 1 <= 30
    assert len(words) == len(set(words))


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs/decisions"
    linked = set(LINK.findall((folder / "README.md").read_text()))
    assert linked == {page.name for page in folder.glob("*.md")} - {"README.md"}


def test_every_redis_key_is_in_the_architecture() -> None:
    built = set(re.findall(r"\{self\.prefix\}(\w+)", (ROOT / "mezcal/jobs/state/keys.py").read_text()))
    page = (ROOT / "docs/architecture.md").read_text()
    table = page.partition("### Redis keys")[2].partition("\n## ")[0]
    documented = {name.partition(":")[0] for name in re.findall(r"`([^`]+)`", table)}
    assert built <= documented, f"docs/architecture.md does not have {built - documented}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_table_has_a_head(page: Path) -> None:
    """The rows after a blank line are no table: they would be shown as text."""
    lines = ["", *FENCED.sub("", page.read_text()).splitlines(), ""]
    starts = [at for at in range(1, len(lines)) if lines[at].startswith("|") and not lines[at - 1].startswith("|")]
    assert [lines[at] for at in starts if not DIVIDER.fullmatch(lines[at + 1])] == []
