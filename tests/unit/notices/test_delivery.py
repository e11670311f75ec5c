"""One notice reaches a webhook or a program, or the sender learns why not."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mezcal.notices import delivery
from mezcal.notices.delivery import NotDelivered, deliver
from mezcal.notices.rounds import trial_notice
from mezcal.settings import Settings, WrongSetting, load
from tests.support.notice_receiver import SECRET, notice_receiver

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_780_000_000.0


def settings(**given: Any) -> Settings:
    return load(_env_file=None, **given)


def program(code: str) -> Settings:
    return settings(notice_command=shlex.join([sys.executable, "-c", code]))


def test_a_webhook_gets_a_signed_notice() -> None:
    with notice_receiver() as receiver:
        given = settings(notice_url=receiver.url, notice_secret=SECRET)
        assert deliver(given, *trial_notice("https://images.example/", NOW)) == "the host of NOTICE_URL answered 204"
    (notice,) = receiver.received
    assert notice["state"] == "test"
    assert notice["url"] == "https://images.example/ops#components"


@pytest.mark.parametrize(
    ("status", "why"), [(500, "answered 500"), (302, "answered 302, and redirects are not followed")]
)
def test_an_answer_that_accepts_nothing_says_why_and_shows_no_url(status: int, why: str) -> None:
    with notice_receiver() as receiver:
        receiver.statuses = [status]
        with pytest.raises(NotDelivered) as failed:
            deliver(settings(notice_url=receiver.url, notice_secret=SECRET), *trial_notice("", NOW))
    assert str(failed.value) == f"the host of NOTICE_URL {why}"
    assert len(receiver.ids) == 1


def test_a_webhook_that_is_away_is_one_line() -> None:
    with notice_receiver() as receiver:
        given = settings(notice_url=receiver.url, notice_secret=SECRET)
    with pytest.raises(NotDelivered, match="cannot be reached"):
        deliver(given, *trial_notice("", NOW))


def test_a_program_gets_the_notice_on_standard_input_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    monkeypatch.setenv("MEZCAL_FCREPO_JWT_SECRET", "secret")
    monkeypatch.setenv("mezcal_repo_password_file", str(tmp_path / "jwt"))
    (tmp_path / "jwt").write_text("secret")
    monkeypatch.setenv("JWT_TOKEN_FILE", str(tmp_path / "jwt"))
    code = (
        f"import json, os, sys; out = open({str(tmp_path / 'got')!r}, 'w'); "
        "json.dump([json.load(sys.stdin), sorted(os.environ)], out)"
    )
    assert deliver(program(code), *trial_notice("", NOW)).endswith("ended with 0")
    body, names = json.loads((tmp_path / "got").read_text())
    assert (body["type"], body["data"]["name"]) == ("mezcal.notice", "test")
    assert "PATH" in names
    assert not {"REDIS_PASSWORD", "JWT_TOKEN_FILE", "MEZCAL_FCREPO_JWT_SECRET", "mezcal_repo_password_file"} & set(
        names
    )


def test_a_program_runs_without_a_shell(tmp_path: Path) -> None:
    with pytest.raises(NotDelivered, match="cannot be started: No such file"):
        deliver(settings(notice_command=f"true; touch {tmp_path}/made"), "id", b"{}")
    assert not (tmp_path / "made").exists()


def test_a_program_that_fails_or_hangs_has_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotDelivered, match="ended with 3"):
        deliver(program("raise SystemExit(3)"), "id", b"{}")
    monkeypatch.setattr(delivery, "COMMAND_SECONDS", 0.2)
    with pytest.raises(NotDelivered, match="took longer"):
        deliver(program("import time; time.sleep(60)"), "id", b"{}")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"notice_url": "http://hooks.example/x", "notice_secret": "k"}, "must begin with https://"),
        ({"notice_url": "https://user:word@hooks.example/", "notice_secret": "k"}, "no user name"),
        ({"notice_url": "https://hooks.example/x"}, "NOTICE_URL needs NOTICE_SECRET"),
        ({"notice_url": "https://hooks.example/x", "notice_secret": "whsec_*"}, "there must be Base64"),
        ({"notice_url": "https://hooks.example/x", "notice_secret": "k", "notice_command": "mail"}, "set one of them"),
        ({"notice_command": "mail 'open"}, "No closing quotation"),
    ],
)
def test_wrong_settings_are_refused_and_no_secret_is_shown(given: dict[str, str], why: str) -> None:
    with pytest.raises(WrongSetting, match=why) as refused:
        settings(**given)
    assert "hooks.example" not in str(refused.value)
