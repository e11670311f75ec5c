"""How Flower is set up: what mezcal chooses, what an operator may choose instead, and the password."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from celery.events.state import Task

from mezcal.settings import WrongSetting, load
from worker.celery_hooks import flower as dashboard

if TYPE_CHECKING:
    from pathlib import Path


def test_a_password_is_made_once_and_kept(tmp_path: Path) -> None:
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    dashboard.prepare(first, load(_env_file=None, data_dir=tmp_path))
    dashboard.prepare(again, load(_env_file=None, data_dir=tmp_path))
    user, _, secret = first["FLOWER_BASIC_AUTH"].partition(":")
    assert (user, len(secret) >= 20, again) == ("mezcal", True, first)


def test_what_an_operator_sets_is_left_as_it_is(tmp_path: Path) -> None:
    environ = {"FLOWER_MAX_TASKS": "500", "FLOWER_READ_ONLY": "false"}
    dashboard.prepare(environ, load(_env_file=None, data_dir=tmp_path, flower_basic_auth="me:mine"))
    assert (environ["FLOWER_MAX_TASKS"], environ["FLOWER_READ_ONLY"]) == ("500", "false")
    assert environ["FLOWER_BASIC_AUTH"] == "me:mine"
    assert not (tmp_path / "flower").exists()


def test_a_sign_on_of_flowers_own_needs_no_password(tmp_path: Path) -> None:
    environ = {"FLOWER_AUTH": ".*@example[.]edu", "FLOWER_BASIC_AUTH": ""}
    dashboard.prepare(environ, load(_env_file=None, data_dir=tmp_path))
    assert "FLOWER_BASIC_AUTH" not in environ


def test_where_no_password_can_be_kept_one_has_to_be_set(tmp_path: Path) -> None:
    (tmp_path / "flower").write_text("in the way")
    with pytest.raises(WrongSetting, match="FLOWER_BASIC_AUTH"):
        dashboard.prepare({}, load(_env_file=None, data_dir=tmp_path))


def test_how_long_a_failed_task_ran_is_shown_too() -> None:
    assert dashboard.complete_task(Task(uuid="1", started=10.0, failed=12.5)).runtime == 2.5
    assert dashboard.complete_task(Task(uuid="2", started=10.0, retried=11.0)).runtime == 1.0
    assert dashboard.complete_task(Task(uuid="3", started=10.0, succeeded=11.0, runtime=0.9)).runtime == 0.9
    assert dashboard.complete_task(Task(uuid="4", started=10.0)).runtime is None


def test_a_task_whose_process_died_shows_the_reason() -> None:
    task = Task(uuid="1", exception="ExceptionWithTraceback()", traceback="Traceback ..\nWorkerLostError: signal 9\n")
    assert dashboard.complete_task(task).exception == "WorkerLostError: signal 9"
    assert task.exception == "ExceptionWithTraceback()", "what Flower keeps was changed"
