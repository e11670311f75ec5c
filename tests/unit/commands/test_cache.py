"""`mezcal cache`, as an operator types it and as a script reads it."""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from mezcal import cli
from mezcal.commands import cache_report
from mezcal.jobs import Jobs
from mezcal.jobs.workers import Worker
from mezcal.recipe import PYRAMID, Mezzanine
from mezcal.runtime.up.remembered_options import options_saved
from mezcal.settings import Layout, load
from mezcal.store import LocalStore

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.broker import Broker
    from tests.support.s3_server import S3Server

DAY = 86_400


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalStore:
    """Ten images of 100 kB, the first used yesterday, each other one a day longer ago."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path / "cache"))
    store = LocalStore(tmp_path / "cache", Layout.BASIC)
    for number in range(10):
        place = store.path(Mezzanine.parse(f"box/{number}"))
        place.parent.mkdir(parents=True)
        place.write_bytes(b"\xff\xd8" + bytes(99_996) + b"\xff\xd9")
        os.utime(place, (time.time() - (number + 1) * DAY,) * 2)
    return store


def answered(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = cli.main(["cache", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def numbers(store: LocalStore) -> list[int]:
    return sorted(int(found.folder.partition("/")[2]) for found in store.inventory.walk() if found.size)


def test_stats_tell_how_much_there_is_and_how_old(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = answered(capsys, "stats")
    assert code == 0
    assert (report["derivatives"], report["bytes"], report["by_path"], report["without_sidecar"]) == (
        10,
        1_000_000,
        10,
        10,
    )
    assert report["least_recent_use"] == pytest.approx(time.time() - 10 * DAY, abs=60)
    assert report["free_bytes"] == pytest.approx(store.free_bytes(), rel=0.5)


def test_stats_tell_images_and_bytes_by_profile(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    pyramid = store.path(Mezzanine.parse("box/1", profile=PYRAMID))
    pyramid.write_bytes(bytes(3_000_000))
    pyramid.with_name("pyramid.json").write_text("{}")
    assert answered(capsys, "stats")[1]["by_file"] == {
        "pyramid.tif": {"images": 1, "bytes": 3_000_000},
        "image.jpg": {"images": 10, "bytes": 1_000_000},
    }
    assert cli.main(["cache", "stats"]) == 0
    assert re.search(r"  pyramid.tif +1 \(3.0 MB\)\n  image.jpg +10 \(1.0 MB\)", capsys.readouterr().out)


def test_stats_are_those_of_the_last_survey_unless_count_is_given(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(capsys, "stats")
    store.delete(Mezzanine.parse("box/1"))
    assert answered(capsys, "stats")[1]["derivatives"] == 10
    assert answered(capsys, "stats", "--count")[1]["derivatives"] == 9
    assert cli.main(["cache", "stats"]) == 0
    assert "derivatives      9 (900 kB)" in capsys.readouterr().out


def test_stats_that_were_counted_before_name_the_option_that_counts_now(
    store: LocalStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of half a minute ago do not show what was warmed since."""
    assert store.root.is_dir()
    assert cli.main(["cache", "stats"]) == 0
    assert "--count" not in capsys.readouterr().out, "counted by this command"
    later = time.time() + 30
    monkeypatch.setattr(time, "time", lambda: later)
    assert cli.main(["cache", "stats"]) == 0
    assert re.search(r"derivatives +10 .*counted 30 s ago; --count counts now", capsys.readouterr().out)


