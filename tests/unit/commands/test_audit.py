"""`mezcal audit`: the events that it writes, its exit codes, and that it continues where it was interrupted."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from mezcal import cli
from mezcal.audit import Audit, MasterAudit
from mezcal.convert import ConversionOptions
from mezcal.derive import derive
from mezcal.origin import open_origin
from mezcal.recipe import Mezzanine
from mezcal.sample import FOLDER
from mezcal.settings import Settings, load
from mezcal.store import open_store
from tests.support.s3_server import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.s3_server import S3Server

MASTER = (FOLDER / "agave-p3.tif").read_bytes()
SHA256 = hashlib.sha256(MASTER).hexdigest()
VOCABULARY = "http://id.loc.gov/vocabulary/preservation/"


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    folder = tmp_path / "masters"
    for name in ("a.tif", "b/c.tif"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(MASTER)
        file.with_name(f"{file.name}.sha256").write_text(f"{SHA256}  {file.name}\n")
    return folder


@pytest.fixture
def settings(masters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation whose two masters are cached; `mezcal` finds its settings in the environment."""
    given = {
        "REPO_BASE_URL": masters.as_uri(),
        "ORIGIN_DIGEST_FILE": "{path}.sha256",
        "DATA_DIR": str(tmp_path / "data"),
        "STORAGE_DIR": str(tmp_path / "cache"),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings = load(_env_file=None)
    fill(settings)
    return settings


def fill(settings: Settings) -> None:
    for path in ("a.tif", "b/c.tif"):
        derive(Mezzanine.parse(path), open_origin(settings), open_store(settings), ConversionOptions())


def audit(tmp_path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Returns the exit code and the events."""
    output = tmp_path / f"{uuid4().hex}.jsonl"
    code = cli.main(["audit", "--rate", "1000", "--output", str(output), *options])
    return code, [json.loads(line) for line in output.read_text().splitlines()]


def outcomes(events: list[dict[str, Any]], kind: str = "fix") -> list[str]:
    uri = f"{VOCABULARY}eventType/{kind}"
    chosen = [event for event in events if event["eventType"]["valueURI"] == uri]
    return [event["eventOutcomeInformation"][0]["eventOutcome"]["value"] for event in chosen]


@pytest.mark.parametrize("options", [[], ["--full"]])
def test_a_sound_cache_is_audited_with_three_events_for_each_image(
    settings: Settings, tmp_path: Path, options: list[str]
) -> None:
    assert settings.origin_digest_file
    code, events = audit(tmp_path, *options)
    assert code == 0
    assert (outcomes(events), outcomes(events, "cre")) == (["success"] * 4, ["success"] * 2)
    creation, image, master = events[:3]
    record = json.loads((settings.cache_dir / "a.tif/image.json").read_text())
    assert record["master_digest"] == f"sha-256:{SHA256}"
    assert creation["linkingAgentIdentifier"][0]["linkingAgentIdentifierValue"] == record["made_by"]
    assert creation["eventDateTime"].endswith("+00:00")
    assert [each["linkingObjectRole"][0]["valueURI"] for each in creation["linkingObjectIdentifier"]] == [
        f"{VOCABULARY}eventRelatedObjectRole/sou",
        f"{VOCABULARY}eventRelatedObjectRole/out",
    ]
    assert image["linkingObjectIdentifier"][0]["linkingObjectIdentifierValue"].endswith("/image.jpg")
    assert master["linkingObjectIdentifier"][0]["linkingObjectIdentifierValue"].startswith(
        settings.repo_base_url or "-"
    )
    assert SHA256 in master["eventOutcomeInformation"][0]["eventOutcomeDetail"][0]["eventOutcomeDetailNote"]
    again = audit(tmp_path)[1]
    assert again[0]["eventIdentifier"] == creation["eventIdentifier"], "an event that is loaded twice is one"


def damage_image(settings: Settings, _masters: Path) -> None:
    image = settings.cache_dir / "a.tif/image.jpg"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 1
    image.write_bytes(content)


def damage_declared_digest(_settings: Settings, masters: Path) -> None:
    (masters / "a.tif.sha256").write_text("0" * 64)


def remove_master(_settings: Settings, masters: Path) -> None:
    (masters / "a.tif").unlink()


@pytest.mark.parametrize("damage", [damage_image, damage_declared_digest, remove_master])
def test_what_is_damaged_or_missing_is_named(
    settings: Settings, masters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[..., None]
) -> None:
    damage(settings, masters)
    code, events = audit(tmp_path)
    assert (code, sorted(outcomes(events))) == (1, ["fail", *["success"] * 3])
    assert "damaged  " in capsys.readouterr().err


def test_a_bit_that_flips_without_a_new_date_is_found_by_reading_the_master(
    settings: Settings, masters: Path, tmp_path: Path
) -> None:

    assert settings.repo_base_url
    file = masters / "b/c.tif"
    before = file.stat()
    file.write_bytes(bytes([*MASTER[:-1], MASTER[-1] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert audit(tmp_path)[0] == 0
    code, events = audit(tmp_path, "--full")
    assert (code, sorted(outcomes(events))) == (1, ["fail", *["success"] * 3])


def test_a_master_that_was_replaced_is_no_damage(settings: Settings, masters: Path, tmp_path: Path) -> None:
    assert settings.repo_base_url
    (masters / "a.tif").write_bytes(MASTER + b"\0")
    code, events = audit(tmp_path)
    assert (code, sorted(outcomes(events))) == (0, [*["success"] * 3, "warning"])


def test_an_interrupted_audit_continues(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert settings.repo_base_url
    state, seen = tmp_path / "state", 0
    compare = MasterAudit.compare

    def interrupted(self: MasterAudit, *given: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise KeyboardInterrupt
        return compare(self, *given)

    monkeypatch.setattr(MasterAudit, "compare", interrupted)
    code, first = audit(tmp_path, "--state", str(state))
    assert (code, len(first)) == (130, 3)
    assert "the same command continues" in capsys.readouterr().err
    code, second = audit(tmp_path, "--state", str(state))
    assert (code, state.exists()) == (0, False)
    images = {each["linkingObjectIdentifier"][-1]["linkingObjectIdentifierValue"] for each in (first + second)[::3]}
    assert images == {"a.tif/image.jpg", "b/c.tif/image.jpg"}
    assert "2 audited: 0 damaged" in capsys.readouterr().err


def test_another_file_is_no_state(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert settings.repo_base_url
    (tmp_path / "state").write_text("[]")
    assert cli.main(["audit", "--state", str(tmp_path / "state")]) == 2
    assert "is not the state of an audit" in capsys.readouterr().err


def test_images_and_masters_in_buckets_are_audited(s3: S3Server, tmp_path: Path) -> None:
    bucket, masters = s3.bucket(), s3.bucket()
    with closing(s3.client("s3", *KEYS.values())) as client:
        for name in ("a.tif", "b/c.tif"):
            client.put_object(Bucket=masters, Key=name, Body=MASTER, ChecksumAlgorithm="SHA256")
    origin = {"repo_base_url": f"s3://{masters}/", "repo_internal_url": s3.url}
    settings = s3.settings(bucket, tmp_path, **origin)
    fill(settings)
    run = Audit(open_store(settings).inventory, MasterAudit(open_origin(settings), lambda _: None), "mezcal 0")
    events = [event.as_json() for each in run.events() for event in each]
    assert (outcomes(events), run.counts.audited, run.counts.damaged) == (["success"] * 4, 2, 0)
    with closing(s3.client("s3", *KEYS.values())) as client:
        found = client.get_object(Bucket=bucket, Key="a.tif/image.jpg")
        image = found["Body"].read()
        damaged = image[:-1] + bytes([image[-1] ^ 1])
        client.put_object(Bucket=bucket, Key="a.tif/image.jpg", Body=damaged, Metadata=found["Metadata"])
        client.delete_object(Bucket=masters, Key="b/c.tif")
    events = [event.as_json() for each in run.events() for event in each]
    assert sorted(outcomes(events)) == ["fail", "fail", "success", "success"]
