"""`mezcal init` writes an `.env` that says what each setting means, and that mezcal can read."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

from mezcal import cli
from mezcal.commands.setup import init
from mezcal.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_file_is_for_its_owner_alone_and_changes_nothing_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / ".env"
    assert cli.main(["init", str(target)]) == 0
    assert f"wrote {target}" in capsys.readouterr().out
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert load(_env_file=target) == load(_env_file=None)


def test_each_setting_can_be_turned_on_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / ".env"
    cli.main(["init", str(target)])
    text = target.read_text()
    target.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", text, flags=re.MULTILINE))
    for name in re.findall(r"^([A-Z_]+)=", target.read_text(), re.MULTILINE):
        monkeypatch.delenv(name, raising=False)
    read = load(_env_file=target)
    assert read.public_url == "https://images.example.edu"
    assert {"repo_base_url", "storage_dir", "cache_max_bytes", "client_share_exempt"} <= read.model_fields_set
    assert max(map(len, text.splitlines())) <= 120


def test_the_file_names_the_page_with_all_settings_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "docs/configuration.md" in init.text({})
    assert init.PAGE.is_file()
    monkeypatch.setattr(init, "PAGE", tmp_path / "none.md")
    assert "source archive; all commands: mezcal --help" in " ".join(init.text({}).replace("# ", "").split())


def test_the_origin_of_the_option_is_set(tmp_path: Path) -> None:
    assert cli.main(["init", str(tmp_path / ".env"), "--origin", str(tmp_path)]) == 0
    assert load(_env_file=tmp_path / ".env").repo_base_url.rstrip("/") == tmp_path.as_uri()


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("WAIT_SECONDS=7\n")
    assert cli.main(["init", str(tmp_path / ".env")]) == 2
    assert "exists and was not changed" in capsys.readouterr().err
    assert (tmp_path / ".env").read_text() == "WAIT_SECONDS=7\n"
    assert cli.main(["init", str(tmp_path / "none" / ".env")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err