def test_stats_of_a_small_cache_are_counted_again_when_they_are_old(
    store: LocalStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered(capsys, "stats")
    store.delete(Mezzanine.parse("box/1"))
    monkeypatch.setattr(cache_report, "FRESH_SECONDS", -1.0)
    monkeypatch.setattr(cache_report, "COUNTED_AT_ONCE", 9)
    assert answered(capsys, "stats")[1]["derivatives"] == 10
    monkeypatch.setattr(cache_report, "COUNTED_AT_ONCE", 10)
    assert answered(capsys, "stats")[1]["derivatives"] == 9


def test_trim_evicts_down_to_the_given_size(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = answered(capsys, "trim", "--to", "350kB")
    assert (code, report["evicted"], report["evicted_bytes"], report["bytes"]) == (0, 7, 700_000, 300_000)
    assert numbers(store) == [0, 1, 2]


def test_a_dry_run_says_the_same_and_does_nothing(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    code, report = answered(capsys, "trim", "--to", "350kB", "--dry-run")
    assert (code, report["evicted"], report["bytes"], report["dry_run"]) == (0, 7, 300_000, True)
    assert numbers(store) == list(range(10))
    assert cli.main(["cache", "trim", "--to", "350kB", "--dry-run"]) == 0
    assert "7 images (700 kB) would be evicted, 300 kB left" in capsys.readouterr().out


def test_without_a_size_the_bounds_of_the_settings_apply(
    store: LocalStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["cache", "trim"]) == 2
    assert "CACHE_MAX_BYTES" in capsys.readouterr().err
    monkeypatch.setenv("CACHE_MAX_AGE", "5d")
    code, report = answered(capsys, "trim")
    assert (code, report["evicted"]) == (0, 4)
    assert numbers(store) == [0, 1, 2, 3, 4, 5]


def test_a_bound_that_cannot_be_kept_is_an_exit_code(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.path(Mezzanine.parse("box/3")).write_bytes(bytes(5000))
    code, report = answered(capsys, "trim", "--to", "1")
    assert (code, report["kept"]) == (1, False)
    assert numbers(store) == [3], "it was written just now"


def test_verify_tells_by_its_exit_code_whether_a_fault_is_left(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert answered(capsys, "verify")[0] == 0
    store.path(Mezzanine.parse("box/3")).write_bytes(b"\xff\xd8 cut")
    code, report = answered(capsys, "verify")
    assert (code, report["verified"], report["without_sidecar"], report["defects"]) == (1, 10, 9, 1)
    assert report["found"] == [{"folder": "box/3", "defect": "cut image", "mended": False}]
    assert cli.main(["cache", "verify", "--mend"]) == 0
    assert "box/3: cut image (mended)" in capsys.readouterr().out
    assert answered(capsys, "verify", "--sample", "5")[1]["verified"] == 5


def test_an_invalid_size_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["cache", "trim", "--to", "many"])
    assert ended.value.code == 2
    assert "500GB" in capsys.readouterr().err


def test_hand_back_says_what_it_removes(store: LocalStore, capsys: pytest.CaptureFixture[str]) -> None:
    (store.root / ".mezcal" / "locks").mkdir(parents=True)
    (store.root / "box" / "3" / "image.json").write_text("{}")
    assert cli.main(["cache", "hand-back", "--dry-run"]) == 0
    expected = f"{store.root}: 1 image.json, and the folder .mezcal with 0 images would be removed"
    assert expected in capsys.readouterr().out
    code, report = answered(capsys, "hand-back")
    assert (code, report["sidecars"], report["images"], report["dry_run"]) == (0, 1, 10, False)
    assert not (store.root / ".mezcal").exists()
    (store.root / "image.json").write_text("[]")
    assert answered(capsys, "hand-back")[0] == 1, "umd-lib/mezcal would fail to delete there"


def test_hand_back_names_a_folder_of_its_own_only_if_there_was_one(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.root / "box" / "3" / "image.json").write_text("{}")
    for removed in (1, 0):
        assert cli.main(["cache", "hand-back"]) == 0
        assert capsys.readouterr().out.startswith(f"{store.root}: {removed} image.json removed\n")


def test_hand_back_is_refused_where_there_is_no_cache(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORAGE_DIR", str(tmp_path / "none"))
    assert cli.main(["cache", "hand-back"]) == 2
    assert f"there is no cache at {tmp_path}/none" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").touch()
    assert cli.main(["cache", "hand-back"]) == 2
    assert f"{tmp_path}/none has no image and no folder .mezcal: it is no cache" in capsys.readouterr().err
    assert (tmp_path / "none" / "notes.txt").exists()


def test_hand_back_is_refused_while_mezcal_up_runs_with_the_data_folder(
    store: LocalStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = tmp_path / "mezcal-data" / "run"
    run.mkdir(parents=True)
    with options_saved(run, {"storage_dir": str(store.root)}):
        assert cli.main(["cache", "hand-back"]) == 2
    assert "stop it first" in capsys.readouterr().err
    assert cli.main(["cache", "hand-back"]) == 0


def test_the_cache_of_a_running_mezcal_up_is_not_renamed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "mezcal-data"
    (data / "run").mkdir(parents=True)
    (data / "cache-old").mkdir()
    adopt = ["cache", "adopt", str(data / "cache-old"), "--origin", "http://repository.example/"]
    with options_saved(data / "run", {}):
        assert cli.main(adopt) == 2
    assert "stop it first" in capsys.readouterr().err
    assert (data / "cache-old").exists()
    assert cli.main(adopt) == 0
    assert not (data / "cache-old").exists()


def test_hand_back_is_refused_while_workers_run(
    store: LocalStore, broker: Broker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", broker.url)
    monkeypatch.setenv("KEY_PREFIX", "handing-back")
    monkeypatch.setenv("REPO_BASE_URL", "http://repository.example/")
    workers, worker = Jobs.of(load()).workers, Worker("worker@host", 2, ("interactive",))
    workers.heartbeat(worker)
    assert cli.main(["cache", "hand-back"]) == 2
    assert "worker@host" in capsys.readouterr().err
    workers.remove(worker)
    assert cli.main(["cache", "hand-back"]) == 0


def test_a_cache_that_is_adopted_again_is_that_of_the_origin_already(
    store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["cache", "adopt", "--origin", "http://repository.example/"]
    assert (cli.main(words), cli.main(words)) == (0, 0)
    first, second = capsys.readouterr().out.splitlines()
    assert "it is now that of http://repository.example/" in first
    assert second.endswith("is that of http://repository.example/ already")


def test_a_bucket_is_handed_back_as_it_is(
    s3: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in s3.environment(s3.bucket()).items():
        monkeypatch.setenv(name, value)
    assert cli.main(["cache", "hand-back"]) == 2
    assert "nothing has to be removed" in capsys.readouterr().err
