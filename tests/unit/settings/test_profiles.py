"""The file of profiles: what it may say, and the one line that stops a start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mezcal.errors import WrongSetting
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def given(tmp_path: Path, text: str, **more: Any) -> Any:
    file = tmp_path / "profiles.toml"
    file.write_text(text)
    return load(profiles_file=file, **more)


def test_mezzanine_and_pyramid_are_built_in() -> None:
    profiles = load(mezzanine_quality=71, mezzanine_progressive=True, color="keep").profiles
    assert list(profiles) == ["mezzanine", "pyramid"]
    assert (profiles["mezzanine"].format, profiles["pyramid"].format) == ("jpeg", "pyramid")
    assert [profile.quality for profile in profiles.values()] == [71, 71]
    assert [profile.color for profile in profiles.values()] == ["keep", "keep"]
    assert [profile.progressive for profile in profiles.values()] == [True, False]


def test_a_table_says_what_differs_from_the_mezzanine(tmp_path: Path) -> None:
    text = (
        '[pyramid]\ncompression = "deflate"\nalpha = "keep"\ndepth = 16\n\n[small]\nformat = "webp"\nmax_edge = 800\n'
    )
    profiles = given(tmp_path, text, mezzanine_quality=83).profiles
    assert list(profiles) == ["mezzanine", "pyramid", "small"]
    assert (profiles["pyramid"].format, profiles["pyramid"].depth) == ("pyramid", 16)
    assert (profiles["small"].format, profiles["small"].max_edge, profiles["small"].quality) == ("webp", 800, 83)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[small", "is not TOML"),
        ('format = "webp"', "'format' outside a table: put a line with the profile's name in brackets above it"),
        ("Quality = 50", "'Quality' outside a table"),
        ("[[small]]\nquality = 50\n", "has a list of tables 'small': write its name in single brackets"),
        ('[small]\nbackground = "white"\n', "background is 'white': must be #rrggbb in quotes, as '#ffffff'"),
        ('[small]\nformat = "webp"\nmax_edge = 20000\n', "max_edge is 20000: a webp has at most 16383 pixels a side"),
        ("[small]\nmax_edge = 65501\n", "max_edge is 65501: a jpeg has at most 65500 pixels a side"),
        ("[Small]\n", "lower-case letters"),
        ("[image]\n", "none of frame-picture, image"),
        ("[mezzanine]\n", "MEZZANINE_QUALITY"),
        ("[small]\nquality = 101\n", "[small]: quality is 101: must be at most 100"),
        ('[small]\nquality = "90"\n', "[small]: quality is '90': must be a whole number"),
        ('[small]\nformat = "png"\n', "[small]: format is 'png': must be 'jpeg', 'pyramid' or 'webp'"),
        ("[small]\nsize = 1\n", "[small]: size is no part of a profile; it may have format, max_edge"),
        ("[pyramid]\ntile = 250\n", "tile is 250: must be a multiple of 16"),
        ('[pyramid]\nalpha = "keep"\n', "JPEG has no transparency"),
        ("[pyramid]\ndepth = 16\n", "depth is 16, which only"),
        ("[small]\ntile = 512\n", 'tile has no meaning for such a "jpeg": remove it'),
        ('[small]\nformat = "webp"\nsubsampling = "4:2:0"\n', 'subsampling has no meaning for such a "webp"'),
        ('[small]\nformat = "webp"\nlossless = true\nquality = 80\n', 'quality has no meaning for such a "webp"'),
        ('[pyramid]\ncompression = "lzw"\nquality = 80\n', 'quality has no meaning for such a "pyramid"'),
        ('["a\\nb"]\n', "lower-case letters"),
    ],
)
def test_a_wrong_file_stops_the_start_with_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(WrongSetting) as wrong:
        given(tmp_path, text)
    assert reason in str(wrong.value)
    assert "PROFILES_FILE" in str(wrong.value)
    assert len(str(wrong.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["thumbnail", "other", "image", "frame-picture"])
def test_a_name_that_means_something_else_in_metrics_or_in_the_store_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongSetting, match="none of frame-picture, image, origin, other, thumbnail, trim"):
        given(tmp_path, f"[{name}]\n")


def test_a_file_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(WrongSetting, match="No such file"):
        load(profiles_file=tmp_path / "none.toml")


def test_events_name_profiles_that_exist(tmp_path: Path) -> None:
    assert given(tmp_path, "[small]\n", event_profiles="mezzanine,small").event_profiles == ("mezzanine", "small")
    with pytest.raises(WrongSetting, match="EVENT_PROFILES has large: the profiles are mezzanine, pyramid"):
        load(event_profiles="large")
    with pytest.raises(WrongSetting, match="EVENT_PROFILES has no name: the profiles are mezzanine, pyramid"):
        load(event_profiles=",")


def test_the_built_in_pyramid_is_whole_and_others_are_as_large_as_the_mezzanine(tmp_path: Path) -> None:
    profiles = given(
        tmp_path, '[small]\nformat = "webp"\n', mezzanine_max_edge=2000, mezzanine_subsampling="4:2:0"
    ).profiles
    assert [profile.max_edge for profile in profiles.values()] == [2000, 0, 2000]
