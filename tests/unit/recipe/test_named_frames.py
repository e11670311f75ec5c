"""The frames that a client names: the same ones make the same picture, however they are written."""

from __future__ import annotations

from itertools import permutations

import pytest

from mezcal.errors import BadRecipe, FrameUnfit
from mezcal.origin.archive import FrameRecord, make_recipe, put_together
from mezcal.recipe import Frame, Thumbnail, ThumbnailOptions, from_json, key_of
from mezcal.recipe.cutout import CHIPS_NAMED_MAX, NamedFrames, parse_named
from mezcal.settings import load

OPTIONS = ThumbnailOptions.parse({"mosaic": "true"})


def record(number: int, **fields: str) -> FrameRecord:
    common = {"filename": f"a{number}.fits", "configuration_type": "EXPOSE", "primary_optical_element": "V"}
    keys = dict.fromkeys(load().required_frame_validation_keys, "known")
    return FrameRecord({"id": number, **keys, **common, "md5": f"{number:032x}", **fields})


@pytest.mark.parametrize("text", ["7,5", "5,7", "5, 7,5", " 07,5 "])
def test_a_mosaic_has_its_frames_in_one_order(text: str) -> None:
    named = parse_named({"mosaic": text})
    assert named == NamedFrames((5, 7), mosaic=True)
    assert named.switch == {"mosaic": "true"}


@pytest.mark.parametrize("text", ["", "true", "FALSE", "1", "0", "on", None])
def test_a_switch_names_no_frames(text: str | None) -> None:
    assert parse_named({"mosaic": text}) is None


@pytest.mark.parametrize("text", ["a", "1,", ",", "5,-7", "5;7", "5,7.0", "٣", str(2**63), "5," * 3, "yes,5"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(BadRecipe, match=r"mosaic is .*: it may be true, false, or the ids of up to 16 frames"):
        parse_named({"mosaic": text})


def test_there_is_a_most_of_frames() -> None:
    most = list(map(str, range(CHIPS_NAMED_MAX)))
    named = parse_named({"mosaic": ",".join(most * 2)})
    assert named is not None
    assert len(named.ids) == CHIPS_NAMED_MAX
    with pytest.raises(BadRecipe, match="up to 16"):
        parse_named({"mosaic": ",".join([*most, "99"])})


@pytest.mark.parametrize("other", [{"color": "true"}, {"red": "1", "green": "2", "blue": "3"}, {"red": "1"}])
def test_named_chips_make_no_composite(other: dict[str, str]) -> None:
    with pytest.raises(BadRecipe, match="mosaic with ids makes no composite"):
        parse_named({"mosaic": "5,7", **other})
    assert parse_named({"mosaic": "5,7", "color": "false"}) is not None


def test_a_composite_may_be_of_mosaics_of_one_file_each() -> None:
    named = parse_named({"mosaic": "true", "red": "3", "green": "2", "blue": "1"})
    assert named == NamedFrames((3, 2, 1))
    assert named.switch == {"color": "true"}


def test_the_same_chips_have_one_key_whichever_is_in_the_path() -> None:
    settings, records = load(), [record(number) for number in (30, 4, 17)]
    recipes = {
        make_recipe(put_together(first, [*others, first, others[0]], settings), OPTIONS)
        for first, *others in permutations(records)
    }
    (recipe,) = recipes
    assert [frame.id for frame in recipe.frames] == [4, 17, 30]
    assert recipe.is_mosaic
    changed = [*records[:2], record(17, md5="another")]
    assert make_recipe(put_together(changed[0], changed[1:], settings), OPTIONS).key != recipe.key
    alone = put_together(records[0], [records[0]], settings)
    assert make_recipe(alone, OPTIONS) == make_recipe([records[0]], OPTIONS)


def test_a_frame_that_does_not_belong_to_the_others_is_named() -> None:
    settings = load()
    with pytest.raises(FrameUnfit, match="frame 4 has the filter V, and frame 5 has rp"):
        put_together(record(5, primary_optical_element="rp"), [record(4)], settings)
    with pytest.raises(FrameUnfit, match=r"frame 4: .* for configuration_type=NONSENSE"):
        put_together(record(5), [record(4, configuration_type="NONSENSE")], settings)
    with pytest.raises(FrameUnfit, match=r"frame 4: .* non FITS-type frame"):
        put_together(record(5), [record(4, filename="a.tar")], settings)
    unknown = put_together(record(5), [record(4, primary_optical_element="")], settings)
    assert [each.id for each in unknown] == [4, 5], "archives of one filter may not tell it"


def frames(count: int) -> tuple[Frame, ...]:
    return tuple(Frame(number, f"chip{number}.fits", "v") for number in range(count))


@pytest.mark.parametrize("count", [2, 3, 17])
def test_messages_carry_mosaics(count: int) -> None:
    recipe = Thumbnail(frames(count), OPTIONS)
    again = from_json(recipe.as_json())
    assert again == recipe
    assert isinstance(again, Thumbnail)
    assert again.is_mosaic
    assert again.masters_key == recipe.masters_key


@pytest.mark.parametrize("count", [2, 3])
def test_former_versions_leave_mosaics_of_frames_to_workers_of_this_one(count: int) -> None:
    """They take three frames for three colours. A recipe that they read as another one, they do not make."""
    recipe = Thumbnail(frames(count), OPTIONS)
    as_read_by_them = {name: recipe.as_json()[name] for name in ("kind", "frames", "look", "pipeline")}
    assert key_of(as_read_by_them) != recipe.key
    composite = Thumbnail(frames(3), ThumbnailOptions.parse({"mosaic": "1", "color": "1"}))
    assert set(composite.as_json()) == set(as_read_by_them)


@pytest.mark.parametrize(("count", "query"), [(18, {"mosaic": "1"}), (2, {}), (2, {"mosaic": "1", "color": "1"})])
def test_messages_of_other_numbers_of_frames_are_refused(count: int, query: dict[str, str]) -> None:
    with pytest.raises(BadRecipe, match="one frame or three"):
        from_json(Thumbnail(frames(count), ThumbnailOptions.parse(query)).as_json())


def test_the_label_of_many_frames_is_short() -> None:
    assert Thumbnail(frames(3), OPTIONS).label == "thumbnail of chip0.fits+chip1.fits+chip2.fits"
    assert Thumbnail(frames(17), OPTIONS).label == "thumbnail of chip0.fits+chip1.fits+chip2.fits and 14 more"
    assert not Thumbnail(frames(3), ThumbnailOptions.parse({"mosaic": "1", "color": "1"})).is_mosaic
