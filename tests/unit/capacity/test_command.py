"""`mezcal capacity` on the command line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from mezcal import cli
from mezcal.capacity.measured import BETWEEN_JOBS, work_of
from mezcal.capacity.values import Work
from tests import ROOT

if TYPE_CHECKING:
    from pathlib import Path

METRICS = """\
# TYPE mezcal_job_seconds histogram
mezcal_job_seconds_bucket{kind="mezzanine",lane="bulk",le="+Inf"} 10
mezcal_job_seconds_count{kind="mezzanine",lane="bulk"} 10
mezcal_job_seconds_sum{kind="mezzanine",lane="bulk"} 20
# TYPE mezcal_phase_seconds histogram
mezcal_phase_seconds_count{kind="mezzanine",phase="download"} 10
mezcal_phase_seconds_sum{kind="mezzanine",phase="download"} DOWNLOAD
mezcal_phase_seconds_count{kind="mezzanine",phase="convert"} 10
mezcal_phase_seconds_sum{kind="mezzanine",phase="convert"} 15
# TYPE mezcal_master_bytes counter
mezcal_master_bytes_total{kind="mezzanine"} 500000000
# TYPE mezcal_derivative_bytes counter
mezcal_derivative_bytes_total{kind="mezzanine"} 40000000
"""


def test_what_a_job_takes_is_read_from_metrics() -> None:
    work = work_of(METRICS.replace("DOWNLOAD", "5"), Work())
    assert (work.master, work.derivative, work.cpu) == (50e6, 4e6, 1.5)
    assert work.overhead == pytest.approx(0.5 + BETWEEN_JOBS)
    assert work_of("", Work()) == Work()


def test_a_conversion_that_waited_for_its_download_says_nothing_of_the_processor() -> None:
    assert work_of(METRICS.replace("DOWNLOAD", "14"), Work(cpu=0.7)).cpu == 0.7


def test_the_command_says_how_long_clients_wait_and_what_gives_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics.txt").write_text(METRICS.replace("DOWNLOAD", "5"))
    words = ["capacity", "--metrics", str(tmp_path / "metrics.txt"), "--asks", "20", "--hits", "0.95", "--minutes", "5"]
    assert cli.main([*words, "--wait", "20"]) == 0
    out = capsys.readouterr().out
    assert "half wait below" in out
    assert "first      " in out
    assert "suffice" in out
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["wait_p95"] >= found["wait_p50"] > 1
    assert 0 < found["parts"]["processes of workers"] < 1


def test_a_file_that_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["capacity", "--metrics", "no/such/file"]) == 2
    assert "--metrics no/such/file cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "wrong"),
    [
        *(("--bandwidth", value, "is not from 0.001 to 10,000,000") for value in ("0", "-3", "1e300")),
        *((option, "0", "is not from ") for option in ("--cpu", "--master", "--cores", "--memory", "--minutes")),
        *((option, "1e9", "is not from ") for option in ("--asks", "--bulk", "--cores", "--minutes", "--outage")),
        *((option, "-1", "is not from 0 to 1,000,000") for option in ("--asks", "--bulk")),
        *((option, "100000", "is not from 1 to ") for option in ("--workers", "--processes")),
        *((option, "-1", "is less than 0") for option in ("--images", "--backlog", "--reserve", "--places")),
        ("--wait", "0", "is not above 0"),
        *(("--hits", value, "is not from 0 to 1") for value in ("2", "-0.1")),
        *(("--asks", value, "is not a number") for value in ("inf", "nan", "many")),
    ],
)
def test_a_figure_without_meaning_is_refused(
    option: str, value: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        cli.parse(["capacity", option, value])
    assert refused.value.code == 2
    assert re.search(rf"argument {option}: '?{value}'? {wrong}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--memory 50", "--memory 50 is less than one conversion needs (101 MB)"),
        ("--asks 900000 --minutes 600", "--minutes 600 is too long for so many requests and jobs"),
        ("--asks 1 --outage 9", "--outage 9 does not end within --minutes 10 -> it begins after a quarter of the time"),
    ],
)
def test_options_that_cannot_be_simulated_are_refused(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["capacity", *words.split()]) == 2
    assert told in capsys.readouterr().err


def test_an_outage_of_the_repository_and_a_backlog_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--asks 2 --backlog 1000000 --outage 2 --minutes 10 --workers 4"
    assert cli.main(["capacity", *words.split()]) == 0
    out = capsys.readouterr().out
    assert re.search(r"failures +\d+ clients got 502, \d+ got 503 because requests were paused", out)
    assert re.search(r"images were made again \d+\.\d s after the outage", out)
    assert re.search(r"backlog +done in \d+\.\d days", out)


def test_the_classes_of_the_simulation_have_names_of_their_own() -> None:
    own, others = set(), set()
    for file in (*(ROOT / "mezcal").rglob("*.py"), *(ROOT / "api").rglob("*.py"), *(ROOT / "worker").rglob("*.py")):
        names = re.findall(r"^class (\w+)", file.read_text(), re.MULTILINE)
        (own if "capacity" in file.parts else others).update(names)
    assert own
    assert own & others == set()
