"""Every failure is explained, in sentences that name settings, pages and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from mezcal import cli
from mezcal.errors import kinds
from mezcal.explanations import PLACEHOLDER, TABLE, WORDS, Explanation, explanation_of, filled
from mezcal.settings import Settings, load

ROOT = Path(__file__).parents[2]
ROWS = list(TABLE.items())


def test_every_failure_is_explained_and_nothing_else() -> None:
    assert set(TABLE) == {kind.slug for kind in kinds()}
    assert explanation_of("of-next-year") is TABLE["failure"]


@pytest.mark.parametrize(("slug", "row"), ROWS)
def test_settings_pages_and_commands_of_an_explanation_exist(slug: str, row: Explanation) -> None:
    names = set(PLACEHOLDER.findall(row.viewer + row.operator + row.step)) - set(WORDS)
    names |= set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", row.viewer + row.operator + row.step))
    assert {name for name in names if name.lower() not in Settings.model_fields} == set()
    assert (ROOT / row.page).is_file()
    for words in re.findall(r"mezcal ((?:check|failures|worker)(?: --\w+)?(?: ID| PATH)?)", filled(row.step)):
        cli.parse(words.split())
    assert row.operator.endswith(".")
    assert filled(row.viewer).endswith((".", "at that path"))


@pytest.mark.parametrize(("slug", "row"), ROWS)
def test_a_viewer_is_told_no_setting_and_no_url(slug: str, row: Explanation) -> None:
    assert set(PLACEHOLDER.findall(row.viewer)) <= {"PATH"}


def test_values_of_settings_are_shown_but_no_secret() -> None:
    settings = load(_env_file=None, api_tokens="hunter22", max_image_pixels=1_000_000)
    text = filled("{MAX_IMAGE_PIXELS} {API_TOKENS} {READ_TOKENS} {ORIGIN_REDIRECT_HOSTS} {JOB}", settings, job="abc")
    assert text == (
        "MAX_IMAGE_PIXELS (now 1,000,000) API_TOKENS (now set) READ_TOKENS (now unset) "
        "ORIGIN_REDIRECT_HOSTS (now unset) abc"
    )
    assert filled("{MAX_IMAGE_PIXELS} {JOB}") == "MAX_IMAGE_PIXELS ID"
    assert isinstance(settings.api_tokens[0], SecretStr)


def test_a_zero_is_shown_as_the_default_only_where_it_is_one() -> None:
    settings = load(_env_file=None, origin_retries=0)
    assert filled("{ORIGIN_RETRIES} {MAX_IMAGE_PIXELS}", settings) == (
        "ORIGIN_RETRIES (now 0) MAX_IMAGE_PIXELS (now the default)"
    )
