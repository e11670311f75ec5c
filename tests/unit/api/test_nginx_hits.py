"""The hits in nginx's log file become counts and log lines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from api.context import ApiContext
from api.nginx_hits import NginxLogReader
from mezcal.recipe import Mezzanine
from mezcal.runtime.nginx.hit_file import HitFile
from mezcal.settings import load
from mezcal.telemetry.metrics import metrics

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HITS = f"""200 300 1764417600.125 GET /images/a.tif id-1 00-{TRACE}-00f067aa0ba902b7-01
206 10 1764417600.126 GET /mezzanine/b%20c.tif.jpg id-2 -
304 0 1764417601.000 GET /images/a.tif id-3 no trace at all
416 166 1764417601.001 GET /images/a.tif id-4 -
200 40 pyramid 1764417601.002 GET /derivatives/pyramid/a.tif.tif id-5 -
304 0 mezzanine 1764417601.003 GET /images/a.tif id-6 00-{TRACE}-00f067aa0ba902b7-01
torn
200
"""


def read(folder: Path, text: str, **given: object) -> None:
    file = folder / "hits"
    file.write_text(text)
    where = {"repo_base_url": "http://repository.example/", "redis_url": "redis://127.0.0.1:1"}
    settings = load(_env_file=None, data_dir=folder, **where, **given)
    NginxLogReader(HitFile(file), ApiContext.of(settings)).pass_on()


def counted(outcome: str, status: str, kind: str = "mezzanine") -> float:
    return metrics().requests.labels(kind, outcome, status, "nginx")._value.get()


def test_each_hit_has_its_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, HITS, log_format="json")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["request_id"] for line in lines] == [f"id-{number}" for number in range(1, 7)]
    assert [line["outcome"] for line in lines] == ["hit", "hit", "hit", "error", "hit", "hit"]
    assert [line["kind"] for line in lines[3:]] == ["mezzanine", "pyramid", "mezzanine"]
    assert lines[5]["trace_id"] == TRACE
    assert lines[0]["time"] == "2025-11-29T12:00:00.125Z"
    assert (lines[0]["status"], lines[0]["bytes"], lines[0]["trace_id"]) == (200, 300, TRACE)
    assert lines[0]["key"] == lines[2]["key"] == Mezzanine.parse("a.tif").key
    assert lines[1]["key"] == Mezzanine.parse("b c.tif").key
    assert "trace_id" not in lines[2]


def test_lines_for_people(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, HITS)
    first = capfd.readouterr().err.splitlines()[0]
    assert first == "2025-11-29 12:00:00.125 INFO    GET /images/a.tif 200 hit 300 B request_id=id-1"


def test_hits_in_all_formats_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each with and without the path of the image; those of an older nginx.conf name no profile."""

    def counts() -> list[float]:
        mezzanines = [counted("hit", "200"), counted("hit", "304"), counted("error", "416")]
        return [*mezzanines, counted("hit", "200", "pyramid"), counted("hit", "206", "pyramid")]

    before = counts()
    read(tmp_path, HITS + "200 5\n200 5 mezzanine\n304 0\n206 9 pyramid\n206 9 pyramid\n", access_log="misses")
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [3, 3, 1, 1, 2]
    assert capfd.readouterr().err == ""
