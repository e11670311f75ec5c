"""Writes the table of docs/troubleshooting.md from `mezcal.explanations`, so that the two cannot differ."""

from __future__ import annotations

import re
from pathlib import Path

from mezcal.errors import Failure, Retention, kinds
from mezcal.explanations import explanation_of, filled

PAGE = Path("docs/troubleshooting.md")
BEGIN = "<!-- made from mezcal/explanations.py by `make docs`: begin -->\n"
END = "<!-- made from mezcal/explanations.py by `make docs`: end -->\n"
HEADER = "| status, class | cause | next step | remembered for |\n| --- | --- | --- | --- |\n"
REMEMBERED = {
    Retention.NONE: "not at all",
    Retention.BRIEF: "`FAILURE_BRIEF_SECONDS`",
    Retention.MISSING: "`FAILURE_MISSING_SECONDS`",
    Retention.LASTING: "`FAILURE_LASTING_SECONDS`",
}
CODE = re.compile(r"mezcal (?:check|failures|worker)(?: --\w+)*(?: (?:PATH|ID))?|\b[A-Z0-9]+(?:_[A-Z0-9]+)+\b")


def main() -> None:
    """Update the page."""
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(page: str) -> str:
    """Returns *page* with the current table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + HEADER + "".join(map(row, kinds())) + "\n" + END + after


def row(kind: type[Failure]) -> str:
    """Returns the row of one class of failures."""
    explained = explanation_of(kind.slug)
    page = f"[{explained.page.removeprefix('docs/')}]({explained.page.removeprefix('docs/')})"
    cause, step = marked(filled(explained.operator)), marked(filled(explained.step)).replace(explained.page, page)
    reference = "" if page in step else f" {'' if step.endswith('.') else '· '}{page}"
    return f"| {kind.status} `{kind.slug}` | {cause} | {step}{reference} | {REMEMBERED[kind.retention]} |\n"


def marked(text: str) -> str:
    """Returns *text* with commands and names of settings as code."""
    return CODE.sub(r"`\g<0>`", text)


if __name__ == "__main__":
    main()
